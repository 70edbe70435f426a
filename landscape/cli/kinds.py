"""`landscape surface`, `slice`, …: a command for every kind of result, with its options, made from landscape/kinds/.

With `--server`, a service computes the same request (remote.py).
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import GridError, LandscapeError, did_you_mean
from ..grid import Axis, Grid, Range
from ..kinds import KINDS
from ..kinds.definition import Kind, Role
from ..options import Option as Definition
from ..options import SampleOptions, choices_of, options_of
from .compute import run
from .options import DataOptions, Output, RunOptions, one_of, parameters_of, subset_of
from .request import Request

UNIT = "-1:1"  # range of an axis where none is given
SOURCES = choices_of("Source")  # of directions
DATA = {option.name for option in options_of(SampleOptions)}


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    for kind in KINDS.values():
        app.command(kind.name)(command_of(kind))


def command_of(kind: Kind) -> Callable[..., None]:
    """The function that Typer calls for a kind: a parameter per option."""

    def command(output: Path, **given: Any) -> None:
        how = RunOptions(**{name: given.pop(name) for name in vars(RunOptions())})
        run(_request(kind, given), output, how)

    parameters = [
        *(_keyword(role.name, _checkpoint(role)) for role in kind.roles),
        _keyword("output", Output),
        *_grid_parameters(kind),
        *parameters_of(DataOptions),
        *(_parameter(option) for option in own_options(kind)),
        *parameters_of(RunOptions),
    ]
    examples = "\n".join(f"  {line}" for line in kind.shell.splitlines())
    command.__name__ = kind.name
    command.__doc__ = f"{kind.summary}\n\n\b\nExamples:\n{examples}\n"
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def own_options(kind: Kind) -> list[Definition]:
    """The options of a kind in the shell, besides those of the data."""
    return [option for option in kind.job_options if option.shell and option.name not in DATA]


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _checkpoint(role: Role) -> Any:
    if role.many:
        return Annotated[list[str], typer.Argument(metavar="CHECKPOINTS", help="Files in order, or their folder.")]
    return Annotated[str, typer.Argument(metavar=role.name.upper(), help="A .pt, .pth or .safetensors file.")]


def _grid_parameters(kind: Kind) -> list[inspect.Parameter]:
    axes = kind.axes[0]
    line = ", or N for a line" if kind.axes == (2, 1) else ""
    points = typer.Option(
        metavar="NxM" if axes == 2 else "N",
        help=f"Points along the axes{line}." if axes == 2 else "Points along the axis.",
        show_default=True if kind.grid else "25x25 around the checkpoints",
    )
    first = f"Range of the {'first ' if axes == 2 else ''}axis."
    span = typer.Option(
        "--range", metavar="MIN:MAX", help=first, show_default=True if kind.grid else f"{UNIT} with --grid"
    )
    beta = typer.Option(metavar="MIN:MAX", help="Range of the second axis.", show_default="as --range")
    counts, ends = _shown(kind.grid) if kind.grid else (None, None)
    found = [_keyword("grid", Annotated[str | None, points], counts)]
    found += [_keyword("range_", Annotated[str | None, span], ends)]
    return [*found, _keyword("range_beta", Annotated[str | None, beta], None)] if axes == 2 else found


def _shown(grid: Grid) -> tuple[str, str]:
    axes = [axis for axis in (grid.alpha, grid.beta) if axis]
    return "x".join(str(axis.count) for axis in axes), f"{grid.alpha.min:g}:{grid.alpha.max:g}"


def _parameter(option: Definition) -> inspect.Parameter:
    """The parameter of an option; texts of a fixed set are checked by the library, whose error names the near one."""
    bounds, names = option.job_bounds or option.bounds, option.choices
    text, default = option.job_help or option.help, option.default
    kind: Any = {"int": int, "float": float}.get(option.job_type, str)
    more: dict[str, Any] = {"metavar": "NAME" if kind is str else "N" if kind is int else "X"}
    if kind is int:
        more |= {"min": bounds.least, "max": bounds.most}
    if names:
        more["autocompletion"] = one_of(*names)
        text += f" One of {', '.join(names)}." if any(f"'{name}'" not in text for name in names) else ""
    if option.name == "directions":
        more["metavar"], text = "NAME|FILE", f"{text} Or a file of directions (.h5, .safetensors)."
    if option.job_type.startswith("list["):
        kind, default = list[str], []
    if option.default is None:
        kind = kind | None
    return _keyword(option.name, Annotated[kind, typer.Option(help=text, **more)], default)


def _request(kind: Kind, given: dict[str, Any]) -> Request:
    checkpoints = [given.pop(role.name) for role in kind.roles]
    files = in_order(checkpoints[0]) if kind.center.many else checkpoints
    grid = _grid(kind, given.pop("grid"), given.pop("range_"), given.pop("range_beta", None))
    data = {name: given.pop(name) for name in vars(DataOptions())}
    file = _direction_file(given)
    subset = subset_of(data.pop("subset"))
    return Request(kind.name, tuple(files), grid=grid, directions=file, subset=subset, options=given, **data)


def _direction_file(given: dict[str, Any]) -> str | None:
    """The file that `--directions` names, taken out of the options; None if it names a source of directions."""
    if given.get("directions", SOURCES[0]) in SOURCES:
        return None
    file = str(given.pop("directions"))
    if not Path(file).is_file():
        names, near = ", ".join(SOURCES), did_you_mean(file, SOURCES)
        raise LandscapeError(f"--directions must be {names} or a file; there is no file {file!r}.{near}")
    return file


def in_order(checkpoints: list[str]) -> list[str]:
    """The files, with a folder replaced by its checkpoints in the order of their names."""
    from ..training.recorder import run_in

    return [file for one in checkpoints for file in (run_in(one) if Path(one).is_dir() else [one])]


def _grid(kind: Kind, counts: str | None, first: str | None, second: str | None) -> Grid | None:
    if counts is None:
        if first or second:
            raise GridError("A range needs the number of points too: add --grid, for example --grid 25x25.")
        return None
    numbers, first = _counts(counts, kind.axes), first or UNIT
    if second and len(numbers) == 1:
        raise GridError(f"--range-beta needs a grid with two axes; got --grid {counts}. Leave it out, or add an axis.")
    axes = [Axis(*range_of(span), count) for span, count in zip((first, second or first), numbers, strict=False)]
    return Grid(*axes)


def _counts(text: str, axes: tuple[int, ...]) -> list[int]:
    parts = text.lower().split("x")
    if len(parts) not in axes or not all(part.isdecimal() for part in parts):
        example = "51x51" if axes[0] == 2 else "51"
        raise GridError(f"--grid must be like {example}; got {text!r}.")
    return [int(part) for part in parts]


def range_of(text: str) -> Range:
    """The range that `--range` names, MIN:MAX.

    Raises:
        GridError: it is not of that form.
    """
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise GridError(f"--range must be like -1:1; got {text!r}.") from None
    return low, high
