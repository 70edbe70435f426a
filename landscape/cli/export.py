"""`landscape export` and `landscape compare`: convert result files, or show several on one page."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UnknownNameError
from .options import AsJson, one_of
from .output import print_json, require_writable, say

Height = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Height axis of a picture: paper (as in the paper), linear, log, or auto, the one that fits the losses.",
        autocompletion=one_of("auto", "paper", "linear", "log"),
    ),
]
Array = Annotated[
    str, typer.Option(metavar="NAME", help="Values a picture shows, such as test_losses or curvature_ratio.")
]
ResultFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, metavar="RESULT", help="An .npz, .json, .h5 or .csv file.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    app.command()(export)
    app.command()(compare)


def export(
    file: ResultFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Output file; its extension is the format.")
    ],
    height: Height = "auto",
    array: Array = "losses",
    as_json: AsJson = False,
) -> None:
    """Convert a result to another file format.

    Formats: h5, npz, csv, json, html, png, svg, vtp, stl, obj.

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
        print_json({"output": str(output), "kind": result.kind, "bytes": output.stat().st_size})
    else:
        say(f"{result!r}; written to {output}")


def compare(
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, metavar="RESULTS", help="Result files, row by row.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Output file, .html.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Title of a picture; give it once per file.", show_default="the files' names"
        ),
    ] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Pictures per row.", show_default="at most 3")
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Kind of picture: surface or contour.", autocompletion=one_of("surface", "contour")
        ),
    ] = "surface",
    height: Height = "auto",
    array: Array = "losses",
    as_json: AsJson = False,
) -> None:
    """Put results side by side on one HTML page.

    All pictures share one camera and one color scale.

    \b
    Example:
      landscape compare skip.npz plain.npz --label "with shortcuts" --label plain -o both.html
    """
    from ..plots.comparison import compare as side_by_side
    from ..plots.html_page import page_with_figure
    from ..result import Result

    if output.suffix != ".html":
        raise UnknownNameError("format of a comparison", output.suffix, (".html",))
    require_writable(output)
    results = [Result.load(file) for file in files]
    named = label or [file.stem for file in files]
    figure = side_by_side(results, labels=named, columns=columns, view=view, height=height, array=array)
    output.write_text(page_with_figure(figure, results), encoding="utf-8")
    if as_json:
        print_json({"output": str(output), "results": len(results)})
    else:
        say(f"{len(results)} results; written to {output}")
