"""The `landscape` command.

Imports typer and errors; what a command needs is imported when it runs, so that `--help` answers at once.
Never computes: it parses, calls, shows progress and writes files.
"""

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LandscapeError
from . import bench, compute, export, inspect, remote
from .options import AsJson
from .output import say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..training.train import Epoch

EPILOG = (
    'Exit codes: 0 done; 1 cannot be done, one sentence on stderr says why (with --json also an object with "error" on '
    "stdout); 2 wrong usage; 130 interrupted, and what there was is kept."
)
# Without rich's markup, which would take [default] for a colour.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG)
compute.register(app)
inspect.register(app)
export.register(app)
bench.register(app)
remote.register(app)


@app.callback()
def landscape() -> None:
    """Loss landscapes of neural networks: train, compute, compare.

    \b
    Examples:
      landscape train --depth 20 --width 8 -o run
      landscape surface run/checkpoint.safetensors --grid 25x25 -o surface.npz
      landscape export surface.npz -o surface.html
      landscape up --demo
    """


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="A new or empty folder for everything written.")],
    depth: Annotated[int, typer.Option(help="Layers, 6n+2.")] = 56,
    width: Annotated[int, typer.Option(help="Channels of the first stage.")] = 8,
    shortcuts: Annotated[bool, typer.Option("--shortcuts/--no-shortcuts", help="With shortcuts, or plain.")] = True,
    dataset: Annotated[str, typer.Option(help="A built-in data set.")] = "digits",
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 40,
    lr: Annotated[float, typer.Option(help="Highest learning rate of the one-cycle schedule.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the initial weights and the order of samples.")] = 0,
    batch: Annotated[int, typer.Option(help="Samples per step.")] = 128,
    weight_decay: Annotated[float, typer.Option(help="Of every parameter.")] = 5e-4,
    warmup: Annotated[float, typer.Option(help="Share of the training in which the learning rate rises.")] = 0.3,
    threads: Annotated[int, typer.Option(help="CPU threads; equal bits are promised for 1.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a CIFAR-style ResNet on a data set, saving its trajectory.

    Writes checkpoint.safetensors (the last epoch), trajectory/epoch-NNN.safetensors (epoch 0 is the initialisation)
    and record.json (command, seed, settings, versions, loss, errors, digest).

    \b
    Example:
      landscape train --depth 56 --width 8 --no-shortcuts -o run
    """
    import time

    import torch

    from ..data.builtin import load
    from ..models import CifarResNet
    from ..training.train import Settings, TrainingRun
    from ..training.train import train as epochs_of

    started = time.perf_counter()
    if threads < 1:
        raise LandscapeError(f"'threads' must be at least 1; got {threads}.")
    torch.set_num_threads(threads)
    settings = Settings(epochs, lr, batch, weight_decay, warmup=warmup, seed=seed)
    samples, test_samples = load(dataset, "train"), load(dataset, "test")
    channels = samples.images.shape[1]
    architecture = CifarResNet(depth, width, "projection" if shortcuts else "none", samples.classes, channels)
    command = (
        f"landscape train --depth {depth} --width {width}{'' if shortcuts else ' --no-shortcuts'} --dataset {dataset} "
        f"--epochs {epochs} --lr {lr:g} --seed {seed} --batch {batch} --weight-decay {weight_decay:g} "
        f"--warmup {warmup:g} --threads {threads}"
    )
    run = TrainingRun(output, command=command, architecture=architecture, dataset=samples, settings=settings)
    trained = epochs_of(architecture, samples, test_samples, settings)
    for epoch in _shown(trained, total=epochs, title=architecture.label):
        run.save(epoch)
    record = run.finish(epoch, seconds=time.perf_counter() - started)
    if as_json:
        say_json({"output": str(output), **record})
        return
    typer.echo(f"{architecture.label}: {_figures(epoch)}; written to {output}")


def _shown(epochs: "Iterator[Epoch]", *, total: int, title: str) -> "Iterator[Epoch]":
    """Pass epochs through, showing a progress bar with their figures and the time left on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    figures = TextColumn("{task.fields[figures]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), figures)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, figures="")
        for epoch in epochs:
            bar.update(task, completed=epoch.number, figures=_figures(epoch))
            yield epoch


def _figures(epoch: "Epoch") -> str:
    return f"loss {epoch.train_loss:.4f}, train error {epoch.train_error:.2%}, test error {epoch.test_error:.2%}"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 1 and one sentence on stderr where something asked for cannot be done."""
    try:
        for point in entry_points(group="landscape.commands"):
            point.load()(app)
        app(args=arguments)
    except LandscapeError as error:
        print(error, file=sys.stderr)
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            say_json({"error": {"code": error.code, "message": str(error)}})
        sys.exit(1)


if __name__ == "__main__":
    main()
