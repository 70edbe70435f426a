"""Surface files in the HDF5 layout of Li et al.'s code; for their direction files see directions/paper_files.py.

Three properties of that layout are handled here and nowhere else: the transposition (`Z[row = y][column = x]`), −1 for
a point that is not computed, and accuracy in percent.

Source: the authors' net_plotter.py, plot_surface.py, h5_util.py, projection.py.
"""

import io
import json
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ..results.arrays import VALUES, Array, Arrays
from .picture import PictureOptions

MISSING = -1.0
LOST = -1e308  # what the maximum over processes (MPI) leaves where all have NaN: the most negative number
OURS = "landscape"  # the HDF5 group with our own data
_NAMES = {  # ours -> theirs, and their unit per ours
    "losses": ("train_loss", 1.0),
    "accuracies": ("train_acc", 100.0),
    "test_losses": ("test_loss", 1.0),
    "test_accuracies": ("test_acc", 100.0),
    "lambda_min": ("min_eig", 1.0),
    "lambda_max": ("max_eig", 1.0),
}


def to_paper(array: Array, computed: NDArray[np.bool_], *, unit: float = 1.0) -> Array:
    """Ours (n_alpha, n_beta) -> theirs (n_y, n_x), −1 where not computed; a slice becomes (n,). A NaN loss stays NaN.

    >>> to_paper(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[True, True, True], [True, True, False]]))
    array([[ 1.,  4.],
           [ 2.,  5.],
           [ 3., -1.]])
    """
    theirs = np.where(computed, array * unit, MISSING).T
    return theirs[0] if theirs.shape[0] == 1 else np.ascontiguousarray(theirs)


def from_paper(array: Array, shape: tuple[int, int], *, unit: float = 1.0) -> Array:
    """Theirs -> ours (n_alpha, n_beta); −1 becomes NaN, and so does the most negative number, see `LOST`.

    For non-square grids their code declares the array as (n_x, n_y) but fills it in the order of (n_y, n_x): only the
    order of the numbers is used here.
    """
    ours = np.array(array, dtype=np.float64).reshape(shape[1], shape[0]).T
    return np.where((ours == MISSING) | (ours <= LOST), np.nan, ours / unit)


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """The content of a surface file with every array of `result` that has a name in the layout.

    A group of our own, which their scripts ignore, holds the complete result, so that nothing is lost.
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


def read(content: bytes, name: str) -> Arrays:
    """The result in a surface file called `name`; without our group it has no provenance, which the layout lacks.

    Raises:
        FormatError: the file cannot be read, lacks coordinates or losses, or their sizes do not fit.
    """
    with opened(io.BytesIO(content), name) as file:
        alphas = dataset(file, "xcoordinates", name).ravel()
        betas = dataset(file, "ycoordinates", name).ravel() if "ycoordinates" in file else np.zeros(1)
        found = _from_layout(file, alphas, betas, name)
        return (_with_own_group(file[OURS], found, name) if OURS in file else found).frozen()


def _from_layout(file: Any, alphas: Array, betas: Array, name: str) -> Arrays:
    """The data in the authors' layout: coordinates, losses, accuracies and eigenvalues."""
    shape = (len(alphas), len(betas))
    losses = dataset(file, "train_loss", name)
    arrays = {
        ours: from_paper(_sized(file, theirs, shape, name), shape, unit=unit)
        for ours, (theirs, unit) in _NAMES.items()
        if theirs in file
    }
    # In the file NaN is a computed loss and −1 is none; `from_paper` makes both NaN.
    computed = losses.reshape(shape[1], shape[0]).T != MISSING
    accuracies = arrays.pop("accuracies", np.full(shape, np.nan))
    kind = "surface" if len(betas) > 1 else "slice"
    blank, caption = np.full(shape, np.nan), str(file.attrs.get("caption", ""))
    return Arrays(kind, alphas, betas, arrays.pop("losses"), accuracies, blank, computed, {}, caption, arrays)


def _with_own_group(group: Any, found: Arrays, name: str) -> Arrays:
    """`found` with the content of our own group: kind, provenance, trajectory, and every array bit for bit."""
    try:
        words = json.loads(group["words"].asstr()[()])
        arrays: dict[str, Any] = {one: np.array(group[one]) for one in group if one not in ("words", "computed")}
        kept = {one: arrays.pop(one) for one in VALUES}
        facts: dict[str, Any] = {"kind": words["kind"], "provenance": words["provenance"], "path": words["trajectory"]}
        return replace(found, **kept, **facts, computed=np.array(group["computed"]), extra=arrays)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise FormatError(
            f"{name} holds a group {OURS!r} that is damaged, or was written by another program."
        ) from error


def _sized(file: Any, key: str, shape: tuple[int, int], name: str) -> Array:
    array = dataset(file, key, name)
    if array.size != shape[0] * shape[1]:
        raise FormatError(f"{name}: '{key}' holds {array.size} numbers for {shape[0]} × {shape[1]} coordinates.")
    return array


def opened(content: Any, name: str) -> Any:
    """An HDF5 file, open for reading; `content` is a path or a file object.

    Raises:
        FormatError: it cannot be opened.
    """
    try:
        return h5py.File(content, "r")
    except OSError as error:
        raise FormatError(f"{name} cannot be read as HDF5. Is it complete, and not open in another program?") from error


def dataset(file: Any, key: str, name: str) -> Array:
    """The array `key` of an open file called `name`, in its shape there, as float64.

    Raises:
        FormatError: the file lacks it.
    """
    if key not in file or not isinstance(file[key], h5py.Dataset):
        raise FormatError(f"{name} lacks the array {key!r}.")
    return np.array(file[key], dtype=np.float64)
