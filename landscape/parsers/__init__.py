"""Strangers' files as plain bytes and numbers: parsers of our own that execute nothing and believe no declared size.

Imports numpy and errors; h5py for HDF5 only; never torch. A parser answers descriptions first (names, types, shapes);
the numbers are read when asked for, one array at a time.

    source.py       a file read by position
    archive.py      zip files, every entry checked against the directory and its checksum
    pickles.py      pickles as data: an allow-list of opcodes and names, nothing is imported or called
    tensors.py      types, shapes and strides checked against the bytes there are
    torchfile.py    what torch.save writes, zip and legacy
    safe.py         safetensors, read and written
    npy.py, hdf5.py arrays of .npz and .h5
"""
