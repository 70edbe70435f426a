"""Data sets: fixed samples in a fixed order, already normalised, with a digest.

Imports torch, numpy and files. Never augments, shuffles or downloads anything.

    samples.py   Dataset
    builtin.py   digits, synthetic
    brought.py   files of one's own and uploads
    shared.py    many samples: one copy for all processes of a machine
    judging.py   the loss that fits the targets of a data set
"""

from .brought import load_clean, load_file
from .builtin import BUILT_IN, SPLITS, load
from .samples import Dataset

__all__ = ["BUILT_IN", "SPLITS", "Dataset", "load", "load_clean", "load_file"]
