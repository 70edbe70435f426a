"""The request that a command builds from its options, and the landscape prepared from it.

A request is plain data, so that it can be sent to another process or to a service.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LandscapeError
from ..grid import Grid

if TYPE_CHECKING:
    from torch import nn

    from ..data.dataset import Dataset
    from ..directions.plane import Plane, State
    from ..evaluation.run import Prepared


@dataclass(frozen=True)
class Request:
    """One landscape: its kind, files, samples and grid."""

    kind: str  # a key of `setup.KINDS`
    checkpoints: tuple[str, ...]  # files; the center first, or those of a trajectory in the order of training
    dataset: str  # a built-in name, or a file
    split: str = "train"
    images: int | None = None  # size of a fixed random subset
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
    from ..evaluation import setup

    network, label, states = _networks(request)
    network = network.to(device)
    whole = samples(request.dataset, request.split)
    chosen = whole if request.images is None else whole.subset(request.images)
    facts = {"samples_in_split": len(whole), "architecture": {"label": label}}
    others: list[Any] = [states] if request.kind == "trajectory" else [*states[1:]]
    options = {**request.options, **_loss(whole), "plane": _plane(request.directions, network), "choice": choice}
    kept = {name: value for name, value in options.items() if value is not None}
    landscape = setup.KINDS[request.kind](network, *others, chosen, None, grid=request.grid, **kept)
    return replace(landscape, facts={**landscape.facts, **facts})


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
    built, label = model(request.checkpoints[-1 if request.kind == "trajectory" else 0], request.architecture)
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


def _plane(directions: str | None, network: "nn.Module") -> "Plane | None":
    from ..directions.files import read

    return read(directions, network) if directions else None
