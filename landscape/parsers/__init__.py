"""Parsers for untrusted files: they execute nothing and check every declared size. No torch.

A parser first returns descriptions (names, types, shapes); the numbers are read on demand, one array at a time.

    source.py         a file read by position
    archive.py        zip files, every entry checked against the directory and its checksum
    pickles.py        pickles as data: an allow-list of opcodes and names, nothing is imported or called
    tensors.py        types, shapes and strides checked against the bytes in the file
    torchfile.py      what torch.save writes, zip and legacy
    safetensors.py    safetensors, read and written
    npy.py, hdf5.py   arrays of .npz and .h5
    cifar_mnist.py    the official archives of CIFAR and MNIST
    dataset.py        any of these as a data set
"""
