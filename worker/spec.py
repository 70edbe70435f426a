"""What may be asked: the only schema of a job. The body of `POST /api/jobs` is this schema.

Imports pydantic and landscape.grid; no torch. Never touches the database: limits that need it are checked in queue.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from landscape.errors import GridError
from landscape.grid import Axis, Grid

MAX_POINTS = 1_002_001  # 1001 × 1001
MAX_RANGE = 1e6
Normalization = Literal["filter"]
Precision = Literal["float32", "float64"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]{16,64}$")]


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


class _LandscapeSpec(_Strict):
    checkpoint: Id
    dataset: str = Field("digits", min_length=1, max_length=64)
    split: Literal["train", "test"] = "train"
    subset: SubsetSpec | None = Field(None, description="Whole data set where absent.")
    seed: int = Field(0, ge=0, lt=2**63, description="Draws the directions.")
    normalization: Normalization = "filter"
    precision: Precision = "float32"
    name: str | None = Field(None, max_length=200, description="What to call the job on the page.")


class SurfaceSpec(_LandscapeSpec):
    """L(θ* + αδ + βη) on a grid."""

    kind: Literal["surface"] = "surface"
    grid: SurfaceGrid = SurfaceGrid()


class SliceSpec(_LandscapeSpec):
    """L(θ* + αδ) on a line."""

    kind: Literal["slice"] = "slice"
    grid: SliceGrid = SliceGrid()


JobSpec = Annotated[SurfaceSpec | SliceSpec, Field(discriminator="kind")]
job_spec: TypeAdapter[SurfaceSpec | SliceSpec] = TypeAdapter(JobSpec)
