"""Which errors mean that the GPU is lost to this process."""

import torch

from landscape.engine.out_of_memory import is_out_of_memory

_LOST = ("device-side assert", "CUDA error", "unspecified launch failure", "uncorrectable ECC")


def is_beyond_repair(error: BaseException) -> bool:
    """Whether this process can use its GPU no more: every later call would fail, whatever it computes."""
    if is_out_of_memory(error):
        return False
    lost = isinstance(error, RuntimeError) and any(word in str(error) for word in _LOST)
    return lost or isinstance(error, torch.AcceleratorError)
