"""Runs the request of a result again, from its provenance, and says whether the numbers agree.

A result in the process that computed it knows its model and samples. One from a file takes them as arguments, and their
SHA-256 are compared with those in the provenance before anything is computed.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from .directions.files import read as read_directions
from .errors import LandscapeError, UnknownNameError
from .evaluation.progress import Progress
from .evaluation.run import Evaluate, Prepared, compute, in_this_process, samples_digest, with_threads
from .evaluation.setup import Call
from .kinds import kind_of
from .kinds.definition import Kind
from .kinds.prepare import prepare
from .kinds.requested import is_written, request_of
from .objective.random_state import keeps_random_state
from .result import Result
from .results.agreement import Agreement, agreement, alike

PrepareWith = Callable[[Mapping[str, Any] | None], Prepared]  # the engine's choice -> the landscape of the request


class DifferentInputsError(LandscapeError):
    """Weights, samples or directions are not those of the result, so its numbers cannot come out again."""

    code = "different_inputs"


@keeps_random_state
def reproduce(
    result: Result,
    model: Any = None,
    images: Any = None,
    labels: Any = None,
    *,
    progress: bool | Progress = True,
    **given: Any,
) -> Agreement:
    """Compute a result again and compare; see `Result.reproduce`.

    Raises:
        DifferentInputsError: weights, samples or directions differ; nothing was computed.
        UnknownNameError, UnknownOptionError, FormatError, LandscapeError: see `call_of` and `request_of`.
        NotFiniteError, PlaneError, ShapeMismatchError: see `call_of`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    call = call_of(result, model, images, labels, given)
    name = request_of(result)["kind"]

    def prepare_with(choice: Mapping[str, Any] | None) -> Prepared:
        options = {**call.options, "choice": choice}
        own = {"images": call.images, "labels": call.labels, "grid": call.grid, "own": call.own}
        with with_threads(result.provenance.get("threads")):  # directions may follow from gradients
            return prepare(name, call.model, *call.others, **own, **options)

    return compute_again(result, prepare_with, device=_device(call.model), progress=progress)


def compute_again(
    result: Result,
    prepare_with: PrepareWith,
    *,
    device: str = "cpu",
    progress: bool | Progress = True,
    evaluate: Evaluate = in_this_process,
) -> Agreement:
    """Compute the points of a result with the engine's recorded choice and number of threads, and compare.

    Args:
        prepare_with: prepares the same request with a choice of the engine, or None for the one of this machine.
        device: where it will compute.

    Raises:
        DifferentInputsError: weights, samples or directions differ; nothing was computed.
        ShapeMismatchError: a checkpoint does not fit the model, see `with_state`.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
    """
    facts = result.provenance
    choice = facts.get("engine") if str(facts.get("device", device)).split(":")[0] == device.split(":")[0] else None
    try:
        prepared = prepare_with(choice)
    except UnknownNameError:  # this machine lacks an instruction set
        prepared = prepare_with(None)
    require_same_inputs(result, prepared)

    def evaluate_those(landscape: Any, grid: Any, work: Any) -> Iterator[Any]:
        left = ([point for point in tile if result.computed[point]] for tile in work)
        return evaluate(landscape, grid, [tile for tile in left if tile])

    with with_threads(facts.get("threads")):
        return agreement(result, compute(prepared, progress=progress, evaluate=evaluate_those))


def require_same_inputs(result: Result, prepared: Prepared) -> None:
    """Compare what was prepared with the digests and directions in the provenance.

    Raises:
        DifferentInputsError: something differs; the message names it.
    """
    facts, landscape = result.provenance, prepared.landscape
    digests = {"weights": (facts.get("weights_sha256"), landscape.digest)}
    digests["samples"] = (facts.get("data_sha256"), samples_digest(landscape.objective))
    recorded_also = facts.get("also", {name: {} for name in landscape.also})
    if recorded_also.keys() != landscape.also.keys():
        names = ", ".join(recorded_also) or "none"
        raise DifferentInputsError(f"The further samples of this result are called: {names}. Pass those as 'also'.")
    for name, other in recorded_also.items():
        digests[f"samples called {name!r}"] = (other.get("data_sha256"), samples_digest(landscape.also[name]))
    for name, (expected, found) in digests.items():
        if expected is not None and expected != found:
            raise DifferentInputsError(
                f"The {name} are not those of this result: their SHA-256 is {found[:12]}…, and the result has "
                f"{expected[:12]}…. Pass those that it was computed from, or compute a new result and compare the two "
                "with `difference`."
            )
    recorded, plane = facts.get("directions") or {}, landscape.plane
    common = {name: value for name, value in plane.facts.items() if name in recorded and name != "file"}
    marks = [{"name": name, "coordinates": list(at)} for name, at in plane.landmarks]
    if not alike(common, {name: recorded[name] for name in common}) or not alike(marks, facts.get("landmarks", marks)):
        raise DifferentInputsError(
            "The directions, or the other checkpoints, are not those of this result. Pass those that it was computed "
            "from, in the same order."
        )


def call_of(result: Result, model: Any, images: Any, labels: Any, given: Mapping[str, Any]) -> Call:
    """What the request of a result is prepared from: the arguments, and else what the result was computed from.

    Args:
        given: options that the request does not hold, and checkpoints, named by their role: "end", "epochs", ….

    Raises:
        LandscapeError: something is missing; the message says what to pass.
        UnknownOptionError: an option is unknown.
        UnknownNameError: the kind is unknown, or the ending of a file of directions.
        FormatError, NotFiniteError, PlaneError, ShapeMismatchError: the file of directions that the request names
            cannot be read or does not fit, see `directions.files.read`.
    """
    request, source = request_of(result), result.source
    kind = kind_of(request["kind"])
    options = {name: value for name, value in given.items() if name not in _others(kind)}
    if source is not None:
        others = tuple(given.get(name, other) for name, other in zip(_others(kind), source.others, strict=True))
        samples = (source.images, source.labels) if images is None else (images, labels)
        own = source.own if model is None else None
        return Call(kind.name, model or source.model, *samples, others, result.grid, {**source.options, **options}, own)
    missing = [name for name, value in (("model", model), ("images", images)) if value is None]
    missing += [name for name in _others(kind) if name not in given]
    missing += [name for name, value in request["options"].items() if name not in given and not _is_here(name, value)]
    if missing:
        raise LandscapeError(_advice(request, missing))
    read = {name: _value(name, value, model) for name, value in request["options"].items() if name not in given}
    others = tuple(given[name] for name in _others(kind))
    return Call(kind.name, model, images, labels, others, result.grid, kind.complete({**read, **options}))


def _others(kind: Kind) -> list[str]:
    """The names of the checkpoints that are passed besides the model."""
    return [role.name for role in kind.roles if role.many or role is not kind.center]


def _is_here(name: str, value: Any) -> bool:
    """Whether the value of an option is complete, and its file exists."""
    if name == "also" and value:  # at most the name of a split
        return False
    file = value.get("file") if isinstance(value, Mapping) else None
    return is_written(value) and (file is None or Path(file).is_file())


def _value(name: str, value: Any, model: nn.Module) -> Any:
    return read_directions(value["file"], model) if name == "directions" and isinstance(value, Mapping) else value


def _advice(request: Mapping[str, Any], missing: list[str]) -> str:
    """What to pass, and from where it came."""
    call = ", ".join(name if name in ("model", "images") else f"{name}=…" for name in missing)
    said = f"The result does not hold {', '.join(missing)}. Pass what it was computed from: reproduce({call})."
    if "checkpoints" not in request:
        return said
    files, data = ", ".join(request["checkpoints"]), request.get("dataset")
    return f"{said} It was computed from {files} and the data set {data}: `landscape reproduce` reads them from files."


def _device(model: nn.Module) -> str:
    return str(next((parameter.device for parameter in model.parameters()), "cpu"))
