"""The request that a command builds from its options, and the landscape prepared from it.

A request is plain data, so that it can be sent to another process or to a service.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LandscapeError
from ..grid import Grid
from ..kinds import KINDS
from ..options import Subset

if TYPE_CHECKING:
    from torch import nn

    from ..data.dataset import Dataset
    from ..directions.plane import Plane, State
    from ..evaluation.run import Prepared


@dataclass(frozen=True)
class Request:
    """One landscape: its kind, files, samples and grid."""

    kind: str  # a key of `KINDS`
    checkpoints: tuple[str, ...]  # files; the center first, or those of a trajectory in the order of training
    dataset: str  # a built-in name, or a file
    split: str = "train"
    subset: Subset | None = None  # all samples if None
    architecture: int | None = None  # number of the architecture, if several fit
    grid: Grid | None = None
    directions: str | None = None  # a file
    options: Mapping[str, Any] = field(default_factory=dict)  # options of this kind, named as in the library


def prepared(request: Request, *, device: str = "cpu", choice: Mapping[str, Any] | None = None) -> "Prepared":
    """The requested landscape, ready to be evaluated on `device`.

    Args:
        choice: the engine's choice in another process, so that both compute the same bits.

    Raises:
        LandscapeError: a file cannot be read, or files do not fit together.
    """
    from ..evaluation.run import with_threads
    from ..kinds.prepare import prepare

    network, label, states = _networks(request)
    network = network.to(device)
    whole = samples(request.dataset, request.split)
    others: list[Any] = [states] if KINDS[request.kind].center.many else [*states[1:]]
    options = {**request.options, **_loss(whole), **_also(request), "choice": choice}
    if request.directions is not None:
        options["directions"] = _plane(request.directions, network)
    given = chosen(whole, request.subset)
    with with_threads(1):  # on which gradients depend: directions along them are the same in every process of a pool
        found = prepare(request.kind, network, *others, images=given, grid=request.grid, **options)
    facts = {"samples_in_split": len(whole), "architecture": {"label": label}}
    return replace(found, facts={**found.facts, **facts}, request={**found.request, **_names(request, found)})


def chosen(whole: "Dataset", subset: Subset | None) -> "Dataset":
    """The samples, or a subset of them."""
    return whole if subset is None else whole.subset(subset.count, subset.seed)


def _names(request: Request, found: "Prepared") -> dict[str, Any]:
    """The files and data of a request, for the provenance."""
    options = dict(found.request["options"])
    if request.directions is not None:
        options["directions"] = {"file": request.directions}
    return {
        "options": {**options, **{name: request.options[name] for name in ("also",) if name in request.options}},
        "checkpoints": list(request.checkpoints),
        "dataset": request.dataset,
        "split": request.split,
        "subset": asdict(request.subset) if request.subset else None,
        "architecture": request.architecture,
    }


def _also(request: Request) -> dict[str, Any]:
    """The second split, by its name."""
    split = request.options.get("also")
    if not split:
        return {}
    other = samples(request.dataset, split)
    return {"also": {split: (other.images, other.labels)}}


def _loss(whole: "Dataset") -> dict[str, Any]:
    from ..objective.losses import loss_for

    return {} if whole.targets == "classes" else {"loss": loss_for(whole.targets)}


def model(checkpoint: str, chosen: int | None) -> "tuple[nn.Module, str]":
    """The network in a checkpoint file, and its label."""
    from ..checkpoints.inspect import inspect

    path = Path(checkpoint)
    if not path.is_file():
        raise LandscapeError(f"There is no file {checkpoint!r}. Name a checkpoint on this machine.")
    inspected = inspect(path)
    return inspected.model(chosen), inspected.candidate(chosen)["label"]


def _networks(request: Request) -> "tuple[nn.Module, str, list[State]]":
    """The network, its label, and the states of all checkpoints.

    Reading a checkpoint in the sandbox takes seconds, and a run has a hundred of one network: from our own trajectories
    all files but one are read directly, for their tensors alone.
    """
    center = -1 if KINDS[request.kind].center.many else 0
    built, label = model(request.checkpoints[center], request.architecture)
    return built, label, [_state(path, built, request.architecture) for path in request.checkpoints]


def _state(path: str, network: "nn.Module", chosen: int | None) -> "State":
    from ..training.recorder import ENDING, states_in

    names = dict(network.named_parameters())
    if path.endswith(ENDING) and Path(path).is_file():
        [found] = states_in(path)
        if names.keys() <= found.keys():
            kept = network.state_dict().keys()
            return {name: tensor for name, tensor in found.items() if name in kept}
    return model(path, chosen)[0].state_dict()


def samples(dataset: str, split: str) -> "Dataset":
    """A data set, by its name or from its file; large ones are shared with this user's other processes."""
    from ..data.builtin import BUILT_IN, load
    from ..data.files import load_file
    from ..disk_cache import own_cache

    get = load_file if dataset not in BUILT_IN and Path(dataset).is_file() else load
    return get(dataset, split, cache=own_cache())


def _plane(directions: str, network: "nn.Module") -> "Plane":
    from ..directions.files import read

    return read(directions, network)
