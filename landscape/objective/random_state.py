"""Preserves the global random states of torch, NumPy and Python while a model or a data loader draws numbers."""

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import numpy as np
import torch

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restores the random states at the end, also after an exception or Ctrl-C."""
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


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All global generators begin with `seed`; at the end their states are restored."""
    with random_state_kept():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield


def keeps_random_state(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """`function` under `random_state_kept`."""

    @functools.wraps(function)
    def wrapped(*arguments: Arguments.args, **options: Arguments.kwargs) -> Returned:
        with random_state_kept():
            return function(*arguments, **options)

    return wrapped
