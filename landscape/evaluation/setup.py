"""Prepares landscapes: the building blocks of the kinds of results (landscape/kinds/), each of which prepares its own.

evaluation/run.py evaluates what is prepared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, TypeVar

from torch import nn

from ..data.inputs import Inputs, read_inputs
from ..directions.plane import Plane, State
from ..directions.trajectory import Path
from ..errors import GridError, PlaneError
from ..grid import AROUND, Axis, Grid
from ..options import DirectionOptions, EngineOptions, ObjectiveOptions, options_of
from ..training.recorder import states_in
from .landscape import Landscape
from .run import Prepared
from .seeds import RepeatedLandscape

Group = TypeVar("Group")
Checkpoint = State | nn.Module
Trajectory = Sequence[Checkpoint | str | FilePath] | str | FilePath
MARGIN = 0.2  # of the extent of the checkpoints, on every side


@dataclass(frozen=True)
class Call:
    """What a kind prepares its landscape from."""

    kind: str
    model: nn.Module  # the center; of a trajectory, any network of its architecture
    images: Any  # samples in any form that `data.inputs.read_inputs` takes
    labels: Any
    others: tuple[Any, ...]  # the other checkpoints in the order of `Kind.roles`; a list counts as one
    grid: Grid | None  # the kind's default if none was given; None for one around the checkpoints
    options: Mapping[str, Any]  # every option of the kind
    own: State | None = None  # shapes of `model`; its state, if the other checkpoints use other names for it

    @property
    def state(self) -> State:
        """The state of the model, under the names of the other checkpoints; shapes of the model's tensors."""
        return self.own or self.model.state_dict()

    def group(self, group: type[Group]) -> Group:
        """The options of one group of landscape/options.py."""
        return group(**{option.name: self.options[option.name] for option in options_of(group)})


def around_one(call: Call, *, make: type[Landscape] = Landscape, **more: Any) -> Prepared:
    """A landscape around one checkpoint, along the directions that the options name; with `repeats`, for several seeds.

    Args:
        make: its class, called with `more`.

    Raises:
        GridError: given directions are not as many as the axes of the grid.
        DataError: samples and network do not fit together.
        PlaneError: `also` is given for batches that are mappings, or a random direction moves nothing.
        LandscapeError: another option is not possible, see `Landscape`.
    """
    assert call.grid
    directions = call.group(DirectionOptions)
    if isinstance(directions.directions, Plane):
        _require_as_many(call.grid, directions.directions)
    repeats = call.options.get("repeats", 1)
    if repeats > 1:
        make, more = RepeatedLandscape, {**more, "repeats": repeats}
    return _prepared(make, call, call.grid, directions, **more)


def along(
    call: Call,
    grid: Grid,
    plane: Plane,
    *,
    checkpoints: Mapping[str, State] | None = None,
    path: Path | None = None,
    epochs: Sequence[State] = (),
) -> Prepared:
    """A landscape along the directions of a plane.

    Args:
        checkpoints: those at landmarks of the plane, by name.
        path, epochs: of a trajectory.

    Raises:
        GridError: the directions are not as many as the axes of the grid.
        DataError: samples and network do not fit together.
        PlaneError: `also` is given for batches that are mappings.
        LandscapeError: another option is not possible, see `Landscape`.
    """
    _require_as_many(grid, plane)
    found = _prepared(Landscape, call, grid, DirectionOptions(directions=plane))
    return replace(found, checkpoints=checkpoints or {}, path=path, epochs=epochs)


def _prepared(make: type[Landscape], call: Call, grid: Grid, directions: DirectionOptions, **more: Any) -> Prepared:
    objective: Any = call.group(ObjectiveOptions)
    inputs = read_inputs(call.model, call.images, call.labels, objective.loss)
    also = {name: _also(call.model, samples, inputs) for name, samples in (objective.also or {}).items()}
    landscape = make(
        inputs.model,
        inputs.images,
        inputs.labels,
        dimensions=2 if grid.beta else 1,
        directions=directions,
        objective=replace(objective, loss=inputs.loss, also=also),
        engine=call.group(EngineOptions),
        **more,
    )
    return Prepared(landscape, grid, call.kind, facts=inputs.facts)


def _also(model: nn.Module, samples: Any, first: Inputs) -> Any:
    """Further samples as two tensors. Not possible for a model that takes mappings, which holds its own samples."""
    if first.model is not model:
        raise PlaneError("Batches that are mappings take one data set. Use separate calls for the others.")
    inputs, labels = samples if isinstance(samples, tuple) else (samples, None)
    found = read_inputs(model, inputs, labels, first.loss)
    return found.images, found.labels


def grid_around(points: Sequence[Sequence[float]], *, count: int = AROUND) -> Grid:
    """A grid of `count` × `count` points around `points` (α, β), with `MARGIN` of their extent on every side.

    Raises:
        GridError: the extent is too large for floating point.
    """
    axes = []
    for coordinates in zip(*points, strict=True):
        low, high = min(coordinates), max(coordinates)
        rim = MARGIN * (high - low) or 1.0
        axes.append(Axis(low - rim, high + rim, count))
    return Grid(*axes)


def state_of(checkpoint: Checkpoint) -> State:
    """The state dict of a module, shapes of its tensors; a state dict is returned unchanged."""
    return checkpoint.state_dict() if isinstance(checkpoint, nn.Module) else checkpoint


def states_of(states: Trajectory) -> list[State]:
    """The state dicts of modules, state dicts, files, or a folder of files in order; shapes of the saved tensors.

    Raises:
        CheckpointError: a file cannot be read.
        MissingLibraryError: safetensors is not installed.
    """
    if isinstance(states, str | FilePath):
        return states_in(states)
    found: list[State] = []
    for one in states:
        found += states_in(one) if isinstance(one, str | FilePath) else [state_of(one)]
    return found


def _require_as_many(grid: Grid, plane: Plane) -> None:
    axes, found = 2 if grid.beta else 1, len(plane.directions)
    if found != axes:
        raise GridError(f"The grid has {axes} axes but there are {found} directions. Match them.")
