"""Measured angles and norms of directions, for the self-check."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .random import Params, dot, filter_norms, filtered, norm, rows


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
    directions: Sequence[Params], center: Mapping[str, Tensor], scales: Collection[str] = ()
) -> DirectionMeasures:
    """Measure a pair of directions (or one) against its center, in float64; `scales` have no filters."""
    directions = [{name: direction[name] for name in center} for direction in directions]  # no running statistics
    names = filtered(center, scales)
    ratios = [_ratios(direction, center, names) for direction in directions]
    low, high = _range([filters for filters, _ in ratios])
    layer_low, layer_high = _range([layers for _, layers in ratios])
    norms = torch.cat([filter_norms(center[name]) for name in names] or [torch.zeros(0)])
    single = [
        name for name in center if rows(center[name], name in names).shape[1] < 2 and _may_move(name, names, directions)
    ]
    turned = [{name: one for name, one in direction.items() if name not in single} for direction in directions]
    return DirectionMeasures(
        cosine=cosine(directions[0], directions[1]) if len(directions) == 2 else None,
        turned_cosine=cosine(turned[0], turned[1]) if len(directions) == 2 else None,
        filter_ratio_min=low,
        filter_ratio_max=high,
        layer_ratio_min=layer_low,
        layer_ratio_max=layer_high,
        filters=int((norms > 0).sum()),
        zero_filters=int((norms == 0).sum()),
        zero_names=[name for name in names if bool((filter_norms(center[name]) == 0).any())][:5],
        parallel_filters=sum(len(rows(center[name], name in names)) for name in single) if len(directions) > 1 else 0,
    )


def _may_move(name: str, names: list[str], directions: Sequence[Params]) -> bool:
    return name in names or any(bool(direction[name].any()) for direction in directions)


def _ratios(direction: Params, center: Mapping[str, Tensor], names: list[str]) -> tuple[Tensor, Tensor]:
    """‖direction‖ / ‖center‖ for every filter and for every parameter, where the center's is above zero."""
    pairs = [(filter_norms(direction[name]), filter_norms(center[name])) for name in names]
    layers = [(own.norm()[None], wanted.norm()[None]) for own, wanted in pairs]
    return _quotients(pairs), _quotients(layers)


def _quotients(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    parts = [own[wanted > 0] / wanted[wanted > 0] for own, wanted in pairs]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def _range(ratios: list[Tensor]) -> tuple[float, float]:
    every = torch.cat(ratios)
    return (float(every.min()), float(every.max())) if len(every) else (math.nan, math.nan)


def cosine(delta: Mapping[str, Tensor], eta: Mapping[str, Tensor]) -> float:
    """cos(delta, eta) over all parameters together, unitless; 0 where either is zero.

    >>> cosine({"a": torch.tensor([3.0, 4.0])}, {"a": torch.tensor([1.0, 0.0])})
    0.6
    """
    lengths = norm(delta) * norm(eta)
    return dot(delta, eta) / lengths if lengths else 0.0
