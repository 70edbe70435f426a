"""`Landscape`: a network, its data sets and one or two directions, to be evaluated at any point in any process."""

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .. import engine
from ..directions.measures import measure_directions
from ..directions.plane import Plane
from ..directions.random import Params, dot, norm, random_directions
from ..directions.regenerated import can_be_regenerated, regenerated_directions
from ..engine.audit import audit, audited
from ..engine.protocol import Plan
from ..errors import DataError, PlaneError, UnknownNameError
from ..grid import Grid
from ..hessian.products import eigenvector_plane, gradient_plane
from ..keywords import checks_keywords
from ..objective.batch_norm import (
    Calibration,
    calibration_subset,
    has_batch_norm,
    require_policy,
    with_batch_statistics,
)
from ..objective.digest import same_bits, state_digest
from ..objective.interval import interval
from ..objective.losses import Loss, loss_of
from ..objective.objective import BATCH, PRECISIONS, Objective, Value, depends_on_batch, has_numbers
from ..objective.random_state import keeps_random_state
from ..objective.scales import scales
from ..objective.trial import FEW, tried
from ..options import DirectionOptions, EngineOptions, ObjectiveOptions, choices_of, require_bounds
from ..packing.module import PackedModule
from ..results.arrays import VALUES, finite_or_none
from ..stop import Stop
from ..version import __version__
from .independent import Independent
from .large import Way, way
from .movement import POINT, movement

Samples = tuple[Tensor, Tensor]
FAST = "bfloat16"
SOURCES = tuple(name for name in choices_of("Source") if name != "random")  # of directions that depend on the loss


@checks_keywords
class Landscape:
    """L(θ* + αδ + βη) of one model on one data set, ready to be evaluated at any (α, β).

    By default directions are random, filter-normalized and orthogonal inside every filter. The model is copied, not
    changed.
    """

    @keeps_random_state
    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        dimensions: int = 2,
        directions: DirectionOptions = DirectionOptions(),
        objective: ObjectiveOptions = ObjectiveOptions(),
        engine: EngineOptions = EngineOptions(),
    ):
        """
        Args:
            model: any module that maps `images` to class scores (N, classes), or to what the loss accepts.
            images: (N, …), already normalized.
            labels: (N,), integers in [0, classes), or what the loss accepts.
            dimensions: 1 for a slice, 2 for a surface; given directions have their own number.
            directions, objective, engine: the options, described in landscape/options.py; `objective.also` holds pairs
                of tensors.

        Raises:
            DataError, NotFiniteError, PlaneError, UnknownNameError: see `Objective.of` and `random_directions`.
            CurvatureError: see `plane_along`.
            MemoryExhaustedError: it needs more memory than there is; the message has the figures.
        """
        for group in (directions, objective, engine):
            require_bounds(group)
        policy, further = objective.batch_norm, objective.compare_batch_norm
        for one in (policy, *further):
            require_policy(one)
        self.model: nn.Module = model
        self.digest: str = state_digest(model)
        if engine.precision not in (*PRECISIONS, FAST):
            raise UnknownNameError("precision", engine.precision, (*PRECISIONS, FAST))
        self.precision: str = engine.precision
        self.weight_decay: float = objective.weight_decay
        self.batch_norm: str = policy
        self._batch: int | None = objective.batch
        self.loss: Loss = loss_of(objective.loss, label_smoothing=objective.label_smoothing)
        drawn = directions.directions == "random"
        # Of an engine that a process with the memory chose, the same bits are wanted; the plain ones are so in any way.
        given = (engine.choice or {}).get("engine", "plain") != "plain"
        self.way: Way = Way() if given else way(model, can_regenerate=drawn and _each_alone(directions))
        self.objective: Objective = self._objective(images, labels)
        _require_same_names(model, self.objective.model)
        if len(images) < 2 and "batch" in (policy, *further) and has_batch_norm(model):
            raise DataError("BatchNorm has no statistics of a batch of 1 sample; give it at least 2.")
        self.center: Params = {
            name: parameter.detach() for name, parameter in model.named_parameters() if has_numbers(parameter)
        }
        self.seed: int | None = directions.seed if drawn else None
        self.normalization: str = directions.normalization if drawn else "none"
        self.filters: str = directions.filters
        self.scales: tuple[str, ...] = scales(self.objective) if directions.filters == "weights" else ()
        self.plane: Plane = self._plane(directions, dimensions)
        self.directions: tuple[Params, ...] = self.plane.directions
        recalibrated = "recalibrated" in (policy, *further)
        self.calibration: Calibration | None = self._calibration(objective.calibration) if recalibrated else None
        choice = engine.choice if self.way.engine else {"engine": "plain"}
        self.plan: Plan = self._plan(self.objective, policy, choice)
        also = objective.also or {}
        self.also: dict[str, Objective] = {name: self._objective(*samples) for name, samples in also.items()}
        self._further_plans = {name: self._plan(one, policy, self.plan.choice) for name, one in self.also.items()}
        choice = None if self.way.engine else choice
        self._further_plans |= {one: self._plan(self.objective, one, choice) for one in further if one != policy}

    @property
    def fast(self) -> bool:
        """Whether values are computed in 16-bit arithmetic; the objective then is the float32 reference."""
        return self.precision == FAST

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers in a row: `VALUES`, then "test_losses", … for every further data set or policy."""
        return (*VALUES, *(f"{name}_{value}" for name in self._further_plans for value in VALUES))

    @keeps_random_state
    def values(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """Values on the first data set at `coordinates`, each (α,) or (α, β).

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        return self._values(self.plan, coordinates, stop)

    @keeps_random_state
    def rows(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[tuple[float, ...]]:
        """One row per point, its numbers named by `columns`; raises as `values`."""
        views = [self._values(plan, coordinates, stop) for plan in (self.plan, *self._further_plans.values())]
        return [tuple(number for value in point for number in value) for point in zip(*views, strict=True)]

    def unchanged(self) -> bool:
        """Whether every parameter and buffer of the model is unchanged, bit for bit."""
        return state_digest(self.model) == self.digest

    @keeps_random_state
    def provenance(self, grid: Grid, stop: Stop | None = None) -> dict[str, Any]:
        """How the numbers are computed, and the input of the self-check (JSON; NaN and infinity as null).

        Raises:
            Stopped, MemoryExhaustedError: see `values`.
        """
        [value] = self.values([(0.0,) * len(self.directions)], stop)
        facts = asdict(measure_directions(self.directions, self.center, self.scales))
        policy, tracked = self.batch_norm, has_batch_norm(self.model)
        by_batch = depends_on_batch(self.model) or (policy == "batch" and tracked)
        alone = self.independent.losses(self.model, stop)
        apart = not (by_batch or self.objective.behaviour.together)  # so that the losses of samples are independent
        return {
            "weights_sha256": self.digest,
            "seed": self.seed,
            "normalization": self.normalization,
            **{name: finite_or_none(fact) if isinstance(fact, float) else fact for name, fact in facts.items()},
            "scales": list(self.scales),
            "directions": {"source": self.plane.source, **self.plane.facts},
            "landmarks": [{"name": name, "coordinates": list(at)} for name, at in self.plane.landmarks],
            "loss": {"name": self.loss.name, "unit": self.loss.unit, "weight_decay": self.weight_decay},
            "batch_norm": policy,
            "has_batch_norm": tracked,
            "batch_statistics": by_batch,
            "batch": self.objective.batch,
            "forward": {**asdict(self.objective.behaviour), **self._movement()},
            "calibration_samples": len(self.calibration.images) if self.calibration else None,
            "mode": "training" if any(module.training for module in self.objective.model.modules()) else "evaluation",
            "precision": self.precision,
            "samples": len(self.objective.images),
            "center": {
                "on_grid": grid.center is not None,
                "point": list(grid.center) if grid.center is not None else None,
                **{name: finite_or_none(number) for name, number in value._asdict().items()},
                "independent_loss": finite_or_none(float(alone.mean())),
                "interval": interval(alone).to_json() if apart else None,
                "independent_method": self.independent.method.words,
                "independent_precision": self.independent.method.precision,
            },
            "audit": self._audit(grid) if self.fast else None,
            **({"original": self.model.compared()} if isinstance(self.model, PackedModule) else {}),
            "model_unchanged": self.unchanged(),
            "engine": self.plan.choice,
            **({"memory": self.way.why} if self.way.why else {}),
            "device": str(self.objective.images.device),
            "versions": {"landscape": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }

    @cached_property
    def independent(self) -> Independent:
        """Evaluates modules by themselves, without engine or directions."""
        calibration = self.calibration.images if self.calibration else None
        return Independent(
            self.model,
            self.objective,
            weight_decay=self.weight_decay,
            batch_norm=self.batch_norm,
            calibration=calibration,
            plain=self.plan.name == "plain",
            exact=self.way.exact,
        )

    @keeps_random_state
    def loss_of_model(self, model: nn.Module, stop: Stop | None = None) -> float:
        """Loss of any `model` on the first data set, in its unit, evaluated alone; see `Independent`.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        return self.independent.loss(model, stop)

    @keeps_random_state
    def sample_losses(self, point: Sequence[float], stop: Stop | None = None) -> Tensor:
        """(N,) float64: the loss of every sample of the first data set at `point`, without the engine."""
        objective, parameters = self.objective_at(point)
        return objective.sample_losses(parameters, stop=stop)

    def objective_at(self, point: Sequence[float]) -> tuple[Objective, Params]:
        """The objective, and parameters and statistics of `point` by the BatchNorm policy: shapes of the model's."""
        objective = with_batch_statistics(self.objective) if self.batch_norm == "batch" else self.objective
        parameters = self.plane.at(objective.parameters(), point[: len(self.directions)])
        if self.batch_norm == "recalibrated" and self.calibration is not None:
            parameters |= self.calibration.statistics(parameters)
        return objective, parameters

    def _plane(self, options: DirectionOptions, dimensions: int) -> Plane:
        source = options.directions
        if source == "random":
            return _random_plane(options, self.center, dimensions, self.scales, kept=self.way.kept)
        if isinstance(source, Plane):
            return source
        return plane_along(self.objective, source, dimensions, options.seed, self.weight_decay)

    def _objective(self, images: Tensor, labels: Tensor) -> Objective:
        precision = "float32" if self.fast else self.precision
        objective = Objective.of(
            self.model, images, labels, precision=precision, loss=self.loss, batch=self._batch or BATCH
        )
        return tried(objective, whole=self._batch is None)

    def _calibration(self, samples: Tensor | int) -> Calibration:
        images = self.objective.images
        chosen = calibration_subset(images, samples) if isinstance(samples, int) else samples
        return Calibration(self.objective, chosen.to(images.device))

    def _plan(
        self, objective: Objective, policy: str, choice: Mapping[str, Any] | None, *, exact: bool = False
    ) -> engine.Plan:
        if policy == "batch":
            own = with_batch_statistics(objective)
            return engine.plan(own, _restricted_to(self.directions, own.parameters()), choice)
        precision = FAST if self.fast and not exact else None
        calibration = self.calibration if policy == "recalibrated" else None
        return engine.plan(objective, self.directions, choice, precision=precision, calibration=calibration)

    def _values(self, plan: engine.Plan, coordinates: Sequence[Sequence[float]], stop: Stop | None) -> list[Value]:
        points = [point[: len(self.directions)] for point in coordinates]
        values = plan.values(points, stop)
        if not self.weight_decay:
            return values
        return [value._replace(loss=value.loss + self.penalty(at)) for value, at in zip(values, points, strict=True)]

    def _movement(self) -> dict[str, Any]:
        """What moving the parameters does; without memory for copies only whether the losses of a few samples move."""
        if not self.way.exact:
            few = self.objective.first(min(FEW, self.objective.batch))
            moved = few.sample_losses(self.plane.at(few.parameters(), POINT[: len(self.directions)]))
            return {"moves": not same_bits(few.sample_losses({}), moved)}
        found = asdict(movement(self.model, self.objective, self.plane))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def penalty(self, point: Sequence[float]) -> float:
        """Half of the weight decay times ‖θ‖² at `point`, in the unit of the loss."""
        if not self.weight_decay:
            return 0.0
        at = torch.tensor([1.0, *point], dtype=torch.float64)
        return 0.5 * self.weight_decay * float(at @ self._squares @ at)

    @cached_property
    def _squares(self) -> Tensor:
        """Inner products of θ*, δ and η over the parameters: ‖θ* + αδ + βη‖² is a quadratic form of (1, α, β)."""
        moves = [self.center, *({name: direction[name] for name in self.center} for direction in self.directions)]
        return torch.tensor([[dot(one, other) for other in moves] for one in moves], dtype=torch.float64)

    def _audit(self, grid: Grid) -> dict[str, Any]:
        """The error of 16-bit values against float32, at 25 points of the grid."""
        coordinates = [(alpha, beta)[: len(self.directions)] for alpha in grid.alphas for beta in grid.betas]
        exact = self._plan(self.objective, self.batch_norm, None, exact=True)
        marks = [(0.0,) * len(self.directions), *(at for _, at in self.plane.landmarks)]
        found = audit(self.plan, exact, audited(coordinates, marks))
        return {name: finite_or_none(number) for name, number in asdict(found).items()}


def plane_along(objective: Objective, source: str, dimensions: int, seed: int, weight_decay: float = 0.0) -> Plane:
    """Directions that depend on the loss at the model; see `landscape.pointwise.plane_along`.

    Raises:
        UnknownNameError: the source is neither "gradient" nor "eigenvectors".
        CurvatureError: the gradient is zero, or the Hessian has too few eigenvectors.
    """
    if source == "gradient":
        return gradient_plane(objective, dimensions=dimensions, seed=seed, weight_decay=weight_decay)
    if source == "eigenvectors":
        return eigenvector_plane(objective, count=dimensions, over="all", seed=seed, weight_decay=weight_decay)
    raise UnknownNameError("source of directions", source, SOURCES)


def _require_same_names(given: nn.Module, frozen: nn.Module) -> None:
    """Refuse a network that exchanges parameters on the way to evaluation mode, as merged branches do."""
    before, after = (set(dict(model.named_parameters())) for model in (given, frozen))
    if before != after:
        name = sorted(before ^ after)[0]
        raise DataError(
            f"The parameters of the network change on the way to evaluation mode, {name!r} for one. "
            "Pass model.eval(), so that those that are computed with are moved."
        )


def _random_plane(
    options: DirectionOptions, center: Mapping[str, Tensor], dimensions: int, scales: Sequence[str], *, kept: bool
) -> Plane:
    how = {"biases": options.biases, "orthogonality": options.orthogonality, "drawn": options.drawn}
    draw: Any = random_directions if kept else regenerated_directions
    directions = draw(
        center, seed=options.seed, count=dimensions, normalization=options.normalization, scales=scales, **how
    )
    if not all(norm(direction) for direction in directions):
        raise PlaneError(
            "Every filter of the network is zero, or it has none: a random direction moves nothing. "
            "Use biases='random' to move biases and scales, or pass your own directions."
        )
    return Plane(directions, "random", how)


def _each_alone(options: DirectionOptions) -> bool:
    return can_be_regenerated(drawn=options.drawn, orthogonality=options.orthogonality)


def _restricted_to(directions: Sequence[Params], names: Collection[str]) -> list[Params]:
    if all(name in names for direction in directions for name in direction):
        return list(directions)
    return [{name: tensor for name, tensor in direction.items() if name in names} for direction in directions]
