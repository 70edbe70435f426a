"""Slices and surfaces: one network, one data set, one or two directions, evaluated point by point.

Imports direction, objective, engine, grid, result. Never stores, sends or draws anything, and never changes the model.
"""

import builtins
import hashlib
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from . import __version__, engine
from .direction import Params, direction_facts, random_directions
from .errors import DataError, GridError
from .grid import Grid, Point, tiles
from .objective import Objective, Stopped, Value
from .result import Result, finite_or_none

Stop = Callable[[], bool]
Progress = Callable[[int, int], None]


class Landscape:
    """L(θ* + αδ + βη) of one model on one data set, ready to be evaluated at any (α, β).

    Directions are random, filter-normalised and orthogonal inside every filter; the model is copied, not changed.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        dimensions: int = 2,
        seed: int = 0,
        normalization: str = "filter",
        precision: str = "float32",
        choice: Mapping[str, Any] | None = None,
    ):
        """
        Args:
            model: any module that maps `images` to class scores (N, classes).
            images: (N, …), floating, already normalised.
            labels: (N,), integers in [0, classes).
            dimensions: 1 for a slice, 2 for a surface.
            choice: how the engine computes, as an earlier landscape's `plan.choice` says: equal bits in any process.

        Raises:
            DataError, NotFiniteError, UnknownNameError: see `Objective.of` and `random_directions`.
        """
        self.model = model
        self.digest = state_digest(model)
        self.objective = Objective.of(model, images, labels, precision=precision)
        _require_fit(self.objective)
        self.center = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self.seed, self.normalization, self.precision = seed, normalization, precision
        self.directions: tuple[Params, ...] = random_directions(
            self.center, seed=seed, count=dimensions, normalization=normalization
        )
        self.plan = engine.plan(self.objective, self.directions, choice)

    def values(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """Values at `coordinates`, each (α,) or (α, β).

        Raises:
            Stopped: `stop`, asked before every batch, answered true.
        """
        return self.plan.values([point[: len(self.directions)] for point in coordinates], stop)

    def unchanged(self) -> bool:
        """Whether every parameter and buffer of the model is bit for bit what it was."""
        return state_digest(self.model) == self.digest

    def provenance(self, grid: Grid, stop: Stop | None = None) -> dict[str, Any]:
        """How the numbers are made, and what they must agree with (JSON; NaN and infinity as null)."""
        [value] = self.values([(0.0,) * len(self.directions)], stop)
        independent = self.independent_center(stop)
        facts = asdict(direction_facts(self.directions, self.center))
        return {
            "weights_sha256": self.digest,
            "seed": self.seed,
            "normalization": self.normalization,
            **{name: finite_or_none(fact) if isinstance(fact, float) else fact for name, fact in facts.items()},
            "batch_norm": "frozen",
            "mode": "training" if any(module.training for module in self.objective.model.modules()) else "evaluation",
            "precision": self.precision,
            "samples": len(self.objective.images),
            "center": {
                "on_grid": grid.center is not None,
                **{name: finite_or_none(number) for name, number in value._asdict().items()},
                "independent_loss": finite_or_none(independent),
                "independent_method": "plain float64 forward pass",
            },
            "model_unchanged": self.unchanged(),
            "engine": self.plan.choice,
            "device": str(self.objective.images.device),
            "versions": {"landscape": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }

    def independent_center(self, stop: Stop | None = None) -> float:
        """Mean loss of the untouched model, in nats, without engine or directions: float64, batch by batch."""
        double = Objective.of(self.model, self.objective.images, self.objective.labels, precision="float64")
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(double.images), double.batch):
                if stop is not None and stop():
                    raise Stopped
                some = builtins.slice(start, start + double.batch)
                scores = double.model(double.images[some])
                total += float(nn.functional.cross_entropy(scores, double.labels[some], reduction="sum"))
        return total / len(double.images)


def surface(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    normalization: str = "filter",
    precision: str = "float32",
    progress: Progress | None = None,
) -> Result:
    """The surface L(θ* + αδ + βη) of `model` on a grid (default 51 × 51 on [−1, 1]²), as in Li et al. 2018.

    `progress(done, total)` is called as points come in, coarse to fine. The rest is described at `Landscape`.

    Raises:
        GridError: the grid has one axis.
        DataError, NotFiniteError, UnknownNameError: see `Landscape`.
    """
    grid = grid or Grid.square()
    if grid.beta is None:
        raise GridError("A surface needs a grid with two axes. Use Grid.square(51), or slice() for one axis.")
    around = partial(Landscape, model, images, labels, seed=seed, normalization=normalization, precision=precision)
    return _compute(around(dimensions=2), grid, progress)


def slice(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    normalization: str = "filter",
    precision: str = "float32",
    progress: Progress | None = None,
) -> Result:
    """The slice L(θ* + αδ) of `model` on a line (default 51 points on [−1, 1]); see `surface`."""
    grid = grid or Grid.line()
    if grid.beta is not None:
        raise GridError("A slice needs a grid with one axis. Use Grid.line(51), or surface() for two axes.")
    around = partial(Landscape, model, images, labels, seed=seed, normalization=normalization, precision=precision)
    return _compute(around(dimensions=1), grid, progress)


def _compute(landscape: Landscape, grid: Grid, progress: Progress | None) -> Result:
    started = time.perf_counter()
    samples = len(landscape.objective.images)
    provenance = {
        **landscape.provenance(grid),
        "dataset": "tensors",
        "split": "given",
        "samples_in_split": samples,
        "data_sha256": data_digest(landscape.objective.images, landscape.objective.labels),
        "architecture": {"label": type(landscape.model).__name__},
    }
    result = Result.empty(grid, provenance)
    for points, values in evaluate(landscape, grid):
        result.put(points, values)
        if progress:
            progress(int(result.computed.sum()), math.prod(grid.shape))
    return result.closed(seconds=time.perf_counter() - started, model_unchanged=landscape.unchanged())


def evaluate(landscape: Landscape, grid: Grid) -> Iterator[tuple[list[Point], list[Value]]]:
    """Every point of the grid in finished tiles, coarse to fine."""
    for level in grid.levels():
        for points in tiles(level, max(16, landscape.plan.group)):
            yield points, landscape.values(coordinates(grid, points))


def coordinates(grid: Grid, points: Sequence[Point]) -> list[tuple[float, float]]:
    """(α, β) of each point."""
    alphas, betas = grid.alphas, grid.betas
    return [(alphas[i], betas[j]) for i, j in points]


def state_digest(model: nn.Module) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes of all parameters and buffers of `model`."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def data_digest(images: Tensor, labels: Tensor) -> str:
    """SHA-256 (hex) over shapes and bytes of samples and labels, as `Dataset.digest`."""
    from .data import Dataset

    return Dataset("", "", images.cpu(), labels.cpu(), 0, (), ()).digest


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _require_fit(objective: Objective) -> None:
    """One batch through the model, so that a misfit is a sentence and not a traceback in the middle of a grid."""
    try:
        with torch.inference_mode():
            scores = objective.model(objective.images[:2])
    except (RuntimeError, ValueError, TypeError) as error:
        shape = tuple(objective.images.shape[1:])
        raise DataError(
            f"The network cannot take samples of shape {shape}: {str(error).splitlines()[0][:200]}"
        ) from None
    if scores.ndim != 2:
        raise DataError(
            f"The network answers with shape {tuple(scores.shape)}; expected one row of class scores a sample."
        )
    low, high = int(objective.labels.min()), int(objective.labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise DataError(
            f"The data has labels from {low} to {high}; the network has {scores.shape[1]} classes "
            f"(0 to {scores.shape[1] - 1})."
        )
