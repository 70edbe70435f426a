"""`landscape reproduce`: computes a result again from what its file records, and compares."""

from typing import TYPE_CHECKING, Any

import typer

from .export import ResultFile
from .options import RunOptions, with_options
from .output import INTERRUPTED, print_json, say
from .recorded import Checkpoints, RecordedOptions, recorded_request
from .request import Request

if TYPE_CHECKING:
    from ..result import Result
    from ..results.agreement import Agreement


def register(app: typer.Typer) -> None:
    """Add the command to `landscape`."""
    app.command()(with_options(reproduce))


def reproduce(
    file: ResultFile,
    checkpoints: Checkpoints = None,
    *,
    data: RecordedOptions,
    how: RunOptions,
) -> None:
    """Compute a result again and say whether it comes out the same.

    Checkpoints, data set and options are those that the result records; give the ones that are elsewhere now. Weights
    and samples are compared by their SHA-256 before anything is computed. Exit code 0: the same, bit for bit, or up to
    rounding if device, versions or engine differ. Exit code 1: not the same.

    \b
    Examples:
      landscape reproduce surface.npz
      landscape reproduce surface.npz moved/checkpoint.pt --dataset moved/data.npz
      landscape reproduce surface.npz --server http://lab:8000
    """
    from ..result import Result

    result = Result.load(file)
    request = recorded_request(result, checkpoints, data)
    found = _at_service(result, request, how) if how.server else _here(result, request, how.workers)
    if how.as_json:
        print_json({"result": str(file), **found.to_json()})
    else:
        say(*str(found).splitlines())
    interrupted = any(fact.name == "computed points" and not fact.same for fact in found.facts)
    raise typer.Exit(INTERRUPTED if interrupted else 0 if found.same else 1)


def _at_service(result: "Result", request: Request, how: RunOptions) -> "Agreement":
    from .remote import compute

    assert how.server
    return result.difference(compute(request, how.server, how.token_file, True))


def _here(result: "Result", request: Request, workers: int | None) -> "Agreement":
    """Computed by a process on every core if each had one thread, as the shell does; else in this process."""
    from ..evaluation.run import in_this_process
    from ..reproduce import compute_again
    from .pool import ProcessPool, available_devices
    from .request import prepared

    devices = available_devices()
    devices = [devices[index % len(devices)] for index in range(workers or len(devices))]
    facts = result.provenance
    single = facts.get("threads", 1) == 1 and (facts.get("engine") or {}).get("engine") != "lanes"
    evaluate: Any = ProcessPool(request, devices) if single else in_this_process
    return compute_again(
        result,
        lambda choice: prepared(request, device=devices[0], choice=choice),
        device=devices[0],
        evaluate=evaluate,
    )
