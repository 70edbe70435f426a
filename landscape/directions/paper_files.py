"""Direction files of Li et al.'s code (HDF5), in parameter order: reading and writing.

Source: the authors' net_plotter.py, h5_util.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ..errors import FormatError, ShapeMismatchError
from ..formats.paper import dataset, opened
from .plane import Plane, from_directions

GROUPS = ("xdirection", "ydirection")


def write_directions(
    path: str | Path, plane: Plane, center: Mapping[str, Tensor], *, buffers: Mapping[str, Tensor] | None = None
) -> None:
    """Write one or two directions in parameter order, float32, as the authors' scripts read them with `--dir_file`.

    Args:
        center: the parameters, in the order of `model.parameters()`.
        buffers: the whole state dict in its order, if the statistics move too (the authors' type `states`).

    Raises:
        FormatError: a direction is complex.
    """
    names = list(buffers or center)
    if any(tensor.is_complex() for direction in plane.directions for tensor in direction.values()):
        raise FormatError("The authors' files hold real numbers; this network has complex ones. Write .safetensors.")
    with h5py.File(path, "w") as file:
        for group, direction in zip(GROUPS, plane.directions, strict=False):
            for index, name in enumerate(names):
                tensor = direction.get(name)
                shape = tuple((buffers or center)[name].shape)
                values = np.zeros(shape, np.float32) if tensor is None else tensor.numpy().astype(np.float32)
                file[f"{group}/{index}"] = values
        for key in ("explained_variance_ratio_", "singular_values_", "explained_variance_"):
            if key in plane.facts:
                file[key] = np.array(plane.facts[key], dtype=np.float64)


def read_directions(
    path: str | Path, center: Mapping[str, Tensor], *, state: Mapping[str, Tensor] | None = None
) -> Plane:
    """The plane in a direction file of the authors' layout.

    Args:
        center: the parameters, in the order of `model.parameters()`.
        state: the whole state dict in its order, for files of type `states`, which hold the statistics as well.

    Raises:
        FormatError: the file cannot be read or holds no direction.
        ShapeMismatchError: it was made for another network; the message names the parameter.
        NotFiniteError, PlaneError: see `plane.from_directions`.
    """
    path = Path(path)
    with opened(path, path.name) as file:
        groups = [group for group in GROUPS if group in file]
        if not groups:
            raise FormatError(f"{path.name} holds no direction: neither {GROUPS[0]!r} nor {GROUPS[1]!r} is in it.")
        directions = [_direction(file[group], center, state, path) for group in groups]
        keys = ("explained_variance_ratio_", "singular_values_", "explained_variance_")
        facts: dict[str, Any] = {key: np.array(file[key]).tolist() for key in keys if key in file}
    moved = {**dict(center), **{name: t for name, t in (state or {}).items() if t.is_floating_point()}}
    return from_directions(
        directions, moved, source="file", file=path.name, label=f"directions of {path.name}", **facts
    )


def _direction(
    group: Any, center: Mapping[str, Tensor], state: Mapping[str, Tensor] | None, path: Path
) -> dict[str, Tensor]:
    count = len(group)
    tensors = next((known for known in (center, state or {}) if len(known) == count), None)
    if tensors is None:
        raise ShapeMismatchError(
            f"{path.name} has directions of {count} tensors; the network has {len(center)} parameters"
            f"{f' and {len(state)} tensors in its state' if state else ''}. "
            "Use a direction made from the same architecture."
        )
    direction = {}
    for index, (name, tensor) in enumerate(tensors.items()):
        values = torch.from_numpy(np.array(dataset(group, str(index), path.name)))
        if values.shape != tensor.shape:
            raise ShapeMismatchError(
                f"Tensor {index} of {path.name} has shape {tuple(values.shape)}; parameter {name!r} has "
                f"{tuple(tensor.shape)}. Use a direction made from the same architecture."
            )
        if tensor.is_floating_point():
            direction[name] = values
    return direction
