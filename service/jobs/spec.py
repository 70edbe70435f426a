"""The schema of a job: the body of `POST /api/v1/jobs`.

Limits that depend on the settings or the database are checked in quotas.py and compatibility.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from landscape.errors import GridError
from landscape.grid import Axis, Grid

MAX_POINTS = 1_002_001  # 1001 × 1001
MAX_RANGE = 1e6
DEFAULT_POINTS = 25 * 25  # of a plane or a trajectory, whose range is known when its checkpoints are loaded
Split = Literal["train", "test"]
BatchNorm = Literal["frozen", "recalibrated", "batch"]
Precision = Literal["float32", "float64", "bfloat16"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]{16,64}$")]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL stores any character but NUL


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AxisSpec(_Strict):
    """Equally spaced coordinates, both ends included; unitless multiples of the direction."""

    min: float = Field(-1.0, ge=-MAX_RANGE, le=MAX_RANGE)
    max: float = Field(1.0, ge=-MAX_RANGE, le=MAX_RANGE)
    count: int = Field(51, ge=2, le=100_001)

    @model_validator(mode="after")
    def _is_an_axis(self) -> "AxisSpec":
        try:
            self.axis()
        except GridError as error:
            raise ValueError(str(error)) from None
        return self

    def axis(self) -> Axis:
        return Axis(self.min, self.max, self.count)


class SliceGrid(_Strict):
    alpha: AxisSpec = AxisSpec()

    def grid(self) -> Grid:
        return Grid(self.alpha.axis())


class SurfaceGrid(_Strict):
    alpha: AxisSpec = AxisSpec()
    beta: AxisSpec = AxisSpec()

    @model_validator(mode="after")
    def _is_not_too_large(self) -> "SurfaceGrid":
        points = self.alpha.count * self.beta.count
        if points > MAX_POINTS:
            raise ValueError(f"The grid has {points} points; at most {MAX_POINTS} are allowed. Use fewer.")
        return self

    def grid(self) -> Grid:
        return Grid(self.alpha.axis(), self.beta.axis())


class SubsetSpec(_Strict):
    """A fixed subset of the samples, the same at every point: `count` of them drawn by `seed`."""

    count: int = Field(ge=1)
    seed: int = Field(0, ge=0, lt=2**63)


class _Spec(_Strict):
    """The options of every kind of job."""

    architecture: str | None = Field(
        None, max_length=300, description="Label of the architecture, where several fit; the chosen one if omitted."
    )
    dataset: Text = Field("digits", min_length=1, max_length=64)
    split: Split = "train"
    also: Split | None = Field(None, description="A second split, evaluated in the same pass into separate columns.")
    subset: SubsetSpec | None = Field(None, description="Of the first split; all of it if omitted.")
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="Adds half of it times the squared norm of all parameters."
    )
    batch_norm: BatchNorm = "frozen"
    compare_batch_norm: list[BatchNorm] = Field([], max_length=2, description="Further policies to compare with.")
    calibration: int = Field(512, ge=2, le=100_000, description="Samples on which BatchNorm is recalibrated.")
    precision: Precision = "float32"
    name: Text | None = Field(None, max_length=200, description="Name of the job on the page.")

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Ids of every checkpoint it needs; the first is the center."""
        raise NotImplementedError


class _OneCheckpoint(_Spec):
    """A kind of job around one checkpoint."""

    checkpoint: Id

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return (self.checkpoint,)


class _RandomDirections(_OneCheckpoint):
    """Random directions around one checkpoint, and how they are drawn."""

    seed: int = Field(0, ge=0, lt=2**63, description="Draws the directions.")
    normalization: Literal["filter", "layer", "weight", "dfilter", "dlayer", "none"] = "filter"
    biases: Literal["fixed", "parameter", "random"] = Field(
        "fixed", description="Directions of biases and normalization."
    )
    orthogonality: Literal["filter", "overall", "none"] = "filter"
    drawn: Literal["named", "authors"] = Field("named", description="By name and seed, or in the authors' order.")


class _Repeatable(_RandomDirections):
    """A kind that can be repeated for several seeds, or follow the gradient or the Hessian's eigenvectors."""

    repeats: int = Field(
        1, ge=1, le=64, description="Number of seeds, from `seed` on; above 1, their mean with a band."
    )
    directions: Literal["random", "gradient", "eigenvectors"] = "random"

    @model_validator(mode="after")
    def _repeats_only_random_directions(self) -> "_Repeatable":
        if self.repeats > 1 and (self.directions != "random" or self.also or self.compare_batch_norm):
            raise ValueError("repeats above 1 take random directions, one split and one BatchNorm policy.")
        return self


class SurfaceSpec(_Repeatable):
    """L(θ* + αδ + βη) on a grid."""

    kind: Literal["surface"] = "surface"
    grid: SurfaceGrid = SurfaceGrid()


class SliceSpec(_Repeatable):
    """L(θ* + αδ) on a line."""

    kind: Literal["slice"] = "slice"
    grid: SliceGrid = SliceGrid()


class CurvatureSpec(_RandomDirections):
    """λ_min, λ_max and their ratio over a grid, as well as the loss; a point costs hundreds of passes over the data."""

    kind: Literal["curvature"] = "curvature"
    grid: SurfaceGrid = SurfaceGrid(alpha=AxisSpec(count=11), beta=AxisSpec(count=11))
    over: Literal["filters", "all"] = Field("filters", description="Parameters the Hessian is taken over.")
    steps: int = Field(60, ge=4, le=1000, description="Hessian-vector products per point, at most.")


class InterpolationSpec(_OneCheckpoint):
    """L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics interpolated as well."""

    kind: Literal["interpolation"] = "interpolation"
    end: Id
    grid: SliceGrid = SliceGrid(alpha=AxisSpec(min=-0.5, max=1.5, count=41))

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return self.checkpoint, self.end


class PlaneSpec(_OneCheckpoint):
    """L on the plane through three checkpoints; coordinates are distances in parameter space."""

    kind: Literal["plane"] = "plane"
    second: Id
    third: Id
    grid: SurfaceGrid | None = Field(None, description="25 × 25 points around the three if omitted.")

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return self.checkpoint, self.second, self.third


class TrajectorySpec(_Spec):
    """The path of a training run in the plane of its two principal components, and the loss around it."""

    kind: Literal["trajectory"] = "trajectory"
    epochs: list[Id] = Field(min_length=4, max_length=1000, description="Checkpoints in the order of training.")
    grid: SurfaceGrid | None = Field(None, description="25 × 25 points around the path if omitted.")

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return self.epochs[-1], *self.epochs[:-1]


AnySpec = SurfaceSpec | SliceSpec | CurvatureSpec | InterpolationSpec | PlaneSpec | TrajectorySpec
JobSpec = Annotated[AnySpec, Field(discriminator="kind")]
job_spec: TypeAdapter[AnySpec] = TypeAdapter(JobSpec)
Kind = Literal["surface", "slice", "curvature", "interpolation", "plane", "trajectory"]
