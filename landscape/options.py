"""The options of a landscape: ONE definition of their names, defaults, bounds and help, without torch.

A field of a group below is an option of the library. A job of the service and the shell take the same options from the
same fields; where they need another type or other bounds, `job` says so. landscape/kinds/ says which kind of result has
which groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from .errors import DataError
from .keywords import checks_keywords

if TYPE_CHECKING:
    from torch import Tensor

    from .directions.plane import Plane
    from .objective.losses import PerSample

Group = TypeVar("Group", bound=type)
Normalization = Literal["filter", "layer", "weight", "dfilter", "dlayer", "none"]
Biases = Literal["fixed", "parameter", "random"]
Orthogonality = Literal["filter", "overall", "none"]
Draw = Literal["named", "authors"]
Filters = Literal["weights", "axes"]
Source = Literal["random", "gradient", "eigenvectors"]
LossName = Literal["cross_entropy", "mse"]
BatchNorm = Literal["frozen", "recalibrated", "batch"]
Precision = Literal["float32", "float64", "bfloat16"]
Over = Literal["filters", "all"]
Split = Literal["train", "test"]
CHOICES = {
    "Normalization": Normalization,
    "Biases": Biases,
    "Orthogonality": Orthogonality,
    "Draw": Draw,
    "Filters": Filters,
    "Source": Source,
    "LossName": LossName,
    "BatchNorm": BatchNorm,
    "Precision": Precision,
    "Over": Over,
    "Split": Split,
}
SEEDS = 2**63  # seeds are below it: a signed 64-bit integer, as databases and generators take


@dataclass(frozen=True)
class Bounds:
    """The bounds of a number, or of the length of a text or a list."""

    least: float | None = None
    most: float | None = None
    below: float | None = None  # an open upper end
    shortest: int | None = None
    longest: int | None = None

    def words(self) -> str:
        """What they allow: "0 or more and less than 1"; empty without bounds."""
        ends = [f"{self.least:g} or more"] if self.least is not None else []
        ends += [f"at most {self.most:g}"] if self.most is not None else []
        ends += [f"less than {self.below:g}"] if self.below is not None and self.below != SEEDS else []
        return " and ".join(ends)

    def allow(self, value: Any) -> bool:
        """Whether a number is finite and inside; anything else is allowed."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return math.isfinite(value) and low <= value <= high and (self.below is None or value < self.below)


@dataclass(frozen=True)
class Option:
    """An option: a field of one of the groups below, as every face sees it."""

    name: str
    type: str  # in the library, as source text: a basic type or a name of this module
    default: Any
    help: str
    bounds: Bounds = Bounds()
    job: str = ""  # the type in a job, as source text: "" as in the library, "-" where a job does not have the option
    job_help: str = ""  # for a job and in the shell, where it differs
    job_bounds: Bounds | None = None
    label: str = ""  # on the page, where it is not the name in words
    shell: bool = True  # whether the shell has it
    library: bool = True  # whether the functions of the library have it

    @property
    def in_job(self) -> bool:
        """Whether a job has it."""
        return self.job != "-"

    @property
    def job_type(self) -> str:
        """Its type in a job, as source text."""
        return self.job or self.type

    @property
    def title(self) -> str:
        """Its label on the page."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def choices(self) -> tuple[str, ...]:
        """The names that a job and the shell know, if it takes one of a fixed set."""
        return choices_of(self.job_type)

    def require(self, value: Any) -> None:
        """Refuse a number outside the bounds of the library.

        Raises:
            DataError: it is.
        """
        if not self.bounds.allow(value):
            words = ", ".join(["a finite number", *filter(None, [self.bounds.words()])])
            raise DataError(f"'{self.name}' must be {words}; got {value}.")


def choices_of(type: str) -> tuple[str, ...]:
    """The names that a type, as source text, allows; empty if it is none of `CHOICES`."""
    names = [name for name in CHOICES if name in type]
    return get_args(CHOICES[names[0]]) if names else ()


def option(default: Any, help: str, **more: Any) -> Any:
    """The definition of an option, for a field of a group; `more` are attributes of `Option`."""
    return field(default=default, metadata={"help": help, **more})


def options_of(group: Any) -> tuple[Option, ...]:
    """The options of a group, in order."""
    return tuple(
        Option(one.name, str(one.type), None if one.default is MISSING else one.default, **one.metadata)
        for one in fields(group)
    )


def _constructed_by_users(group: Group) -> Group:
    """`group`, whose help lists the options, and which answers a misspelt one with the near one."""
    entries = [f"    {one.name}: {one.help} Default: {one.default!r}." for one in options_of(group)]
    group.__doc__ = "\n".join([f"{group.__doc__}\n\nArgs:", *entries])
    return checks_keywords(group)


def require_bounds(group: Any) -> None:
    """Refuse options with numbers outside their bounds.

    Raises:
        DataError: one is; the message names it.
    """
    for one in options_of(type(group)):
        one.require(getattr(group, one.name))


@_constructed_by_users
@dataclass(frozen=True, kw_only=True)
class DirectionOptions:
    """Along which directions the parameters move."""

    directions: Plane | Source = option(
        "random",
        "'random'; 'gradient' (with two axes and a random second direction); 'eigenvectors' of the Hessian with the "
        "largest |λ|; or a `Plane`, for example of `plane_along`. Only random directions are drawn by the following "
        "options.",
        job="Source",
        job_help="'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of the Hessian "
        "with the largest |λ|.",
    )
    seed: int = option(0, "Seed of the directions.", bounds=Bounds(0, below=SEEDS), label="Seed of the directions")
    normalization: Normalization = option(
        "filter",
        "Norms of the directions: every filter (the paper's choice), layer or weight as in the network; 1 for every "
        "filter ('dfilter') or layer ('dlayer'); or as drawn.",
    )
    biases: Biases = option(
        "fixed",
        "Directions of biases and normalization parameters: fixed at zero, as the network's parameter (the authors' "
        "code), or random.",
    )
    orthogonality: Orthogonality = option(
        "filter", "Make the two directions orthogonal inside every filter, over all parameters together, or not."
    )
    drawn: Draw = option(
        "named", "Draw by name and seed, the same in any process; or in the authors' order from one generator."
    )
    filters: Filters = option(
        "weights",
        "What has filters: weights; or any parameter with two axes or more (the authors' code), scales with several "
        "axes too: of LayerNorm over two axes, layer scales (C, 1, 1), the g of weight norm.",
        label="What has filters",
    )


@dataclass(frozen=True, kw_only=True)
class RepeatOptions:
    """How many directions to average over."""

    repeats: int = option(
        1, "Number of seeds, from `seed` on; above 1, their mean and the spread.", bounds=Bounds(1, 64)
    )


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions:
    """In which plane the path is shown."""

    directions: Plane | None = option(
        None,
        "Another plane to project the path onto than that of its principal components; a random one shows how little "
        "of the path it holds.",
        job="-",
        shell=False,
    )


@_constructed_by_users
@dataclass(frozen=True, kw_only=True)
class ObjectiveOptions:
    """What is evaluated at a point."""

    loss: LossName | PerSample = option(
        "cross_entropy",
        "'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample.",
        job="LossName",
        job_help="Loss function.",
    )
    label_smoothing: float = option(0.0, "Label smoothing of the cross-entropy.", bounds=Bounds(0, below=1))
    weight_decay: float = option(
        0.0,
        "Adds half of it times the squared norm of all parameters, the term that SGD's weight decay minimizes.",
        bounds=Bounds(0),
        job_bounds=Bounds(0, 1),
    )
    batch_norm: BatchNorm = option(
        "frozen",
        "Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each batch.",
        label="BatchNorm",
    )
    compare_batch_norm: Sequence[BatchNorm] = option(
        (),
        "Further BatchNorm policies to compare with, in separate columns.",
        job="list[BatchNorm]",
        label="Compare BatchNorm policies",
        bounds=Bounds(longest=2),
    )
    calibration: Tensor | int = option(  # a tensor (K, …)
        512,
        "Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor (K, …).",
        job="int",
        job_help="Number of samples on which BatchNorm is recalibrated.",
        label="Samples to recalibrate on",
        job_bounds=Bounds(2, 100_000),
    )
    batch: int | None = option(
        None,
        "Samples of a batch where the values depend on it: all of them by default if the losses of samples depend on "
        "each other (a contrastive loss), 256 for BatchNorm.",
        bounds=Bounds(1),
        label="Batch",
    )
    also: Mapping[str, Any] | None = option(
        None,
        "More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into separate columns.",
        job="Split | None",
        job_help="A second split, evaluated in the same pass into separate columns.",
        label="Second split",
    )


@_constructed_by_users
@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How it is computed."""

    precision: Precision = option(
        "float32", "Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact."
    )
    choice: Mapping[str, Any] | None = option(
        None,
        "The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in any process.",
        job="-",
        shell=False,
    )


@dataclass(frozen=True, kw_only=True)
class CurvatureOptions:
    """Over what, and for how long, eigenvalues of the Hessian are computed."""

    over: Over = option(
        "filters", "Parameters the Hessian is taken over: those with filters, or all.", label="Hessian over"
    )
    steps: int = option(
        60,
        "Products of the Hessian with a vector, per point at most.",
        bounds=Bounds(4),
        job_bounds=Bounds(4, 1000),
        label="Hessian products",
    )


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """The network and the samples, by name: for a job and the shell. The library takes a module and tensors."""

    architecture: str | None = option(
        None,
        "Label of the architecture, where several fit; the chosen one if omitted.",
        bounds=Bounds(longest=300),
        library=False,
    )
    dataset: str = option(
        "digits",
        "Data set: its name, or the id of an uploaded one.",
        label="Data set",
        bounds=Bounds(shortest=1, longest=64),
        library=False,
    )
    split: Split = option("train", "Split of the data set.", library=False)
    subset: Subset | None = option(
        None, "A fixed random subset of the first split; all of it if omitted.", library=False
    )
    name: str | None = option(
        None, "Name of the job on the page.", bounds=Bounds(longest=200), library=False, shell=False
    )


SUBSET = {"count": Bounds(1), "seed": Bounds(0, below=SEEDS)}


@dataclass(frozen=True)
class Subset:
    """A fixed subset of the samples, the same at every point: `count` of them drawn by `seed`."""

    count: int
    seed: int = 0
