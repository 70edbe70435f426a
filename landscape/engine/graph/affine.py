"""Parameters, and their folded forms, as affine functions of the coefficients of the directions.

Sums, linear maps and products with a constant stay affine, so folding is done once per plan in float64 and never per
point.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """center + Σ coefficients[k] · steps[k], in float64, each step in the shape of the center; None stands for zero."""

    center: Tensor
    steps: tuple[Tensor | None, ...]

    @property
    def constant(self) -> bool:
        """Whether no direction changes it."""
        return all(step is None for step in self.steps)

    def map(self, linear: Callable[[Tensor], Tensor]) -> "Affine":
        """Apply `linear`, which must be a linear map, to the center and to every step."""
        return Affine(linear(self.center), tuple(None if step is None else linear(step) for step in self.steps))

    def times(self, other: "Affine") -> "Affine":
        """The element-wise product; one of the two must be constant."""
        if not other.constant:
            return other.times(self)
        return self.map(lambda tensor: tensor * other.center)

    def plus(self, other: "Affine") -> "Affine":
        """The element-wise sum."""
        pairs = zip(self.steps, other.steps, strict=True)
        return Affine(self.center + other.center, tuple(_plus(one, two) for one, two in pairs))


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
