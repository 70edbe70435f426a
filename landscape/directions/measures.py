"""Measured angles and norms of directions, for the self-check."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .random import dot, filter_norms, filtered, rows


@dataclass(frozen=True)
class DirectionMeasures:
    """Measurements of one direction or a pair; NaN where there is nothing to measure."""

    cosine: float | None  # cos(delta, eta) over all parameters, unitless; None for a single direction
    turned_cosine: float | None  # the same without one-element filters, where two directions cannot be orthogonal
    filter_ratio_min: float  # smallest and largest ‖direction filter‖ / ‖center filter‖ over the directions
    filter_ratio_max: float
    layer_ratio_min: float  # the same for whole parameters that have filters
    layer_ratio_max: float
    filters: int  # filters of the center with a norm above zero
    zero_filters: int  # filters of the center that are zero, and therefore do not move
    zero_names: list[str]  # the parameters they belong to, at most five
    parallel_filters: int  # one-element filters


def measure_directions(
    directions: Sequence[Mapping[str, Tensor]], center: Mapping[str, Tensor], scales: Collection[str] = ()
) -> DirectionMeasures:
    """Measure a pair of directions (or one) against its center, in float64; `scales` have no filters.

    One parameter after the other, since directions may be drawn again at every use; running statistics are left out.
    """
    names = set(filtered(center, scales))
    every, turned = _Products(), _Products()
    ratios: list[tuple[float, float]] = []
    layers: list[tuple[float, float]] = []
    moving = zero = parallel = 0
    zero_names: list[str] = []
    for name, parameter in center.items():
        parts = [direction[name] for direction in directions]
        own = rows(parameter, name in names)
        alone = own.shape[1] < 2 and (name in names or any(bool(part.any()) for part in parts))
        every.add(parts)
        if alone:
            parallel += len(own)
        else:
            turned.add(parts)
        if name in names:
            norms = filter_norms(parameter)
            moving, zero = moving + int((norms > 0).sum()), zero + int((norms == 0).sum())
            zero_names += [name] if bool((norms == 0).any()) else []
            for part in parts:
                lengths = filter_norms(part)
                ratios += _range(lengths, norms)
                layers += _range(lengths.norm()[None], norms.norm()[None])
    pair = len(directions) == 2
    return DirectionMeasures(
        cosine=every.cosine() if pair else None,
        turned_cosine=turned.cosine() if pair else None,
        filter_ratio_min=min((low for low, _ in ratios), default=math.nan),
        filter_ratio_max=max((high for _, high in ratios), default=math.nan),
        layer_ratio_min=min((low for low, _ in layers), default=math.nan),
        layer_ratio_max=max((high for _, high in layers), default=math.nan),
        filters=moving,
        zero_filters=zero,
        zero_names=zero_names[:5],
        parallel_filters=parallel if pair else 0,
    )


class _Products:
    """Sums over parameters of the inner products of two directions."""

    def __init__(self) -> None:
        self._sums = [0.0, 0.0, 0.0]

    def add(self, parts: Sequence[Tensor]) -> None:
        one, other = ({"": part} for part in (parts[0], parts[-1]))
        self._sums = [
            total + dot(*pair)
            for total, pair in zip(self._sums, ((one, other), (one, one), (other, other)), strict=True)
        ]

    def cosine(self) -> float:
        """cos(δ, η); 0 where either is zero."""
        both, first, second = self._sums
        lengths = first**0.5 * second**0.5
        return both / lengths if lengths else 0.0


def _range(own: Tensor, wanted: Tensor) -> list[tuple[float, float]]:
    """Smallest and largest own / wanted, where the latter is above zero; empty without any."""
    ratios = own[wanted > 0] / wanted[wanted > 0]
    return [(float(ratios.min()), float(ratios.max()))] if len(ratios) else []


def cosine(delta: Mapping[str, Tensor], eta: Mapping[str, Tensor]) -> float:
    """cos(delta, eta) over all parameters together, unitless; 0 where either is zero.

    >>> import torch
    >>> cosine({"a": torch.tensor([3.0, 4.0])}, {"a": torch.tensor([1.0, 0.0])})
    0.6
    """
    products = _Products()
    for name in delta:
        products.add((delta[name], eta[name]))
    return products.cosine()
