"""The schema of a job: the body of `POST /api/v1/jobs`, made from the kinds of results (landscape/kinds/).

Limits that depend on the settings or the database are checked in quotas.py and compatibility.py.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from landscape.errors import DataError, GridError, did_you_mean
from landscape.grid import AROUND, Axis, Grid
from landscape.kinds import KINDS
from landscape.kinds.definition import AXIS_COUNT, AXIS_ENDS, MAX_CHECKPOINTS, MAX_POINTS, Role
from landscape.kinds.definition import Kind as Definition
from landscape.options import CHOICES, SUBSET, Bounds, Option

Id = Annotated[str, Field(pattern=r"^[a-z0-9]{16,64}$")]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL stores any character but NUL
if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(KINDS)]


def limits(bounds: Bounds) -> dict[str, Any]:
    """The arguments of `Field` that hold a value to its bounds."""
    ends: dict[str, Any] = {"ge": bounds.least, "le": bounds.most, "lt": bounds.below}
    ends |= {"min_length": bounds.shortest, "max_length": bounds.longest}
    return {name: end for name, end in ends.items() if end is not None}


class Strict(BaseModel):
    """A part of a request: frozen, without conversions or further fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Part(Strict):
    """A part of a job's request."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_unknown_field(cls, data: Any) -> Any:
        """Answers a misspelt field with the near one; pydantic alone says that it is not permitted."""
        unknown = [name for name in data if name not in cls.model_fields] if isinstance(data, dict) else []
        if not unknown:
            return data
        near, known = did_you_mean(unknown[0], cls.model_fields), ", ".join(cls.model_fields)
        problem = PydanticCustomError(
            "unknown_field", "Unknown field.{near} Known: {known}.", {"near": near, "known": known}
        )
        raise ValidationError.from_exception_data(
            cls.__name__, [{"type": problem, "loc": (unknown[0],), "input": data}]
        )


class AxisSpec(_Part):
    """Equally spaced coordinates, both ends included; unitless multiples of the direction."""

    min: float = Field(-1.0, **limits(AXIS_ENDS))
    max: float = Field(1.0, **limits(AXIS_ENDS))
    count: int = Field(51, **limits(AXIS_COUNT))

    @model_validator(mode="after")
    def _is_an_axis(self) -> "AxisSpec":
        try:
            self.axis()
        except GridError as error:
            raise ValueError(str(error)) from None
        return self

    def axis(self) -> Axis:
        """The axis of the library.

        Raises:
            GridError: the range is empty or reversed; a spec that has been validated does not raise it.
        """
        return Axis(self.min, self.max, self.count)


class SliceGrid(_Part):
    """The points of a line."""

    alpha: AxisSpec = AxisSpec()

    def grid(self) -> Grid:
        """The grid of the library."""
        return Grid(self.alpha.axis())


class SurfaceGrid(_Part):
    """The points of a rectangle: `alpha` × `beta`."""

    alpha: AxisSpec = AxisSpec()
    beta: AxisSpec = AxisSpec()

    @model_validator(mode="after")
    def _is_not_too_large(self) -> "SurfaceGrid":
        points = self.alpha.count * self.beta.count
        if points > MAX_POINTS:
            raise ValueError(f"The grid has {points} points; at most {MAX_POINTS} are allowed. Use fewer.")
        return self

    def grid(self) -> Grid:
        """The grid of the library."""
        return Grid(self.alpha.axis(), self.beta.axis())


class SubsetSpec(_Part):
    """A fixed subset of the samples, the same at every point: `count` of them drawn by `seed`."""

    count: int = Field(**limits(SUBSET["count"]))
    seed: int = Field(0, **limits(SUBSET["seed"]))


class AnySpec(_Part):
    """A job of any kind. The fields of each kind come from its definition."""

    if TYPE_CHECKING:  # those that every kind has
        kind: str
        architecture: str | None
        dataset: str
        split: str
        also: str | None
        subset: SubsetSpec | None
        grid: SliceGrid | SurfaceGrid | None
        name: str | None

    @model_validator(mode="after")
    def _options_are_compatible(self) -> "AnySpec":
        try:
            self.definition.require_compatible(self.options)
        except DataError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def definition(self) -> Definition:
        """The kind of result."""
        return KINDS[self.kind]

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the kind, by the names that the library uses; those of `SampleOptions` too."""
        return {option.name: getattr(self, option.name) for option in self.definition.job_options}

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Ids of every checkpoint it needs; the first is the center."""
        center, *others = (getattr(self, role.name) for role in self.definition.roles)
        return (center[-1], *center[:-1]) if self.definition.center.many else (center, *others)

    @property
    def points(self) -> int:
        """Number of points of its grid."""
        if self.grid is None:
            return AROUND * AROUND
        alphas, betas = self.grid.grid().shape
        return alphas * betas


def spec_of(kind: Definition) -> type[AnySpec]:
    """The model of the jobs of one kind."""
    fields: dict[str, Any] = {"kind": (Literal[kind.name], kind.name)}
    fields |= {role.name: _checkpoint(role) for role in kind.roles}
    fields |= {option.name: _field(option) for option in kind.job_options}
    fields["grid"] = _grid(kind)
    return create_model(f"{kind.name.title()}Spec", __base__=AnySpec, __doc__=kind.summary, **fields)


def _checkpoint(role: Role) -> tuple[Any, Any]:
    if not role.many:
        return Id, Field(description=role.job_help)
    return list[Id], Field(min_length=role.least, max_length=MAX_CHECKPOINTS, description=role.job_help)


def _field(option: Option) -> tuple[Any, Any]:
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    held = limits(option.job_bounds or option.bounds)
    return _type(option.job_type), Field(default, description=option.job_help or option.help, **held)


def _type(source: str) -> Any:
    """The type of a field, from its source text: one of the basic types, a set of names, a list of one, or None too."""
    known: dict[str, Any] = {**CHOICES, "int": int, "float": float, "str": Text, "Subset": SubsetSpec}
    if source.endswith(" | None"):
        return _type(source.removesuffix(" | None")) | None
    if source.startswith("list["):
        return list[_type(source[5:-1])]  # type: ignore[misc]
    return known[source]


def _grid(kind: Definition) -> tuple[Any, Any]:
    model = SurfaceGrid if kind.axes[0] == 2 else SliceGrid
    if kind.grid is None:
        return model | None, Field(None, description="25 × 25 points around the checkpoints if omitted.")
    axes = {"alpha": kind.grid.alpha, "beta": kind.grid.beta}
    default = {name: AxisSpec(min=axis.min, max=axis.max, count=axis.count) for name, axis in axes.items() if axis}
    return model, model(**default)


SPECS = {name: spec_of(kind) for name, kind in KINDS.items()}
SurfaceSpec: Any = SPECS["surface"]
if TYPE_CHECKING:
    JobSpec = AnySpec
else:
    JobSpec = Annotated[Union[tuple(SPECS.values())], Field(discriminator="kind")]  # noqa: UP007
job_spec: TypeAdapter[AnySpec] = TypeAdapter(JobSpec)
