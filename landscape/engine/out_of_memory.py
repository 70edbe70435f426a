"""Out of memory: retry with half the batch; where that cannot help, an error that says what to do.

The batch is the only thing whose size the engine may choose. The plan keeps the batch that worked; its `choice` stays
what was asked for, so that a job is not planned again for every tile.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from ..errors import MemoryExhaustedError

logger = logging.getLogger(__name__)

T = TypeVar("T")

REFUSED = (  # of messages: torch's allocators, NumPy's, C++'s, oneDNN's
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
        divisible: False where the values depend on the batch (BatchNorm with the statistics of each batch).

    Raises:
        MemoryExhaustedError: it was not enough for a single sample.
    """
    while True:
        try:
            return compute(batch), batch
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1 or not divisible:
                raise MemoryExhaustedError(_advice(batch, divisible)) from error
        # Here the error is gone, and with it every tensor that its traceback held.
        batch //= 2
        logger.warning("Out of memory with batches of %d samples; continuing with batches of %d.", 2 * batch, batch)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused: by torch on a GPU, by its allocator on a CPU, by oneDNN or by Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in REFUSED)


def _advice(batch: int, divisible: bool) -> str:
    if divisible:
        return "There is not enough memory to evaluate the network on a single sample. Use a machine with more of it."
    return (
        f"There is not enough memory for a batch of {batch} samples, and batch_norm='batch' takes its statistics from "
        "whole batches. Use another BatchNorm policy, or a machine with more memory."
    )
