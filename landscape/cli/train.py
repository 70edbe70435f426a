"""`landscape train`: train a CIFAR-style ResNet and save its trajectory."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LandscapeError
from .options import AsJson
from .output import print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..training.train import Epoch


def register(app: typer.Typer) -> None:
    """Add the command to `landscape`."""
    app.command()(train)


def train(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Output folder, new or empty.")],
    depth: Annotated[int, typer.Option(metavar="N", help="Number of layers, 6n+2.")] = 56,
    width: Annotated[int, typer.Option(metavar="N", help="Channels of the first stage.")] = 8,
    shortcuts: Annotated[bool, typer.Option("--shortcuts/--no-shortcuts", help="With or without shortcuts.")] = True,
    dataset: Annotated[str, typer.Option(metavar="NAME", help="A built-in data set.")] = "digits",
    epochs: Annotated[int, typer.Option(metavar="N", help="Passes over the training set.")] = 40,
    lr: Annotated[float, typer.Option(metavar="X", help="Peak learning rate of the one-cycle schedule.")] = 0.1,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the initial weights and of the order of samples.")
    ] = 0,
    batch: Annotated[int, typer.Option(metavar="N", help="Batch size.")] = 128,
    weight_decay: Annotated[float, typer.Option(metavar="X", help="Weight decay, of every parameter.")] = 5e-4,
    warmup: Annotated[
        float, typer.Option(metavar="X", help="Share of the training in which the learning rate rises.")
    ] = 0.3,
    threads: Annotated[
        int, typer.Option(metavar="N", help="CPU threads; results are reproducible bit for bit with 1.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a CIFAR-style ResNet and save its trajectory.

    Writes checkpoint.safetensors (the last epoch), trajectory/epoch-NNN.safetensors (epoch 0 is the initialization)
    and record.json (command, seed, settings, versions, loss, errors, digest).

    \b
    Example:
      landscape train --depth 56 --width 8 --no-shortcuts -o run
    """
    import torch

    from ..data.builtin import load
    from ..models import CifarResNet
    from ..training.train import Settings, TrainingRun
    from ..training.train import train as train_epochs

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
    trained = train_epochs(architecture, samples, test_samples, settings)
    for epoch in _with_progress_bar(trained, total=epochs, title=architecture.label):
        run.save(epoch)
    record = run.finish(epoch, seconds=time.perf_counter() - started)
    if as_json:
        print_json({"output": str(output), **record})
        return
    say(f"{architecture.label}: {_metrics(epoch)}; written to {output}")


def _with_progress_bar(epochs: "Iterator[Epoch]", *, total: int, title: str) -> "Iterator[Epoch]":
    """Pass epochs through, showing a progress bar with their metrics and the time left on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    metrics = TextColumn("{task.fields[metrics]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), metrics)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, metrics="")
        for epoch in epochs:
            bar.update(task, completed=epoch.number, metrics=_metrics(epoch))
            yield epoch


def _metrics(epoch: "Epoch") -> str:
    return f"loss {epoch.train_loss:.4f}, train error {epoch.train_error:.2%}, test error {epoch.test_error:.2%}"
