"""A parameter, or anything affine in the coefficients of the directions, before a point is chosen.

Imports torch. Sums, linear maps and products with something that stands still stay affine, so folding is done once
per plan in float64 and never per point.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moving:
    """center + Σ coefficients[k] · steps[k], in float64; a step that is None is zero."""

    center: Tensor
    steps: tuple[Tensor | None, ...]

    @property
    def still(self) -> bool:
        """Whether no direction moves it."""
        return all(step is None for step in self.steps)

    def map(self, linear: Callable[[Tensor], Tensor]) -> "Moving":
        """`linear` must be linear: it is applied to the center and to every step."""
        return Moving(linear(self.center), tuple(None if step is None else linear(step) for step in self.steps))

    def times(self, other: "Moving") -> "Moving":
        """The element-wise product, one of the two standing still."""
        if not other.still:
            return other.times(self)
        return self.map(lambda tensor: tensor * other.center)

    def plus(self, other: "Moving") -> "Moving":
        """The element-wise sum."""
        pairs = zip(self.steps, other.steps, strict=True)
        return Moving(self.center + other.center, tuple(_plus(one, two) for one, two in pairs))


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
