"""The `landscape` command, assembled from the modules of this package and from entry points.

A command imports its libraries when it runs, so that `--help` is fast.
"""

import sys
from importlib.metadata import entry_points

import typer

from ..errors import LandscapeError
from . import bench, compute, export, inspect, kinds, refine, remote, reproduce, train
from .output import print_json, say

EPILOG = (
    "Exit codes: 0 done; 1 cannot be done, and stderr says why in one sentence (with --json, stdout has an object with "
    '"error" too); 2 wrong usage; 130 interrupted, what has been computed is kept.'
)
# Without rich markup, which would parse [default] as a color.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG)
SERVICE_COMMANDS = ("up", "serve", "worker", "token", "backup", "restore", "clean")
for module in (kinds, compute, inspect, export, reproduce, refine, bench, remote, train):
    module.register(app)


@app.callback()
def landscape() -> None:
    """Compute, compare and share loss landscapes of neural networks.

    \b
    Examples:
      landscape train --depth 20 --width 8 -o run
      landscape surface run/checkpoint.safetensors --grid 25x25 -o surface.npz
      landscape export surface.npz -o surface.html
      landscape up --demo
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; on a `LandscapeError` print its message to stderr and exit with 1."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        added = entry_points(group="landscape.commands")
        if not added and words and words[0] in SERVICE_COMMANDS:
            raise LandscapeError(
                f"'landscape {words[0]}' belongs to the service, which is not installed. "
                "Run: pip install loss-atlas-service"
            )
        for point in added:
            point.load()(app)
        app(args=arguments)
    except LandscapeError as error:
        say(str(error), err=True)
        if "--json" in words:
            print_json({"error": {"code": error.code, "message": str(error)}})
        sys.exit(1)


if __name__ == "__main__":
    main()
