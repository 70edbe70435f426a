"""The HDF5 layout of Li et al.'s code: directions, surfaces, projections, read and written.

Imports h5py, numpy, errors; torch only for directions. Three things of that layout live here and nowhere else: the
transposition (`Z[row = y][column = x]`), −1 for a point not computed, and accuracy in percent.

Source: the authors' net_plotter.py, plot_surface.py, h5_util.py, projection.py.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, ShapeMismatchError

if TYPE_CHECKING:
    from torch import Tensor

    from ..plane import Plane
    from ..result import Result
    from . import Look

Array = NDArray[np.float64]

MISSING = -1.0
GROUPS = ("xdirection", "ydirection")
OURS = "landscape"  # a group
_NAMES = {  # ours -> theirs, and their unit per ours
    "losses": ("train_loss", 1.0),
    "accuracies": ("train_acc", 100.0),
    "test_losses": ("test_loss", 1.0),
    "test_accuracies": ("test_acc", 100.0),
    "lambda_min": ("min_eig", 1.0),
    "lambda_max": ("max_eig", 1.0),
}


def to_paper(array: Array, computed: NDArray[np.bool_], *, unit: float = 1.0) -> Array:
    """Ours (n_alpha, n_beta) -> theirs (n_y, n_x), −1 where not computed; 1-D stays 1-D. A loss that is NaN stays."""
    theirs = np.where(computed, array * unit, MISSING).T
    return theirs[0] if theirs.shape[0] == 1 else np.ascontiguousarray(theirs)


def from_paper(array: Array, shape: tuple[int, int], *, unit: float = 1.0) -> Array:
    """Theirs -> ours (n_alpha, n_beta); −1 becomes NaN.

    On grids that are not square their code declares the array (n_x, n_y) but fills it in the order of (n_y, n_x), so
    what counts is the order of the numbers, which is read here.
    """
    ours = np.array(array, dtype=np.float64).reshape(shape[1], shape[0]).T
    return np.where(ours == MISSING, np.nan, ours / unit)


def write(result: "Result", ending: str, look: "Look") -> bytes:
    """The content of a surface file with every array of `result` that the layout has a name for.

    What it has no name for is in a group of ours that their scripts do not look at, so that we lose nothing.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["dir_file"] = str((result.provenance.get("directions") or {}).get("file", ""))
        file["xcoordinates"] = np.asarray(result.alphas)
        if len(result.betas) > 1:
            file["ycoordinates"] = np.asarray(result.betas)
        for ours, (theirs, unit) in _NAMES.items():
            if ours in result.columns:
                file[theirs] = to_paper(result.array(ours), result.computed, unit=unit)
        file.attrs["caption"] = result.caption
        words = {"kind": result.kind, "provenance": result.provenance, "trajectory": result.path}
        group = file.create_group(OURS, track_order=True)
        group["words"], group["computed"] = json.dumps(words), result.computed
        for name in result.columns:
            group[name] = result.array(name)
    return buffer.getvalue()


def read(content: bytes, name: str) -> "Result":
    """The result in a surface file called `name`; one of the authors' has no provenance, since the layout has none.

    Raises:
        FormatError: the file cannot be read, lacks coordinates or losses, or their sizes do not fit.
    """
    with _opened(io.BytesIO(content), name) as file:
        alphas = _dataset(file, "xcoordinates", name).ravel()
        betas = _dataset(file, "ycoordinates", name).ravel() if "ycoordinates" in file else np.zeros(1)
        found = _theirs(file, alphas, betas, name)
        return (_ours(file[OURS], found, name) if OURS in file else found).frozen()


def _theirs(file: Any, alphas: Array, betas: Array, name: str) -> "Result":
    from ..result import Result

    shape = (len(alphas), len(betas))
    losses = _dataset(file, "train_loss", name)
    arrays = {
        ours: from_paper(_sized(file, theirs, shape, name), shape, unit=unit)
        for ours, (theirs, unit) in _NAMES.items()
        if theirs in file
    }
    # A NaN of theirs is a computed loss, a −1 is none: only the file itself tells them apart.
    computed = losses.reshape(shape[1], shape[0]).T != MISSING
    accuracies = arrays.pop("accuracies", np.full(shape, np.nan))
    kind = "surface" if len(betas) > 1 else "slice"
    blank, caption = np.full(shape, np.nan), str(file.attrs.get("caption", ""))
    return Result(kind, alphas, betas, arrays.pop("losses"), accuracies, blank, computed, {}, caption, arrays)


def _ours(group: Any, found: "Result", name: str) -> "Result":
    """With what our own group holds besides: kind, provenance, trajectory, and every array bit for bit."""
    from ..result import VALUES

    try:
        words = json.loads(group["words"].asstr()[()])
        arrays: dict[str, Any] = {one: np.array(group[one]) for one in group if one not in ("words", "computed")}
        kept = {one: arrays.pop(one) for one in VALUES}
        facts: dict[str, Any] = {"kind": words["kind"], "provenance": words["provenance"], "path": words["trajectory"]}
        return replace(found, **kept, **facts, computed=np.array(group["computed"]), extra=arrays)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise FormatError(f"{name} holds a group {OURS!r} that no version of ours wrote.") from error


def _sized(file: Any, key: str, shape: tuple[int, int], name: str) -> Array:
    array = _dataset(file, key, name)
    if array.size != shape[0] * shape[1]:
        raise FormatError(f"{name}: '{key}' holds {array.size} numbers for {shape[0]} × {shape[1]} coordinates.")
    return array


def write_directions(
    path: "str | Path", plane: "Plane", center: "Mapping[str, Tensor]", *, buffers: "Mapping[str, Tensor] | None" = None
) -> None:
    """Write one direction or two in parameter order, float32, as `--dir_file` of the authors' scripts takes them.

    Args:
        center: the parameters, in the order of `model.parameters()`.
        buffers: where the statistics move too (their `states`): the whole state dict in its order.
    """
    names = list(buffers or center)
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
    path: "str | Path", center: "Mapping[str, Tensor]", *, state: "Mapping[str, Tensor] | None" = None
) -> "Plane":
    """The plane in a direction file of the authors' layout.

    Args:
        center: the parameters, in the order of `model.parameters()`.
        state: the whole state dict in its order, for files of type `states`, which hold the statistics too.

    Raises:
        FormatError: the file cannot be read or holds no direction.
        ShapeMismatchError: it was made for another network; the message names the parameter.
    """
    from ..plane import given

    path = Path(path)
    with _opened(path, path.name) as file:
        groups = [group for group in GROUPS if group in file]
        if not groups:
            raise FormatError(f"{path.name} holds no direction: neither {GROUPS[0]!r} nor {GROUPS[1]!r} is in it.")
        directions = [_direction(file[group], center, state, path) for group in groups]
        keys = ("explained_variance_ratio_", "singular_values_", "explained_variance_")
        facts: dict[str, Any] = {key: np.array(file[key]).tolist() for key in keys if key in file}
    moved = {**dict(center), **{name: t for name, t in (state or {}).items() if t.is_floating_point()}}
    return given(directions, moved, source="file", file=path.name, label=f"directions of {path.name}", **facts)


def _direction(
    group: Any, center: "Mapping[str, Tensor]", state: "Mapping[str, Tensor] | None", path: Path
) -> "dict[str, Tensor]":
    import torch

    count = len(group)
    fitting = next((names for names in (center, state or {}) if len(names) == count), None)
    if fitting is None:
        raise ShapeMismatchError(
            f"{path.name} has directions of {count} tensors; the network has {len(center)} parameters"
            f"{f' and {len(state)} tensors in its state' if state else ''}. "
            "Use a direction made from the same architecture."
        )
    direction = {}
    for index, (name, tensor) in enumerate(fitting.items()):
        values = torch.from_numpy(np.array(_dataset(group, str(index), path.name)))
        if values.shape != tensor.shape:
            raise ShapeMismatchError(
                f"Tensor {index} of {path.name} has shape {tuple(values.shape)}; parameter {name!r} has "
                f"{tuple(tensor.shape)}. Use a direction made from the same architecture."
            )
        if tensor.is_floating_point():
            direction[name] = values
    return direction


def write_projection(path: "str | Path", coordinates: Sequence[Sequence[float]]) -> None:
    """Write the (x, y) of a trajectory, in its order."""
    with h5py.File(path, "w") as file:
        for key, column in zip(("proj_xcoord", "proj_ycoord"), zip(*coordinates, strict=True), strict=True):
            file[key] = np.array(column, dtype=np.float64)


def read_projection(path: "str | Path") -> Array:
    """(M, 2): the coordinates of a trajectory.

    Raises:
        FormatError: the file cannot be read or lacks a coordinate.
    """
    path = Path(path)
    with _opened(path, path.name) as file:
        return np.stack([_dataset(file, key, path.name) for key in ("proj_xcoord", "proj_ycoord")], axis=1)


def _opened(content: Any, name: str) -> Any:
    try:
        return h5py.File(content, "r")
    except OSError as error:
        raise FormatError(f"{name} cannot be read as HDF5. Is it complete, and not open elsewhere?") from error


def _dataset(file: Any, key: str, name: str) -> Array:
    if key not in file or not isinstance(file[key], h5py.Dataset):
        raise FormatError(f"{name} lacks the array {key!r}.")
    return np.array(file[key], dtype=np.float64)
