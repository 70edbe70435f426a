"""The body of `POST /jobs`, from keyword arguments of the client's methods (kinds.py) or options of the shell."""

from collections.abc import Mapping
from typing import Any

from ..grid import Grid
from ..kinds import KINDS
from ..kinds.prepare import grid_as_json
from .models import Checkpoint

CheckpointLike = str | Checkpoint  # its id, or the result of an upload


def job_body(kind: str, grid: Grid | None, options: Mapping[str, Any], **checkpoints: Any) -> dict[str, Any]:
    """The body of a request for a job of this kind; `checkpoints` are ids or `Checkpoint`s, one or several."""
    subset = options.get("subset")
    given = {**options, "subset": {"count": subset} if isinstance(subset, int) else subset}
    defaults = {option.name: option.default for option in KINDS[kind].job_options}
    body = {name: _ids(checkpoint) for name, checkpoint in checkpoints.items()}
    body |= {"grid": grid_as_json(grid)} if grid else {}
    return {
        "kind": kind,
        **body,
        **{name: value for name, value in given.items() if _is_set(value, defaults.get(name))},
    }


def _is_set(value: Any, default: Any) -> bool:
    """Whether a value is not the service's default."""
    return value is not None and (list(value) != list(default) if isinstance(default, tuple) else value != default)


def _ids(checkpoints: Any) -> Any:
    return _id(checkpoints) if isinstance(checkpoints, str | Checkpoint) else [_id(one) for one in checkpoints]


def _id(checkpoint: CheckpointLike) -> str:
    return checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint
