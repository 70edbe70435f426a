"""Results as JSON, NPZ and CSV. Imports numpy, result and errors; no torch.

In all three `losses[i, j]` belongs to `(alphas[i], betas[j])`.
"""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError

if TYPE_CHECKING:
    from ..result import Result

_FIXED = ("alphas", "betas", "computed")
_SINGULAR = {"losses": "loss", "accuracies": "accuracy", "standard_errors": "standard_error"}


def json_bytes(result: "Result") -> bytes:
    """The result as JSON: null where a value is not computed or not finite."""
    return json.dumps(result.to_json(), indent=1, allow_nan=False).encode()


def npz_bytes(result: "Result") -> bytes:
    """`alphas` (n,), `betas` (m,), `computed` and every array (n, m) by name; kind, caption, provenance as text."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(result, name) for name in _FIXED}
    arrays |= {name: result.array(name) for name in result.columns}
    arrays |= {"kind": result.kind, "caption": result.caption, "provenance": json.dumps(result.provenance)}
    np.savez_compressed(file, **arrays, trajectory=json.dumps(result.path))
    return file.getvalue()


def csv_bytes(result: "Result") -> bytes:
    """A line per computed point: alpha, beta, then the arrays; numbers as Python writes them, to read back equal."""
    lines = [",".join(["alpha", "beta", *(_SINGULAR.get(name, name) for name in result.columns)])]
    arrays = [result.array(name) for name in result.columns]
    for i, j in np.argwhere(result.computed).tolist():
        numbers = [result.alphas[i], result.betas[j], *(array[i, j] for array in arrays)]
        lines.append(",".join(repr(float(number)) for number in numbers))
    return ("\n".join(lines) + "\n").encode()


def read_npz(path: Path) -> "Result":
    """The result in a file that `npz_bytes` filled; arrays can only be read.

    Raises:
        FormatError: the file cannot be read, or lacks an array.
    """
    from ..result import VALUES, Result

    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # on damaged files zipfile and numpy raise almost anything
        raise FormatError(f"{path.name} cannot be read as an .npz file ({type(error).__name__}).") from error
    missing = [name for name in (*_FIXED, *VALUES, "kind", "caption", "provenance") if name not in arrays]
    if missing:
        raise FormatError(f"{path.name} holds no result: it lacks {missing[0]!r}. Use a file that Result.save wrote.")
    words: dict[str, Any] = {name: str(arrays.pop(name)) for name in ("kind", "caption", "provenance")}
    words["provenance"] = json.loads(words["provenance"])
    words["path"] = json.loads(str(arrays.pop("trajectory", "null")))
    kept: dict[str, Any] = {name: arrays.pop(name) for name in (*_FIXED, *VALUES)}
    for array in (*kept.values(), *arrays.values()):
        array.setflags(write=False)
    return Result(**kept, **words, extra=arrays)
