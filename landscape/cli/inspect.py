"""`landscape inspect FILE`: the architectures that fit a checkpoint, and a table of its tensors.

The file is read in a sandboxed process.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..terminal import printable
from .options import AsJson
from .output import print_json, say

if TYPE_CHECKING:
    from ..checkpoints.inspect import Inspected

CheckpointFile = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, metavar="CHECKPOINT", help="A checkpoint, in any supported format."),
]


def register(app: typer.Typer) -> None:
    """Add the command to `landscape`."""
    app.command()(inspect)


def inspect(
    file: CheckpointFile,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Rows of the table to show; 0 shows all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show what a checkpoint contains.

    Lists the architectures that fit and the tensors, or says why the file cannot be used, as the service would.

    \b
    Example:
      landscape inspect checkpoint.pt
    """
    from ..checkpoints.inspect import inspect as read

    inspected = read(file)
    if as_json:
        found = {"candidates": inspected.candidates, "facts": inspected.facts, "tensors": inspected.tensors}
        print_json(found)
        return
    _show_networks(inspected)
    _show_table(inspected, limit or len(inspected.tensors))


def _show_networks(inspected: "Inspected") -> None:
    if len(inspected.candidates) > 1:
        say("Several architectures fit; choose one with --architecture:")
    for number, candidate in enumerate(inspected.candidates):
        mark = f"{number}: " if len(inspected.candidates) > 1 else ""
        say(f"{mark}{candidate['label']}: {candidate['parameters']} parameters")
    for name, fact in inspected.facts.items():
        say(f"{name}: {fact}")


def _show_table(inspected: "Inspected", rows: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("name", "type", "shape", box=box.SIMPLE)
    table.add_column("numbers", justify="right")
    for tensor in inspected.tensors[:rows]:
        shape = " × ".join(map(str, tensor["shape"])) or "1"
        table.add_row(Text(printable(tensor["name"])), tensor["dtype"], shape, str(math.prod(tensor["shape"])))
    Console().print(table)
