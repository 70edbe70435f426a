"""Leaving everything as it was: the random states of torch, NumPy and Python, whatever a model or a loader draws.

Imports torch, numpy. The model itself is never changed, since the mathematics works on copies of it.
"""

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn inside, outside nothing was: also after an exception or Ctrl-C."""
    devices = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    on_devices = torch.cuda.get_rng_state_all() if devices else []
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if devices:
            torch.cuda.set_rng_state_all(on_devices)


def keeps_random_state(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """`function` under `random_state_kept`."""

    @functools.wraps(function)
    def wrapped(*arguments: Given.args, **options: Given.kwargs) -> Answer:
        with random_state_kept():
            return function(*arguments, **options)

    return wrapped
