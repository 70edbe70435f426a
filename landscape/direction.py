"""Directions in parameter space: draw, orthogonalise, normalise.

Imports torch and errors. A direction has the names and shapes of its center; it never changes the center,
and never touches the global random state.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import NotFiniteError, ShapeMismatchError, UnknownNameError

Params = dict[str, Tensor]
NORMALIZATIONS = ("filter",)


@dataclass(frozen=True)
class DirectionFacts:
    """What a reader needs to trust a pair of directions."""

    cosine: float | None  # cos(delta, eta) over all parameters, unitless; None for a single direction
    filter_ratio_min: float  # smallest and largest ‖direction filter‖ / ‖center filter‖ over both directions
    filter_ratio_max: float
    filters: int  # filters of the center with a norm above zero
    zero_filters: int  # filters of the center that are zero, and so stay
    parallel_filters: int  # one-element filters, where two directions cannot be orthogonal


def has_filters(parameter: Tensor) -> bool:
    """A parameter with two axes or more has filters, one per entry of its first axis; biases and scales have none."""
    return parameter.ndim > 1


def draw(center: Mapping[str, Tensor], *, seed: int, axis: int) -> Params:
    """Draw a Gaussian direction, every element from N(0, 1), in float64 on the CPU.

    Each parameter has a generator of its own, seeded by (seed, axis, name): any process draws the same direction,
    in any order. Biases and normalization parameters (one axis or none) are zero, as in the authors' commands.

    Returns:
        A mapping with the names and shapes of `center`, unitless.
    """
    return {
        name: _gaussian(parameter, f"{seed}/{axis}/{name}") if has_filters(parameter) else _zero(parameter)
        for name, parameter in center.items()
    }


def _gaussian(parameter: Tensor, key: str) -> Tensor:
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(parameter.shape, generator=generator, dtype=torch.float64)


def _zero(parameter: Tensor) -> Tensor:
    return torch.zeros(parameter.shape, dtype=torch.float64)


def orthogonalize_filters(eta: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> Params:
    """Remove from every filter of `eta` its component along the same filter of `delta`: Gram–Schmidt inside the filter.

    A one-element filter cannot be orthogonal to another: it is left as it was drawn, and counted in `DirectionFacts`.

    Raises:
        ShapeMismatchError: a name or a shape differs.

    Source: ours; the authors rely on independent Gaussians being nearly orthogonal.
    """
    _require_same_shapes(eta, delta)
    return {name: _reject(eta[name], delta[name]) for name in eta}


def _reject(eta: Tensor, delta: Tensor) -> Tensor:
    if not has_filters(eta) or eta[0].numel() < 2:
        return eta.clone()
    rows, onto = eta.flatten(1), delta.flatten(1)
    squares = (onto * onto).sum(1, keepdim=True)
    for _ in range(2):  # the second pass removes what rounding left of the first
        rows = rows - torch.where(squares > 0, (rows * onto).sum(1, keepdim=True) / squares, 0.0) * onto
    return rows.view_as(eta)


def filter_normalize(direction: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> Params:
    """Rescale every filter of `direction` to the norm of the same filter of `center`.

    A filter is one entry along the first axis: the weights that make one output channel or
    one output neuron. Parameters with fewer than two axes have no filters and become zero.

    Returns:
        A new mapping d with ‖d[name][i]‖ = ‖center[name][i]‖ (Frobenius) for every filter i,
        unitless. A filter that is zero in either argument is zero. Arguments are not changed.

    Raises:
        ShapeMismatchError: a name or a shape differs.

    Source: Li et al. 2018, section 4. Zero for biases and normalization scales follows the
    commands the authors published, not the text of the paper.
    """
    _require_same_shapes(direction, center)
    return {name: _rescale(direction[name], center[name]) for name in center}


def _rescale(direction: Tensor, center: Tensor) -> Tensor:
    if not has_filters(center):
        return torch.zeros_like(direction)
    own, wanted = _filter_norms(direction), _filter_norms(center)
    factor = torch.where(own > 0, wanted / own, 0.0)
    return direction * factor.view(-1, *[1] * (direction.ndim - 1))


def _filter_norms(parameter: Tensor) -> Tensor:
    return parameter.detach().to("cpu", torch.float64).flatten(1).square().sum(1).sqrt()


def random_directions(
    center: Mapping[str, Tensor], *, seed: int, count: int = 2, normalization: str = "filter"
) -> tuple[Params, ...]:
    """Draw `count` (1 or 2) random directions, orthogonal inside every filter, then filter-normalised.

    Both properties are exact to rounding, since rescaling a filter does not turn it.

    Raises:
        UnknownNameError: `normalization` is not one of `NORMALIZATIONS`.
        NotFiniteError: the center holds NaN or infinity.
    """
    if normalization not in NORMALIZATIONS:
        raise UnknownNameError("normalization", normalization, NORMALIZATIONS)
    _require_finite(center)
    delta = filter_normalize(draw(center, seed=seed, axis=0), center)
    if count == 1:
        return (delta,)
    eta = orthogonalize_filters(draw(center, seed=seed, axis=1), delta)
    return delta, filter_normalize(eta, center)


def direction_facts(directions: tuple[Params, ...], center: Mapping[str, Tensor]) -> DirectionFacts:
    """Measure a pair of directions (or one) against its center, in float64."""
    filtered = [name for name, parameter in center.items() if has_filters(parameter)]
    norms = torch.cat([_filter_norms(center[name]) for name in filtered] or [torch.zeros(0, dtype=torch.float64)])
    ratios = [
        torch.cat([_filter_norms(direction[name]) for name in filtered])[norms > 0] / norms[norms > 0]
        for direction in directions
        if filtered
    ]
    every = torch.cat(ratios) if ratios else torch.zeros(0, dtype=torch.float64)
    single = sum(len(center[name]) for name in filtered if center[name][0].numel() < 2) if len(directions) > 1 else 0
    return DirectionFacts(
        cosine=cosine(*directions) if len(directions) == 2 else None,
        filter_ratio_min=float(every.min()) if len(every) else math.nan,
        filter_ratio_max=float(every.max()) if len(every) else math.nan,
        filters=int((norms > 0).sum()),
        zero_filters=int((norms == 0).sum()),
        parallel_filters=single,
    )


def cosine(delta: Mapping[str, Tensor], eta: Mapping[str, Tensor]) -> float:
    """cos(delta, eta) over all parameters together, unitless; 0 where either is zero."""
    dot = sum(float((delta[name].double() * eta[name].double()).sum()) for name in delta)
    lengths = [
        math.sqrt(sum(float(d.double().square().sum()) for d in direction.values())) for direction in (delta, eta)
    ]
    return dot / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def _require_same_shapes(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    if one.keys() != other.keys():
        odd = sorted(one.keys() ^ other.keys())
        raise ShapeMismatchError(
            f"Parameter {odd[0]!r} is on one side only ({len(odd)} such). "
            "Use a direction made from the same architecture."
        )
    for name, tensor in one.items():
        if tensor.shape != other[name].shape:
            raise ShapeMismatchError(
                f"Parameter {name!r} has shape {tuple(tensor.shape)} in the direction; the checkpoint has "
                f"{tuple(other[name].shape)}. Use a direction made from the same architecture."
            )


def _require_finite(center: Mapping[str, Tensor]) -> None:
    for name, parameter in center.items():
        if not bool(torch.isfinite(parameter).all()):
            raise NotFiniteError(
                f"Parameter {name!r} holds NaN or infinity: the checkpoint has no landscape around it."
            )
