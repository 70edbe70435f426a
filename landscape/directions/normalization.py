"""Rescaling a direction against its center: one function per kind of normalization, from filters to factors.

`directions.random.normalize` calls them parameter by parameter. A new kind is a function here, its line in `KINDS`, and
its name in service/jobs/spec.py, which a test compares with `KINDS`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Factor = Callable[[Tensor, Tensor], Tensor]  # (drawn, wanted), both (filters, entries) -> factors, broadcast to them


def to_filters(drawn: Tensor, wanted: Tensor) -> Tensor:
    """(filters, 1): every filter gets the norm of the same filter of the center.

    Source: Li et al. 2018, section 4.
    """
    return _ratio(_norms(drawn), _norms(wanted))


def to_layers(drawn: Tensor, wanted: Tensor) -> Tensor:
    """(1, 1): the parameter gets the norm of the same parameter of the center.

    Source: normalize_direction in the authors' net_plotter.py (Li et al. 2018).
    """
    return _ratio(_norms(drawn.reshape(1, -1)), _norms(wanted.reshape(1, -1)))


def to_weights(_: Tensor, wanted: Tensor) -> Tensor:
    """(filters, entries): every entry is multiplied by the same entry of the center.

    Source: normalize_direction in the authors' net_plotter.py (Li et al. 2018).
    """
    return wanted


def to_unit_filters(drawn: Tensor, _: Tensor) -> Tensor:
    """(filters, 1): every filter gets norm 1.

    Source: normalize_direction in the authors' net_plotter.py (Li et al. 2018).
    """
    norms = _norms(drawn)
    return _ratio(norms, torch.ones_like(norms))


def to_unit_layers(drawn: Tensor, _: Tensor) -> Tensor:
    """(1, 1): the parameter gets norm 1.

    Source: normalize_direction in the authors' net_plotter.py (Li et al. 2018).
    """
    norms = _norms(drawn.reshape(1, -1))
    return _ratio(norms, torch.ones_like(norms))


def as_drawn(drawn: Tensor, _: Tensor) -> Tensor:
    """(1, 1), one: not rescaled."""
    return torch.ones(1, 1, dtype=drawn.dtype)


KINDS: dict[str, Factor] = {
    "filter": to_filters,
    "layer": to_layers,
    "weight": to_weights,
    "dfilter": to_unit_filters,
    "dlayer": to_unit_layers,
    "none": as_drawn,
}


def _norms(filters: Tensor) -> Tensor:
    return filters.square().sum(1).sqrt()


def _ratio(own: Tensor, target: Tensor) -> Tensor:
    """target / own; 0 where `own` is 0."""
    return torch.where(own > 0, target / own, 0.0)[:, None]
