"""How much memory a landscape needs, before it is made; and how it is computed where that is more than there is."""

from dataclasses import dataclass

from torch import nn

from .. import memory
from ..errors import MemoryExhaustedError

SMALL = 1 << 30  # bytes: less is not looked at
# Times the weights in float32, besides the caller's own copy; measured, see docs/performance.md:
ENGINE = 24  # a copy, both directions, the engine's sums and the check in float64, the engine's weights
PLAIN = 12  # the same without the engine
STREAMED = 3  # a copy, the weights at one point, and the check of the center in float32
LARGEST = 12  # times the largest parameter, while it is drawn and normalized


@dataclass(frozen=True)
class Way:
    """How a landscape is computed."""

    engine: bool = True  # else plainly
    kept: bool = True  # directions are kept; else drawn again for every point
    exact: bool = True  # the loss at the center is checked in float64; else in the types of the module
    why: str = ""  # for the provenance; empty if nothing stands against all of it


def way(model: nn.Module, *, can_regenerate: bool) -> Way:
    """The fastest way that fits into the memory that this process can still take.

    Args:
        can_regenerate: whether directions need not be kept.

    Raises:
        MemoryExhaustedError: none fits; the message has the figures.
    """
    weights = sum(4 * one.numel() * (2 if one.is_complex() else 1) for one in model.parameters())
    if ENGINE * weights <= SMALL:
        return Way()
    there = memory.available()
    rest = LARGEST * max(4 * one.numel() for one in model.parameters())
    if ENGINE * weights + rest <= there:
        return Way()
    words = f"weights of {_size(weights)}, {_size(there)} of memory available"
    least = STREAMED if can_regenerate else PLAIN
    if least * weights + rest > there:
        raise MemoryExhaustedError(_refusal(weights, there, least * weights + rest))
    if PLAIN * weights + rest <= there:
        return Way(engine=False, why=f"without the engine: {words}")
    return Way(engine=False, kept=False, exact=False, why=f"with directions drawn again at every point: {words}")


def _refusal(weights: int, there: int, needed: int) -> str:
    return (
        f"The network has {_size(weights)} of weights in float32; its landscape needs about {_size(needed)} of memory, "
        f"and {_size(there)} are available. Use a machine or a process with more memory."
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.2g} GB"
