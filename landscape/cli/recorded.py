"""The request of a result file, to be computed again: its files are those in the provenance, or given again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LandscapeError
from ..kinds import kind_of
from ..options import Subset
from .options import Architecture, one_of, subset_of
from .request import Request

if TYPE_CHECKING:
    from ..result import Result

Checkpoints = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CHECKPOINT]...", help="Its checkpoints, or their folder.", show_default="as recorded"),
]
_AS_RECORDED: dict[str, Any] = {"show_default": "as recorded"}


@dataclass(frozen=True)
class RecordedOptions:
    """Data and files of a result, where they are not those that it names."""

    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Its data set.", autocompletion=one_of("digits"), **_AS_RECORDED),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Split of the data set: train or test.", **_AS_RECORDED),
    ] = None
    subset: Annotated[
        str | None, typer.Option(metavar="N[:SEED]", help="Size and seed of its subset.", **_AS_RECORDED)
    ] = None
    architecture: Architecture = None
    directions: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Its directions.", **_AS_RECORDED),
    ] = None


def recorded_request(result: "Result", checkpoints: list[str] | None, given: RecordedOptions) -> Request:
    """The request that a result was computed by.

    Raises:
        LandscapeError: it names no checkpoints or data set that are on this machine, or has options that only Python
            has; the message says what to give.
    """
    from ..kinds.requested import request_of
    from .kinds import in_order

    request = request_of(result)
    files = in_order(list(checkpoints or ())) or _checkpoints(request)
    options, file = _options(request, by_files="checkpoints" in request)
    return Request(
        request["kind"],
        tuple(files),
        dataset=given.dataset or _dataset(request),
        split=given.split or _split(request),
        subset=subset_of(given.subset) or _subset(request),
        architecture=given.architecture if given.architecture is not None else _architecture(request),
        grid=result.grid,
        directions=str(given.directions) if given.directions else file,
        options={name: value for name, value in options.items() if not (given.directions and name == "directions")},
    )


def _checkpoints(request: dict[str, Any]) -> list[str]:
    files = list(request.get("checkpoints") or ())
    missing = [file for file in files if not Path(file).is_file()]
    if files and not missing:
        return files
    names = [role.name for role in kind_of(request["kind"]).roles]
    found = f"names {missing[0]!r}, which is not on this machine" if missing else "does not name its checkpoint files"
    raise LandscapeError(f"The result {found}. Give them after the result, in this order: {', '.join(names)}.")


def _dataset(request: dict[str, Any]) -> str:
    from ..data.builtin import BUILT_IN

    name = str(request.get("dataset", "tensors"))
    if name in BUILT_IN or Path(name).is_file():
        return name
    raise LandscapeError(
        f"The samples of the result are {name!r}, which is no built-in data set and no file on this machine. "
        "Give the data set: --dataset NAME|FILE."
    )


def _split(request: dict[str, Any]) -> str:
    split = str(request.get("split", "train"))
    return "train" if split == "given" else split  # of tensors, which have none


def _subset(request: dict[str, Any]) -> Subset | None:
    found = request.get("subset")
    return Subset(**found) if found else None


def _architecture(request: dict[str, Any]) -> int | None:
    """Its number; a service has a label."""
    found = request.get("architecture")
    return found if isinstance(found, int) else None


def _options(request: dict[str, Any], *, by_files: bool) -> tuple[dict[str, Any], str | None]:
    """The options, and the file of the directions.

    Args:
        by_files: the result was computed from files: then a loss that is an object is the data set's own.
    """
    from ..kinds.requested import is_written

    options, file = dict(request["options"]), None
    if isinstance(options.get("directions"), dict):
        file = options.pop("directions").get("file")
    if by_files and not is_written(options.get("loss")):
        del options["loss"]
    objects = [name for name, value in options.items() if not is_written(value)]
    if objects:
        raise LandscapeError(
            f"The result was computed in Python, with objects that no file holds: {', '.join(objects)}. Use "
            f"Result.load(file).reproduce(model, images, labels, {', '.join(f'{name}=…' for name in objects)})."
        )
    return options, file
