"""Results and directions as files: tables.py (JSON, NPZ, CSV), paper.py (the HDF5 of Li et al.), directions.py."""
