"""What a kind of result is: its checkpoints, grid, options, arrays, and how it is prepared. Without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UnknownOptionError
from ..grid import Grid
from ..options import Bounds, EngineOptions, ObjectiveOptions, Option, SampleOptions, options_of

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call

# Limits of a job's grid and lists.
MAX_POINTS = 1_002_001  # 1001 × 1001
AXIS_ENDS = Bounds(-1e6, 1e6)
AXIS_COUNT = Bounds(2, 100_001)
MAX_CHECKPOINTS = 1000
MAX_FACTOR = 64  # parts that a refinement cuts an interval into


@dataclass(frozen=True)
class Role:
    """A checkpoint that a kind needs, or several of one run."""

    name: str  # of the argument, and of the field of a job
    job_help: str  # in a job, where it is an id
    help: str = ""  # in the library, where it is a state dict or a module
    many: bool = False  # a list in the order of training, whose last one is the center
    least: int = 1  # length of the list
    label: str = ""  # on the page, where it is not the name

    @property
    def title(self) -> str:
        """Its label on the page."""
        return self.label or self.name.capitalize()


@dataclass(frozen=True)
class Column:
    """An array (n, m) of a result, besides losses, accuracies and standard errors."""

    name: str
    help: str
    unit: str = ""


@dataclass(frozen=True)
class Exclusion:
    """While `option` differs from its default, `others` must have theirs."""

    option: str
    others: tuple[str, ...]
    text: str  # the error

    def is_broken_by(self, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
        """Whether the options break it; one that is missing has its default."""
        return differs(self.option, values, defaults) and any(differs(one, values, defaults) for one in self.others)


def differs(name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Whether an option has another value than its default; an empty list or mapping is none."""
    value, default = values.get(name, defaults[name]), defaults[name]
    if isinstance(value, str | int | float) or value is None:
        return bool(value != default)
    return not isinstance(value, Sequence | Mapping) or len(value) > 0


@dataclass(frozen=True)
class Kind:
    """A kind of result: one definition for the library, the shell, the jobs of the service, the client and the page."""

    name: str
    label: str
    summary: str  # one sentence
    prepare: Callable[[Call], Prepared]
    axes: tuple[int, ...]  # numbers of axes that its grid may have; a job takes the first
    grid: Grid | None  # default; None for a grid around the checkpoints
    roles: tuple[Role, ...] = (Role("checkpoint", "The network."),)
    own: tuple[type, ...] = ()  # groups of options that not every kind has
    excludes: tuple[Exclusion, ...] = ()
    columns: tuple[Column, ...] = ()
    details: str = ""  # more about it, for the reference
    raises: Mapping[str, str] = field(default_factory=dict)  # errors besides those of every kind, and when
    example: str = ""  # for the reference: runs after a model, images and labels are defined
    shell: str = ""  # the same, for the shell

    @property
    def groups(self) -> tuple[type, ...]:
        """Its groups of options."""
        return (*self.own, ObjectiveOptions, EngineOptions)

    @property
    def options(self) -> tuple[Option, ...]:
        """Its options in the library."""
        return tuple(option for group in self.groups for option in options_of(group))

    @property
    def job_options(self) -> tuple[Option, ...]:
        """Its options in a job: data first."""
        return tuple(option for option in (*options_of(SampleOptions), *self.options) if option.in_job)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of every option of the library."""
        return {option.name: option.default for option in self.options}

    @property
    def center(self) -> Role:
        """The checkpoint at (0, 0), or the list that ends with it."""
        return self.roles[0]

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Every option of the library: those given, else the defaults.

        Raises:
            UnknownOptionError: one is unknown; the message names the near one.
            DataError: a number is outside its bounds, or two options exclude each other.
        """
        known = {option.name: option for option in self.options}
        for name, value in options.items():
            if name not in known:
                raise UnknownOptionError(self.name, name, tuple(known))
            known[name].require(value)
        self.require_compatible(options)
        return {**self.defaults, **options}

    def require_compatible(self, options: Mapping[str, Any]) -> None:
        """Refuse options that exclude each other.

        Raises:
            DataError: they do.
        """
        defaults = {**self.defaults, **{option.name: option.default for option in self.job_options}}
        for exclusion in self.excludes:
            if exclusion.is_broken_by(options, defaults):
                raise DataError(exclusion.text)
