"""Out of memory: retries with half the batch; if that cannot help, raises an error that says what to do.

Only the batch size may be changed freely. The plan keeps the batch that worked, but its `choice` keeps the original
one, so that a job is not planned again for every tile.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from ..errors import MemoryExhaustedError

logger = logging.getLogger(__name__)

T = TypeVar("T")

REFUSED = (  # parts of messages of torch's allocators, NumPy, C++ and oneDNN
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "Unable to allocate",
    "bad_alloc",
    "could not create a memory",
    "could not create a primitive",
)


def with_smaller_batches(compute: Callable[[int], T], batch: int, *, divisible: bool = True) -> tuple[T, int]:
    """The result of `compute` for the first of batch, batch/2, batch/4, … that fits into memory; and that batch.

    Args:
        divisible: False if the values depend on the batch (BatchNorm with its statistics, a contrastive loss).

    Raises:
        MemoryExhaustedError: memory does not suffice for a single sample, or the batch cannot be divided.
    """
    while True:
        try:
            return compute(batch), batch
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1 or not divisible:
                raise MemoryExhaustedError(_advice(batch, divisible)) from error
        # The error is freed here, and with it every tensor that its traceback held.
        batch //= 2
        logger.warning("Out of memory with batches of %d samples; continuing with batches of %d.", 2 * batch, batch)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: in torch on a GPU, its allocator on a CPU, oneDNN or Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in REFUSED)


def _advice(batch: int, divisible: bool) -> str:
    if divisible:
        return "There is not enough memory to evaluate the network on a single sample. Use a machine with more of it."
    return (
        f"There is not enough memory for a batch of {batch} samples, which cannot be divided: the losses depend on the "
        "whole batch. Use fewer samples, another BatchNorm policy, or a machine with more memory."
    )
