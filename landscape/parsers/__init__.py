"""Parsers for untrusted files: they execute nothing and check every declared size. No torch.

A parser first returns descriptions (names, types, shapes); the numbers are read on demand, one block at a time, so that
no file makes its reader hold more than 2 GiB.

    source.py         a file read by position
    archive.py        zip files, every entry checked against the directory and its checksum
    pickles.py        pickles as data: an allow-list of opcodes and names, nothing is imported or called
    arrays.py         arrays in a file, whose numbers are read on demand and in blocks
    tensors.py        types, shapes and strides checked against the bytes in the file
    torchfile.py      what torch.save writes, zip and legacy
    safetensors.py    safetensors, read and written
    npy.py, hdf5.py   arrays of .npz and .h5
    tar.py            tar archives, one member at a time
    cifar_mnist.py    the official archives of CIFAR and MNIST
    dataset.py        any of these as a data set, kept in one of the forms of forms.py
"""
