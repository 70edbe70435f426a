"""Trajectories: the PCA plane of a training run, the run's coordinates in it, and the distances from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import PlaneError
from ..results.content import ComparedByContent
from .plane import Plane, State, difference
from .random import Params, combine, dot

FEWEST = 4  # checkpoints at least


@dataclass(frozen=True, eq=False)
class Principal(ComparedByContent):
    """Principal components of a training run, as scikit-learn's PCA finds them."""

    components: tuple[Params, ...]  # shapes of the parameters; orthonormal over them, no filter normalization
    variance_ratio: tuple[float, ...]  # share of the variance along each component found, largest first
    singular_values: tuple[float, ...]
    variance: tuple[float, ...]


@dataclass(frozen=True)
class Path:
    """A training run projected onto a plane."""

    coordinates: tuple[tuple[float, float], ...]  # (M, 2), least squares
    distances: tuple[float, ...]  # (M,) from the plane, share of the distance from the center; 0 at the center
    losses: tuple[float, ...] = ()  # (M,) of each checkpoint, with its own statistics
    plane_losses: tuple[float, ...] = ()  # (M,) at its projection, with the statistics of the plot

    @property
    def residuals(self) -> tuple[float, ...]:
        """(M,) plane loss − own loss: the error of the picture at each epoch."""
        return tuple(plane - own for plane, own in zip(self.plane_losses, self.losses, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; NaN and infinity as null."""
        return {
            "coordinates": [list(point) for point in self.coordinates],
            "distances": list(self.distances),
            "losses": _finite(self.losses),
            "plane_losses": _finite(self.plane_losses),
            "residuals": _finite(self.residuals),
        }


def _finite(numbers: Sequence[float]) -> list[float | None]:
    return [number if abs(number) < float("inf") else None for number in numbers]


def principal(states: Sequence[State], *, parameters: Collection[str], count: int = 2) -> Principal:
    """Principal components of θ_e − θ_last over the saved epochs, centered, from the M × M Gram matrix.

    Args:
        states: M checkpoints in the order of training, the last one the center; only tensors in `parameters` are used.
        parameters: names of the tensors that span the space.

    Raises:
        PlaneError: fewer than four checkpoints, or fewer than `count` directions in which they differ.
        ShapeMismatchError, NotFiniteError: a checkpoint is another network's, or not finite.

    Source: Li et al. 2018, section 7. Costs M² inner products; nothing of size parameters² is allocated.
    """
    moves = differences(states, parameters)
    gram = _gram(moves)
    centered = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = torch.linalg.eigh(centered)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    if not values[0] or float(values[min(count, len(values)) - 1]) <= 1e-12 * float(values[0]):
        raise PlaneError(
            f"The checkpoints differ along fewer than {count} directions: no plane fits them. "
            "Save checkpoints that are further apart."
        )
    components = [_component(moves, vectors[:, k], float(values[k])) for k in range(count)]
    shares = values / values.sum()
    return Principal(
        tuple(_orthonormal(components)),
        tuple(shares[:count].tolist()),
        tuple(values[:count].sqrt().tolist()),
        tuple((values[:count] / (len(states) - 1)).tolist()),
    )


def _gram(moves: Sequence[Params]) -> Tensor:
    """(M, M) inner products."""
    gram = torch.zeros(len(moves), len(moves), dtype=torch.float64)
    for i, one in enumerate(moves):
        for j, other in enumerate(moves[: i + 1]):
            gram[i, j] = gram[j, i] = dot(one, other)
    return gram


def _component(moves: Sequence[Params], weights: Tensor, value: float) -> Params:
    """Σ weights[e] · (moves[e] − mean), scaled to norm 1; the largest weight is positive, which fixes the sign."""
    weights = (weights - weights.mean()) / value**0.5
    sign = float(torch.sign(weights[weights.abs().argmax()]))
    return combine(moves, (sign * weights).tolist())


def _orthonormal(components: Sequence[Params]) -> list[Params]:
    """The components made orthonormal again: a Gram matrix squares the rounding error."""
    kept: list[Params] = []
    for component in components:
        rest = combine([component, *kept], [1.0, *(-dot(component, other) for other in kept)])
        kept.append(combine([rest], [1 / dot(rest, rest) ** 0.5]))
    return kept


def differences(states: Sequence[State], parameters: Collection[str]) -> list[Params]:
    """θ_e − θ_last for every checkpoint e, over `parameters` with their shapes, float64.

    Raises:
        PlaneError: fewer than four checkpoints.
        ShapeMismatchError, NotFiniteError: see `plane.difference`.
    """
    if len(states) < FEWEST:
        raise PlaneError(
            f"A trajectory needs at least {FEWEST} checkpoints; got {len(states)}. "
            "Any three lie in one plane, so a picture of fewer would show nothing. Save more epochs."
        )
    whole = [difference(state, states[-1]) for state in states]
    return [{name: move[name] for name in parameters} for move in whole]


def principal_plane(found: Principal) -> Plane:
    """The plane of the first two components; its facts include their shares of variance."""
    facts = {
        "label": f"PCA plane, {100 * sum(found.variance_ratio[:2]):.1f} % of the trajectory's variance",
        "explained_variance_ratio_": list(found.variance_ratio),
        "singular_values_": list(found.singular_values),
        "explained_variance_": list(found.variance),
    }
    return Plane(found.components[:2], "pca", facts)


def project(states: Sequence[State], plane: Plane, *, parameters: Collection[str]) -> Path:
    """Coordinates of every checkpoint in `plane` by least squares, with the last checkpoint at (0, 0).

    The directions need not be orthonormal (the authors' cosine projection requires it).

    Raises:
        PlaneError, ShapeMismatchError, NotFiniteError: see `differences`.

    Source: Li et al. 2018, section 7, and "lstsq" in the authors' projection.py.
    """
    moves = differences(states, parameters)
    kept = [{name: direction[name] for name in parameters if name in direction} for direction in plane.directions]
    gram = torch.tensor([[dot(one, other) for other in kept] for one in kept], dtype=torch.float64)
    against = torch.tensor([[dot(one, move) for one in kept] for move in moves], dtype=torch.float64)
    solved = torch.linalg.solve(gram, against.T).T
    return Path(
        tuple((float(alpha), float(beta)) for alpha, beta in solved),
        tuple(_missed(move, kept, point.tolist()) for move, point in zip(moves, solved, strict=True)),
    )


def _missed(move: Params, directions: Sequence[Mapping[str, Tensor]], point: Sequence[float]) -> float:
    """‖residual of `move` off the plane‖ / ‖move‖."""
    length = dot(move, move)
    whole = [{**{name: torch.zeros_like(move[name]) for name in move}, **direction} for direction in directions]
    rest = combine([move, *whole], [1.0, *(-coefficient for coefficient in point)])
    return float((dot(rest, rest) / length) ** 0.5) if length else 0.0
