"""Planes and lines, along given directions or through checkpoints; and the parameters at any point.

A plane may move BatchNorm's running statistics too: its directions then include buffers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import NotFiniteError, PlaneError, ShapeMismatchError
from ..results.content import ComparedByContent
from .random import Params, combine, completed, dot, double, norm

State = Mapping[str, Tensor]
Landmark = tuple[str, tuple[float, ...]]  # name and coordinates of a point

COLLINEAR = (
    1e-6  # distance of the third point from the line through the others, as a share of its distance to the first
)


@dataclass(frozen=True, eq=False)
class Plane(ComparedByContent):
    """One or two directions from a center, and their source."""

    directions: tuple[Params, ...]  # names and shapes of parameters and floating buffers; float64 on the CPU
    source: str  # "random", "between checkpoints", "through checkpoints", "pca", "gradient", "eigenvectors", "file", …
    facts: dict[str, Any] = field(default_factory=dict)  # JSON, for the provenance
    landmarks: tuple[Landmark, ...] = ()  # points to mark on the plot

    def at(self, center: State, point: Sequence[float]) -> Params:
        """center + Σ point[k] · directions[k], with names, shapes, types and devices of `center`.

        Summed in float64 and rounded once.

        >>> center = {"weight": torch.tensor([2.0, 3.0])}
        >>> line = from_directions([{"weight": torch.tensor([1.0, 0.0])}], center)
        >>> line.at(center, [0.5])["weight"].tolist()
        [2.5, 3.0]
        """
        return {name: self._moved(name, tensor, point) for name, tensor in center.items()}

    def _moved(self, name: str, tensor: Tensor, point: Sequence[float]) -> Tensor:
        pairs = zip(point, self.directions, strict=True)
        moves = [coefficient * direction[name] for coefficient, direction in pairs if name in direction]
        if not moves:
            return tensor
        moved = double(tensor) + torch.stack(moves).sum(0)
        return moved.to(tensor.device, tensor.dtype)

    def moves(self, names: Collection[str]) -> bool:
        """Whether any of the parameters or buffers in `names` moves."""
        return any(name in direction and bool(direction[name].any()) for direction in self.directions for name in names)


def from_directions(directions: Sequence[State], center: State, *, source: str = "given", **facts: Any) -> Plane:
    """The plane along given directions; parameters missing from them do not move.

    Raises:
        ShapeMismatchError: a name is unknown or a shape differs.
        NotFiniteError: a direction holds NaN or infinity.
        PlaneError: not one or two directions, or one is zero everywhere.
    """
    if len(directions) not in (1, 2):
        raise PlaneError(f"Got {len(directions)} directions; a slice has one, a surface two.")
    whole = tuple(completed(direction, center) for direction in directions)
    for name, direction in zip(("first", "second"), whole, strict=False):
        if not norm(direction):
            raise PlaneError(f"The {name} direction is zero everywhere: nothing would move.")
    return Plane(whole, source, facts)


def floating_tensors(state: State) -> Params:
    """The real and complex tensors of a state dict, of unchanged shapes, in float64 or complex128 on the CPU.

    Raises:
        NotFiniteError: one holds NaN or infinity.
    """
    kept = {name: double(tensor) for name, tensor in state.items() if tensor.is_floating_point() or tensor.is_complex()}
    for name, tensor in kept.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NotFiniteError(f"Parameter {name!r} of a checkpoint holds NaN or infinity: no plane goes through it.")
    return kept


def line_between(start: State, end: State) -> Plane:
    """The line from `start` (α = 0) to `end` (α = 1): direction = end − start, running statistics included.

    Without the statistics the far end would be a network that was never trained: the parameters of `end` with the
    statistics of `start`. Beyond the ends a running variance may become negative, and the loss NaN.

    Raises:
        ShapeMismatchError, NotFiniteError: see `difference`.
        PlaneError: the checkpoints are equal.

    Source: Goodfellow, Vinyals & Saxe 2015, arXiv:1412.6544, section 3; moving the statistics is ours.
    """
    direction = difference(end, start)
    if not norm(direction):
        raise PlaneError("The two checkpoints are equal: there is no line between them. Choose two different ones.")
    facts = {"distance": norm(direction), "moves_statistics": True, "label": "on the line between two checkpoints"}
    return Plane((direction,), "between checkpoints", facts, (("start", (0.0,)), ("end", (1.0,))))


def plane_through(first: State, second: State, third: State, *, parameters: Collection[str]) -> Plane:
    """The plane through three checkpoints, `first` at (0, 0), with orthonormal axes in the space of `parameters`.

    δ points from the first to the second, at (‖δ‖, 0); η is the rest of the way to the third. Both have norm 1 over
    `parameters`, so coordinates are distances; running statistics move too, and are exact at the three points.

    Raises:
        ShapeMismatchError, NotFiniteError: see `difference`.
        PlaneError: two checkpoints are equal, or the three lie on one line.

    Source: Garipov et al. 2018, appendix A; moving the statistics is ours.
    """
    to_second, to_third = difference(second, first), difference(third, first)

    def inner(one: Params, other: Params) -> float:
        return dot({name: one[name] for name in parameters}, other)

    length, reach = inner(to_second, to_second) ** 0.5, inner(to_third, to_third) ** 0.5
    if not length or not reach:
        raise PlaneError("Two of the three checkpoints are equal. Choose three different ones.")
    delta = combine([to_second], [1 / length])
    along = inner(to_third, delta)
    rest = combine([to_third, delta], [1, -along])
    height = inner(rest, rest) ** 0.5
    if height <= COLLINEAR * reach:
        raise PlaneError(
            "The three checkpoints lie on one line: no single plane goes through them. "
            "Use an interpolation between two of them, or choose another third."
        )
    eta = combine([rest], [1 / height])
    marks = (("first", (0.0, 0.0)), ("second", (length, 0.0)), ("third", (along, height)))
    facts = {"moves_statistics": True, "label": "on the plane through three checkpoints"}
    return Plane((delta, eta), "through checkpoints", facts, marks)


def difference(end: State, start: State) -> Params:
    """end − start over the floating tensors of both, with their names and shapes, in float64.

    Raises:
        ShapeMismatchError: a name or a shape differs; the message names it.
        NotFiniteError: one of them holds NaN or infinity.
    """
    last, first = floating_tensors(end), floating_tensors(start)
    if last.keys() != first.keys():
        odd = sorted(last.keys() ^ first.keys())
        raise ShapeMismatchError(
            f"Parameter {odd[0]!r} is in one checkpoint only ({len(odd)} such). Use checkpoints of one architecture."
        )
    for name in first:
        if last[name].shape != first[name].shape:
            raise ShapeMismatchError(
                f"Parameter {name!r} has shape {tuple(first[name].shape)} in one checkpoint and "
                f"{tuple(last[name].shape)} in another. Use checkpoints of one architecture."
            )
    return {name: last[name] - first[name] for name in first}
