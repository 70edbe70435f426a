"""Options that several commands share, as dataclasses: a field is an option, its default the option's default.

A command takes a group as one parameter (`data: DataOptions`); `with_options` turns the group into its options.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError
from ..options import Subset


def one_of(*names: str) -> Callable[[], list[str]]:
    """The names that shell completion offers."""
    return lambda: list(names)


CheckpointFile = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A .pt, .pth or .safetensors file.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Result file; its extension is the format.")
]
Over = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Parameters the Hessian is taken over: those with filters or all.",
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
    subset: Annotated[
        str | None,
        typer.Option(
            "--subset",
            "--images",
            metavar="N[:SEED]",
            help="Use a fixed random subset of this many samples, drawn by a seed.",
            show_default="all",
        ),
    ] = None
    architecture: Architecture = None


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
        parameters += (
            parameters_of(groups[name]) if name in groups else [one.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        )
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def subset_of(text: str | None) -> Subset | None:
    """The subset that `--subset` names: a number of samples, or N:SEED.

    Raises:
        DataError: it is neither.
    """
    if text is None:
        return None
    count, colon, seed = text.partition(":")
    if not (count.isdecimal() and int(count) > 0 and (seed.isdecimal() or not colon)):
        raise DataError(f"--subset must be like 1000 or 1000:7, at least 1 sample; got {text!r}.")
    return Subset(int(count), int(seed or 0))


def parameters_of(group: Any) -> list[inspect.Parameter]:
    """The parameters of a group: a field is one, with its annotation and default."""
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=one.type,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
        )
        for one in fields(group)
    ]
