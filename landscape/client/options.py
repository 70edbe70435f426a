"""Keyword arguments of `Client.surface` and its like, as the body of `POST /api/jobs`.

Imports grid and answers. The names and limits are the service's (service/jobs/spec.py); a test holds the two together.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..grid import Axis, Grid
from .models import Checkpoint

CheckpointLike = str | Checkpoint  # its id, or what an upload returned
BatchNorm = Literal["frozen", "recalibrated", "batch"]
Split = Literal["train", "test"]


class Choices(TypedDict, total=False):
    """What every kind of job may choose; absent means the service's default."""

    architecture: str  # label of the network meant, where several fit
    dataset: str  # name, or id of an uploaded one
    split: Split
    also: Split  # a second split, in columns of its own
    subset: "int | Mapping[str, int]"  # of the first split: a count, or {"count": …, "seed": …}
    loss: Literal["cross_entropy", "mse"]
    label_smoothing: float
    weight_decay: float
    batch_norm: BatchNorm
    compare_batch_norm: list[BatchNorm]
    calibration: int
    precision: Literal["float32", "float64", "bfloat16"]
    name: str


class Drawn(Choices, total=False):
    """How random directions are drawn."""

    seed: int
    normalization: Literal["filter", "layer", "weight", "dfilter", "dlayer", "none"]
    biases: Literal["fixed", "parameter", "random"]
    orthogonality: Literal["filter", "overall", "none"]
    drawn: Literal["named", "authors"]


class Repeatable(Drawn, total=False):
    """A mean over several seeds, or directions that the loss itself singles out."""

    repeats: int
    directions: Literal["random", "gradient", "eigenvectors"]


class Curved(Drawn, total=False):
    """What the Hessian is taken over, and for how long."""

    over: Literal["filters", "all"]
    steps: int


def body(kind: str, grid: Grid | None, choices: Mapping[str, Any], **named: Any) -> dict[str, Any]:
    """The request for a job of this kind; checkpoints may be named by what an upload returned."""
    subset = choices.get("subset")
    given = {**choices, "subset": {"count": subset} if isinstance(subset, int) else subset}
    given |= {name: _ids(checkpoint) for name, checkpoint in named.items()}
    given |= {"grid": _grid(grid) if grid else None}
    return {"kind": kind, **{name: value for name, value in given.items() if value is not None}}


def id_of(checkpoint: CheckpointLike) -> str:
    return checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint


def _ids(checkpoints: Any) -> Any:
    return id_of(checkpoints) if isinstance(checkpoints, str | Checkpoint) else [id_of(one) for one in checkpoints]


def _grid(grid: Grid) -> dict[str, Any]:
    axes = {"alpha": grid.alpha, "beta": grid.beta}
    return {name: _axis(axis) for name, axis in axes.items() if axis is not None}


def _axis(axis: Axis) -> dict[str, float | int]:
    return {"min": float(axis.min), "max": float(axis.max), "count": axis.count}
