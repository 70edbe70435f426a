"""What a command of the shell asks for, and how that becomes a landscape: here, in a worker process, or at a service.

Imports grid; torch and the rest when a landscape is made of it. Plain data, so that it can be sent anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """One landscape: of which files, on which samples, over which grid."""

    kind: str  # a key of preparing.KINDS
    checkpoints: tuple[str, ...]  # files; the center first, for a trajectory in the order of training
    dataset: str  # a built-in name, or a file
    split: str = "train"
    images: int | None = None  # a fixed random subset of so many samples
    architecture: int | None = None  # which network, where several fit
    grid: Grid | None = None
    directions: str | None = None  # a file
    options: Mapping[str, Any] = field(default_factory=dict)  # of the kind, named as in Python


def prepared(request: Request, *, device: str = "cpu", choice: Mapping[str, Any] | None = None) -> "Prepared":
    """The landscape that is asked for, on `device`.

    Args:
        choice: how the engine computes, where another process has chosen: equal bits in both.

    Raises:
        LandscapeError: a file cannot be read, or things do not fit together.
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
    made = setup.KINDS[request.kind](network, *others, chosen, None, grid=request.grid, **kept)
    return _described(made, facts)


def _loss(whole: "Dataset") -> dict[str, Any]:
    from ..objective.losses import loss_for

    return {} if whole.targets == "classes" else {"loss": loss_for(whole.targets)}


def _described(made: "Prepared", facts: dict[str, Any]) -> "Prepared":
    from dataclasses import replace

    return replace(made, facts={**made.facts, **facts})


def model(checkpoint: str, chosen: int | None) -> "tuple[nn.Module, str]":
    """The network in a file, and what it is called."""
    from ..checkpoints.inspect import inspect

    path = Path(checkpoint)
    if not path.is_file():
        raise LandscapeError(f"There is no file {checkpoint!r}. Name a checkpoint on this machine.")
    inspected = inspect(path)
    return inspected.model(chosen), inspected.candidate(chosen)["label"]


def _networks(request: Request) -> "tuple[nn.Module, str, list[State]]":
    """The network, its label, and the states of all checkpoints; of a run all but one are read for their tensors alone.

    A checkpoint takes seconds to be read at the boundary, and a run has a hundred of one network.
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
    """The data set called so, or in the file of this name; many samples are shared with this user's other processes."""
    from ..data.builtin import BUILT_IN, load
    from ..data.files import load_file
    from ..disk_cache import own_cache

    get = load_file if dataset not in BUILT_IN and Path(dataset).is_file() else load
    return get(dataset, split, cache=own_cache())


def _plane(directions: str | None, network: "nn.Module") -> "Plane | None":
    from ..directions.files import read

    return read(directions, network) if directions else None
