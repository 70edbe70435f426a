"""Options that several commands share, as dataclasses: a field is an option, its default the option's default.

A command takes a group as one parameter (`data: DataOptions`); `with_options` turns the group into its options.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer


def one_of(*names: str) -> Callable[[], list[str]]:
    """The names that shell completion offers."""
    return lambda: list(names)


CheckpointFile = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A .pt, .pth or .safetensors file.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Result file; its extension is the format.")
]
Grid = Annotated[str, typer.Option(metavar="NxM", help="Points along the two axes.")]
Line = Annotated[str, typer.Option(metavar="N", help="Points along the axis.")]
Range = Annotated[str, typer.Option("--range", metavar="MIN:MAX", help="Range of the first axis.")]
RangeBeta = Annotated[
    str | None, typer.Option(metavar="MIN:MAX", help="Range of the second axis.", show_default="as --range")
]
LineRange = Annotated[str, typer.Option("--range", metavar="MIN:MAX", help="Range of the axis.")]
Directions = Annotated[
    Path | None,
    typer.Option(
        exists=True, metavar="FILE", help="Directions from a file (.h5 or .safetensors), instead of random ones."
    ),
]
Over = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Parameters the Hessian is taken over: filters (those with two axes or more) or all.",
        autocompletion=one_of("filters", "all"),
    ),
]
Loss = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Loss function: cross_entropy or mse.",
        autocompletion=one_of("cross_entropy", "mse"),
    ),
]
Architecture = Annotated[
    int | None,
    typer.Option(metavar="N", help="Which architecture to use, where several fit; see `landscape inspect`."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="File with an access token for the service.",
        show_default="LANDSCAPE_TOKEN, else the one saved by `landscape login`",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on stdout.")]


@dataclass(frozen=True)
class DataOptions:
    """The samples, and the network."""

    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="A built-in data set (digits, synthetic), or a file with images and labels.",
            autocompletion=one_of("digits", "synthetic"),
        ),
    ] = "digits"
    split: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Split of the data set: train or test.", autocompletion=one_of("train", "test")
        ),
    ] = "train"
    images: Annotated[
        int | None,
        typer.Option(metavar="N", help="Use a fixed random subset of this many samples.", show_default="all"),
    ] = None
    architecture: Architecture = None


@dataclass(frozen=True)
class DirectionOptions:
    """How random directions are drawn."""

    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the random directions.")] = 0
    normalization: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Normalization of the directions: filter, layer, weight, dfilter, dlayer or none.",
            autocompletion=one_of("filter", "layer", "weight", "dfilter", "dlayer", "none"),
        ),
    ] = "filter"
    biases: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Biases and normalization parameters: fixed, parameter (as in the authors' code) or random.",
            autocompletion=one_of("fixed", "parameter", "random"),
        ),
    ] = "fixed"


@dataclass(frozen=True)
class LossOptions:
    """What is evaluated, and in which precision."""

    loss: Loss = "cross_entropy"
    batch_norm: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="BatchNorm statistics: frozen (the checkpoint's), recalibrated (at every point) or batch.",
            autocompletion=one_of("frozen", "recalibrated", "batch"),
        ),
    ] = "frozen"
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Floating-point precision: float32, float64 or bfloat16 (checked against float32).",
            autocompletion=one_of("float32", "float64", "bfloat16"),
        ),
    ] = "float32"


@dataclass(frozen=True)
class RunOptions:
    """Where to compute, and what to print."""

    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes to use.", show_default="one per GPU, else one per core"),
    ] = None
    server: Annotated[
        str | None,
        typer.Option(
            envvar="LANDSCAPE_SERVER", metavar="URL", help="Address of a service that computes instead of this machine."
        ),
    ] = None
    token_file: TokenFile = None
    as_json: AsJson = False


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with each dataclass parameter replaced by one parameter per field, for Typer to read."""
    signature = inspect.signature(function)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in signature.parameters.items() if is_dataclass(one.annotation)
    }

    def command(**given: Any) -> None:
        filled: dict[str, Any] = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        function(**given, **filled)

    parameters: list[inspect.Parameter] = []
    for name, one in signature.parameters.items():
        parameters += _options(groups[name]) if name in groups else [one.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _options(group: Any) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=one.type,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
        )
        for one in fields(group)
    ]
