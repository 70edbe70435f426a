"""From a request to a landscape: the one way of the library, the shell and the workers of the service."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import GridError
from ..grid import Axis, Grid
from . import kind_of
from .definition import Kind

if TYPE_CHECKING:
    from torch import nn

    from ..directions.plane import State
    from ..evaluation.run import Prepared


def prepare(
    name: str,
    model: "nn.Module",
    *others: Any,
    images: Any,
    labels: Any = None,
    grid: Grid | None = None,
    own: "State | None" = None,
    **options: Any,
) -> "Prepared":
    """A landscape of the kind called `name`, ready to be evaluated.

    Args:
        model: the center, or a network of its architecture for a kind with a list of checkpoints.
        others: the other checkpoints, in the order of the kind's `roles`; a list counts as one.
        images, labels: see `data.inputs.read_inputs`.
        own: the state of `model`, if the other checkpoints use other names than its `state_dict()`: a packed network
            names the constants of its file differently.
        options: of this kind.

    Raises:
        UnknownNameError, UnknownOptionError, DataError: the kind or an option is unknown, or not possible.
        GridError: the grid has another number of axes.
        LandscapeError: network, checkpoints and samples do not fit together.
    """
    from ..evaluation.setup import Call

    kind = kind_of(name)
    complete = kind.complete(options)
    _require_axes(kind, grid)
    call = Call(name, model, images, labels, others, grid or kind.grid, complete, own)
    prepared = kind.prepare(call)
    return replace(prepared, request=request(kind, prepared.grid, complete), call=call)


def request(kind: Kind, grid: Grid, options: Mapping[str, Any]) -> dict[str, Any]:
    """The request as JSON, for the provenance: what was asked for, by which it can be reproduced."""
    words = {name: _as_json(value) for name, value in options.items() if name != "choice"}
    return {"kind": kind.name, "grid": grid_as_json(grid), "options": words}


def grid_as_json(grid: Grid) -> dict[str, Any]:
    """A grid as a job has it: {"alpha": {"min", "max", "count"}, "beta": …}."""
    axes = {"alpha": grid.alpha, "beta": grid.beta}
    return {name: _axis_as_json(axis) for name, axis in axes.items() if axis is not None}


def _axis_as_json(axis: Axis) -> dict[str, float | int]:
    return {"min": float(axis.min), "max": float(axis.max), "count": axis.count}


def _as_json(value: Any) -> Any:
    """The value of an option; what JSON cannot hold as {"python": its type or name}, which must be given again."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): _as_json(one) for name, one in value.items()}
    return {"python": getattr(value, "__name__", type(value).__name__)}


def _require_axes(kind: Kind, grid: Grid | None) -> None:
    if grid is None:
        return
    found, wanted = 2 if grid.beta else 1, kind.axes[0]
    if found not in kind.axes:
        fitting, other = ("Grid.square(51)", "slice()") if wanted == 2 else ("Grid.line(51)", "surface()")
        advice = (
            f"Use {fitting}, or {other} for {found}." if kind.grid else "Use Grid(Axis(…), Axis(…)), or leave it out."
        )
        axes = "axes" if wanted > 1 else "axis"
        raise GridError(f"This plot needs a grid with {wanted} {axes}; got {found}. {advice}")
