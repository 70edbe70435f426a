"""Exact float32 on GPUs: TensorFloat-32 off while a plan computes, and the caller's setting back afterwards.

Imports torch. On a GPU torch lets convolutions round their inputs to 10 bits of mantissa by default; float32 here means
float32. Without a GPU the settings exist too, and do nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TensorFloat-32 in convolutions and matrix products, whatever the caller has set; safe to nest."""
    places: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
