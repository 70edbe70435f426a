"""Checks that model, samples, labels and loss fit together, before the first point is computed."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from .objective import Objective


def require_compatible(objective: Objective) -> None:
    """Evaluate two samples, so that a mismatch is a clear error before the grid, not a traceback within it.

    Raises:
        DataError: the network cannot take the samples, or the loss cannot take its outputs or the labels.
    """
    if objective.loss.scores:
        _require_indices(objective)
    try:
        with torch.inference_mode():
            outputs = objective.model(objective.samples(0, 2))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = tuple(objective.images.shape[1:])
        raise DataError(
            f"The network cannot take samples of shape {shape}: {str(error).splitlines()[0][:200]}"
        ) from None
    if objective.loss.scores:
        _require_scores(objective, outputs)
    first = replace(objective, images=objective.images[:2], labels=objective.labels[:2])
    first.sample_losses({})


def _require_indices(objective: Objective) -> None:
    labels = objective.labels
    if labels.ndim != 1 or labels.is_floating_point():
        raise DataError(
            f"The labels have shape {tuple(labels.shape)} and type {labels.dtype}; the loss {objective.loss.name!r} "
            "takes class indices of shape (N,). Pass a callable as the loss for other targets."
        )


def _require_scores(objective: Objective, scores: Any) -> None:
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise DataError(
            f"The network returns {found}; expected one row of class scores per sample. "
            "Pass a callable as the loss for other outputs."
        )
    low, high = int(objective.labels.min()), int(objective.labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise DataError(
            f"The data has labels from {low} to {high}; the network has {scores.shape[1]} classes "
            f"(0 to {scores.shape[1] - 1})."
        )
