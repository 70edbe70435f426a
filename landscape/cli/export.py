"""`landscape export` and `landscape compare`: result files in, other files out.

Imports typer; what a command needs is imported when it runs. Never computes a loss.
"""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnknownNameError
from .options import AsJson, among
from .output import require_writable, say_json

Height = Annotated[
    str,
    typer.Option(
        help="What a picture draws upwards: paper, linear or log.", autocompletion=among("paper", "linear", "log")
    ),
]
Array = Annotated[str, typer.Option(help="Which numbers a picture shows, such as test_losses or curvature_ratio.")]
ResultFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An .npz, .json, .h5 or .csv file.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(export)
    app.command()(compare)


def export(
    file: ResultFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="What to make of it; its ending names the format.")],
    height: Height = "paper",
    array: Array = "losses",
    as_json: AsJson = False,
) -> None:
    """Turn a result into another kind of file: h5, npz, csv, json, html, png, svg, vtp, stl, obj.

    \b
    Examples:
      landscape export surface.npz -o surface.html
      landscape export surface.npz -o surface.stl --height linear
    """
    from ..result import Result

    require_writable(output)
    result = Result.load(file)
    result.save(output, height=height, array=array)
    if as_json:
        say_json({"output": str(output), "kind": result.kind, "bytes": output.stat().st_size})
    else:
        typer.echo(f"{result!r}; written to {output}")


def compare(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Results, row by row.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="An .html file.")],
    label: Annotated[list[str] | None, typer.Option(help="Over a picture; once for each file.")] = None,
    columns: Annotated[int | None, typer.Option(min=1, help="Pictures in a row [three at most].")] = None,
    view: Annotated[
        str, typer.Option(help="surface or contour.", autocompletion=among("surface", "contour"))
    ] = "surface",
    height: Height = "paper",
    array: Array = "losses",
    as_json: AsJson = False,
) -> None:
    """Put results side by side on one page, with one camera and one scale.

    \b
    Example:
      landscape compare skip.npz plain.npz --label "with shortcuts" --label plain -o both.html
    """
    from ..plots.comparison import compare as side_by_side
    from ..plots.html_page import of_figure
    from ..result import Result

    if output.suffix != ".html":
        raise UnknownNameError("format of a comparison", output.suffix, (".html",))
    require_writable(output)
    results = [Result.load(file) for file in files]
    named = label or [file.stem for file in files]
    figure = side_by_side(results, labels=named, columns=columns, view=view, height=height, array=array)
    output.write_text(of_figure(figure, results), encoding="utf-8")
    if as_json:
        say_json({"output": str(output), "results": len(results)})
    else:
        typer.echo(f"{len(results)} results; written to {output}")
