"""Computes a request, here or at a service, into a result file; and `landscape spectrum`.

With `--server`, a service computes the same request (remote.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LandscapeError, UnknownNameError
from . import options
from .options import AsJson, CheckpointFile, DataOptions, Loss, Over, RunOptions, subset_of
from .output import INTERRUPTED, print_json, require_folder, require_writable, say
from .request import Request

if TYPE_CHECKING:
    from ..evaluation.resume import PartialFile
    from ..result import Result


def register(app: typer.Typer) -> None:
    """Add `landscape spectrum`."""
    app.command()(options.with_options(spectrum))


def spectrum(
    checkpoint: CheckpointFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Result file, .json.")],
    *,
    data: DataOptions,
    over: Over = "filters",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the random vectors.")] = 0,
    steps: Annotated[
        int, typer.Option(min=4, metavar="N", help="Lanczos steps: Hessian-vector products per random vector.")
    ] = 60,
    probes: Annotated[int, typer.Option(min=1, metavar="N", help="Random vectors for trace and density.")] = 8,
    loss: Loss = "cross_entropy",
    as_json: AsJson = False,
) -> None:
    """Compute the spectrum of the Hessian at a checkpoint.

    Extreme eigenvalues, trace and spectral density, each with its error.

    \b
    Example:
      landscape spectrum checkpoint.pt --subset 500 -o spectrum.json
    """
    from .. import pointwise
    from ..hessian.spectrum import numbers_of
    from . import request

    if output.suffix != ".json":
        raise UnknownNameError("format of a spectrum", output.suffix, (".json",))
    require_folder(output)
    network, _ = request.model(checkpoint, data.architecture)
    whole = request.samples(data.dataset, data.split)
    samples = request.chosen(whole, subset_of(data.subset))
    names: dict[str, Any] = {"over": over, "loss": loss}
    found = pointwise.spectrum(network, samples, seed=seed, steps=steps, probes=probes, **names)
    output.write_text(json.dumps(found.to_json(), indent=1))
    numbers = numbers_of(found)
    if as_json:
        print_json({"output": str(output), "numbers": [number.to_json() for number in numbers]})
        return
    for number in numbers:
        say(f"{number.name} = {number.value:.6g} ± {number.error or 0:.2g}, {number.definition}")


def run(request: Request, output: Path, how: RunOptions) -> None:
    """Compute a request, on this machine or at a service, with a progress bar; write the result and print a summary."""
    require_writable(output)
    if how.server:
        from .remote import compute

        finish(compute(request, how.server, how.token_file, True), output, as_json=how.as_json)
        return
    for file in request.checkpoints:
        if not Path(file).is_file():
            raise LandscapeError(f"There is no file {file!r}. Name a checkpoint on this machine.")
    from ..evaluation.resume import PartialFile

    partial = PartialFile(output)
    conclude(compute_here(request, partial, how), output, partial, as_json=how.as_json)
    partial.remove()


def compute_here(
    request: Request,
    partial: "PartialFile",
    how: RunOptions,
    *,
    earlier: "Result | None" = None,
    choice: Mapping[str, Any] | None = None,
) -> "Result":
    """Compute on this machine. Points that an interrupted run has left in the partial file are kept; Ctrl-C writes it.

    Args:
        earlier: a result with the same settings; its points that are on the grid are reused.
        choice: how the engine computed them.
    """
    from ..evaluation.reuse import DifferentSettingsError
    from ..evaluation.run import compute
    from .pool import ProcessPool, available_devices
    from .request import prepared

    devices = available_devices()
    devices = [devices[index % len(devices)] for index in range(how.workers or len(devices))]
    landscape = prepared(request, device=devices[0], choice=choice)
    started = partial.started(landscape.grid)
    pool = ProcessPool(request, devices)
    try:
        found = compute(landscape, evaluate=pool, started=started or earlier, watch=partial.keep)
    except DifferentSettingsError as error:
        raise (partial.refusal(error) if started else error) from error
    except LandscapeError:
        partial.flush()
        raise
    if found.provenance.get("interrupted"):
        partial.write(found)
    return found


def conclude(result: "Result", output: Path, partial: "PartialFile", *, as_json: bool) -> None:
    """Write a result; if it was interrupted, say where its points are, and exit."""
    if not result.provenance.get("interrupted"):
        finish(result, output, as_json=as_json)
        return
    done, total = int(result.computed.sum()), result.computed.size
    say(
        f"Interrupted: {done} of {total} points are in {partial.path}. The same command continues from there.", err=True
    )
    if as_json:
        print_json({**_summary(result), "interrupted": True, "partial": str(partial.path)})
    raise typer.Exit(INTERRUPTED)


def finish(result: "Result", output: Path, *, as_json: bool) -> None:
    """Write a result, and print its self-checks and a summary."""
    result.save(output)
    if reused := result.provenance.get("reused"):
        say(f"{reused['points']} of {result.computed.size} points were reused.", err=True)
    for check in result.checks:
        say(f"{'✓' if check.passed else '✗'} {check.name}: {check.text}", err=True)
    if as_json:
        print_json({"output": str(output), **_summary(result), "interrupted": False})
    else:
        say(f"{result.caption}; written to {output}")


def _summary(result: "Result") -> dict[str, Any]:
    """The summary that `--json` prints; the file has everything."""
    described = result.to_json()
    keys = (
        "seconds",
        "reused",
        "weights_sha256",
        "data_sha256",
        "seed",
        "precision",
        "nan_count",
        "infinite_count",
        "center",
    )
    return {
        "kind": result.kind,
        "shape": list(result.losses.shape),
        "computed": int(result.computed.sum()),
        "caption": result.caption,
        "self_check": described["self_check"],
        **{key: result.provenance[key] for key in keys if key in result.provenance},
    }
