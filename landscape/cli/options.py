"""Options that several commands of the shell share, as dataclasses: a field is an option, its default the option's.

Imports typer. A command takes a group as one parameter (`data: Data`) and `expanded` turns it into its options.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer


def among(*names: str) -> Callable[[], list[str]]:
    """For completion in the shell."""
    return lambda: list(names)


CheckpointFile = Annotated[str, typer.Argument(help="A .pt, .pth or .safetensors file.")]
Seed = Annotated[int, typer.Option(min=0, help="Draws the directions.")]
Grid = Annotated[str, typer.Option(help="Points along both axes.")]
Line = Annotated[str, typer.Option(help="Points along the axis.")]
Range = Annotated[str, typer.Option("--range", help="MIN:MAX of the first axis, in units of delta.")]
RangeBeta = Annotated[str | None, typer.Option(help="MIN:MAX of the second axis [as --range].")]
Directions = Annotated[Path | None, typer.Option(exists=True, help="Directions from a file, .h5 or .safetensors.")]
Over = Annotated[
    str,
    typer.Option(
        help="The Hessian over filters (two axes or more) or all parameters.", autocompletion=among("filters", "all")
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Say what came out as JSON on stdout.")]


@dataclass(frozen=True)
class Data:
    """Which samples, and which network."""

    dataset: Annotated[
        str,
        typer.Option(
            help="A built-in data set, or a file with images and labels.", autocompletion=among("digits", "synthetic")
        ),
    ] = "digits"
    split: Annotated[str, typer.Option(help="train or test.", autocompletion=among("train", "test"))] = "train"
    images: Annotated[int | None, typer.Option(help="A fixed random subset of this many samples [all].")] = None
    architecture: Annotated[int | None, typer.Option(help="Which network, where several fit the file.")] = None


@dataclass(frozen=True)
class Drawn:
    """How random directions are drawn."""

    seed: Seed = 0
    normalization: Annotated[
        str,
        typer.Option(
            help="filter, layer, weight, dfilter, dlayer or none.",
            autocompletion=among("filter", "layer", "weight", "dfilter", "dlayer", "none"),
        ),
    ] = "filter"
    biases: Annotated[
        str,
        typer.Option(
            help="Biases and normalisation: fixed, parameter (as the authors) or random.",
            autocompletion=among("fixed", "parameter", "random"),
        ),
    ] = "fixed"


@dataclass(frozen=True)
class Valued:
    """What is plotted, and how exactly."""

    loss: Annotated[str, typer.Option(help="cross_entropy or mse.", autocompletion=among("cross_entropy", "mse"))] = (
        "cross_entropy"
    )
    batch_norm: Annotated[
        str,
        typer.Option(
            help="frozen, recalibrated (per point) or batch (statistics).",
            autocompletion=among("frozen", "recalibrated", "batch"),
        ),
    ] = "frozen"
    precision: Annotated[
        str,
        typer.Option(
            help="float32, float64 or bfloat16 (audited).", autocompletion=among("float32", "float64", "bfloat16")
        ),
    ] = "float32"


@dataclass(frozen=True)
class How:
    """Where it is computed, and where it goes."""

    output: Annotated[Path, typer.Option("--output", "-o", help="The result; its ending names the format.")]
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compute here [one per GPU, else per core].")
    ] = None
    server: Annotated[
        str | None, typer.Option(envvar="LANDSCAPE_SERVER", help="Compute at this service instead of here.")
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File with the token [LANDSCAPE_TOKEN, or login's]."),
    ] = None
    as_json: AsJson = False


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with the fields of its dataclass parameters as parameters of their own, for Typer to read."""
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
