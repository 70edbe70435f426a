"""Recognizes errors after which this process can no longer use its GPU."""

import torch

from landscape.engine.out_of_memory import is_out_of_memory

_LOST = ("device-side assert", "CUDA error", "unspecified launch failure", "uncorrectable ECC")


def is_gpu_lost(error: BaseException) -> bool:
    """Whether every later use of the GPU by this process would fail, so that the process must be restarted."""
    if is_out_of_memory(error):
        return False
    lost = isinstance(error, RuntimeError) and any(word in str(error) for word in _LOST)
    return lost or isinstance(error, torch.AcceleratorError)
