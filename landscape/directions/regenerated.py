"""Random directions drawn again whenever one of their parameters is needed: for networks too large to keep them."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from .random import random_directions


class Regenerated(Mapping[str, Tensor]):
    """One of `count` random directions, parameter by parameter: the same bits as `random_directions` draws.

    Possible where every parameter is drawn and made orthogonal by itself: `drawn` "named", `orthogonality` "filter" or
    "none". Only the last parameter is kept, so at most that much memory is in use beside the center.
    """

    def __init__(self, center: Mapping[str, Tensor], axis: int, of: "Draw"):
        self._center, self._axis, self._of = center, axis, of

    def __getitem__(self, name: str) -> Tensor:
        return self._of(name)[self._axis]

    def __iter__(self) -> Iterator[str]:
        return iter(self._center)

    def __len__(self) -> int:
        return len(self._center)


class Draw:
    """Draws one parameter of all directions; keeps the last."""

    def __init__(self, center: Mapping[str, Tensor], **how: Any):
        self._center, self._how = center, how
        self._last: tuple[str, tuple[Tensor, ...]] | None = None

    def __call__(self, name: str) -> tuple[Tensor, ...]:
        """The parameter called `name` of every direction, in its shape, float64 on the CPU.

        Raises:
            UnknownNameError, NotFiniteError: see `random_directions`.
        """
        if self._last is None or self._last[0] != name:
            self._last = None
            drawn = random_directions({name: self._center[name]}, **self._how)
            self._last = name, tuple(direction[name] for direction in drawn)
        return self._last[1]


def regenerated_directions(center: Mapping[str, Tensor], *, count: int, **how: Any) -> tuple[Regenerated, ...]:
    """`count` directions as of `random_directions` with the options `how`, which are not kept in memory.

    Raises:
        UnknownNameError, NotFiniteError: see `random_directions`; when a parameter is used.
    """
    draw = Draw(center, count=count, **how)
    return tuple(Regenerated(center, axis, draw) for axis in range(count))


def can_be_regenerated(*, drawn: str, orthogonality: str) -> bool:
    """Whether every parameter of such directions is drawn by itself."""
    return drawn == "named" and orthogonality in ("filter", "none")
