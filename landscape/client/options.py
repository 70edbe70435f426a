"""Keyword arguments of `Client.surface` and the other kinds of job, converted to the body of `POST /jobs`.

Names and limits are the service's (service/jobs/spec.py); a test compares the two.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..grid import Axis, Grid
from .models import Checkpoint

CheckpointLike = str | Checkpoint  # its id, or the result of an upload
BatchNorm = Literal["frozen", "recalibrated", "batch"]
Split = Literal["train", "test"]


class JobOptions(TypedDict, total=False):
    """Options of every kind of job; a missing one has the service's default."""

    architecture: str  # label of the architecture to use, if several fit
    dataset: str  # name, or id of an uploaded one
    split: Split
    also: Split  # a second split, in separate columns
    subset: "int | Mapping[str, int]"  # of the first split: a count, or {"count": …, "seed": …}
    loss: Literal["cross_entropy", "mse"]
    label_smoothing: float
    weight_decay: float
    batch_norm: BatchNorm
    compare_batch_norm: list[BatchNorm]
    calibration: int
    precision: Literal["float32", "float64", "bfloat16"]
    name: str


class DirectionOptions(JobOptions, total=False):
    """How random directions are drawn."""

    seed: int
    normalization: Literal["filter", "layer", "weight", "dfilter", "dlayer", "none"]
    biases: Literal["fixed", "parameter", "random"]
    orthogonality: Literal["filter", "overall", "none"]
    drawn: Literal["named", "authors"]


class SurfaceOptions(DirectionOptions, total=False):
    """Options of a surface or a slice: a mean over several seeds, or directions that depend on the loss."""

    repeats: int
    directions: Literal["random", "gradient", "eigenvectors"]


class CurvatureOptions(DirectionOptions, total=False):
    """Which parameters the Hessian is taken over, and for how many Lanczos steps."""

    over: Literal["filters", "all"]
    steps: int


def job_body(kind: str, grid: Grid | None, options: Mapping[str, Any], **checkpoints: Any) -> dict[str, Any]:
    """The body of a request for a job of this kind; `checkpoints` are ids or `Checkpoint`s, one or several."""
    subset = options.get("subset")
    given = {**options, "subset": {"count": subset} if isinstance(subset, int) else subset}
    given |= {name: _ids(checkpoint) for name, checkpoint in checkpoints.items()}
    given |= {"grid": _grid(grid) if grid else None}
    return {"kind": kind, **{name: value for name, value in given.items() if value is not None}}


def _ids(checkpoints: Any) -> Any:
    return _id(checkpoints) if isinstance(checkpoints, str | Checkpoint) else [_id(one) for one in checkpoints]


def _id(checkpoint: CheckpointLike) -> str:
    return checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint


def _grid(grid: Grid) -> dict[str, Any]:
    axes = {"alpha": grid.alpha, "beta": grid.beta}
    return {name: _axis(axis) for name, axis in axes.items() if axis is not None}


def _axis(axis: Axis) -> dict[str, float | int]:
    return {"min": float(axis.min), "max": float(axis.max), "count": axis.count}
