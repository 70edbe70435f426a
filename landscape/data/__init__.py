"""Data sets: fixed samples in a fixed order, normalized, with a digest. Nothing augments, shuffles or downloads.

dataset.py     Dataset
builtin.py     digits, synthetic
files.py       local files, and uploads
inputs.py      samples from callers: tensors, DataLoaders, batches
memory_map.py  large data sets: one copy for all processes of a machine
"""

from .builtin import BUILT_IN, SPLITS, load
from .dataset import Dataset
from .files import load_clean, load_file

__all__ = ["BUILT_IN", "SPLITS", "Dataset", "load", "load_clean", "load_file"]
