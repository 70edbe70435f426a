"""Exact float32 on GPUs: TensorFloat-32 is off while a plan computes, and the caller's setting is restored afterwards.

On a GPU torch lets convolutions round their inputs to 10 bits of mantissa by default; float32 here means float32.
Without a GPU the settings have no effect.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """Disable TensorFloat-32 in convolutions and matrix products, even if the caller allows it; may be nested."""
    settings: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision
