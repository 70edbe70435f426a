"""Results as NPZ: every array by name, `losses[i, j]` at (alphas[i], betas[j])."""

import io
import json
from typing import Any

import numpy as np

from ..errors import FormatError
from ..results.arrays import VALUES, Arrays
from .picture import PictureOptions

_FIXED = ("alphas", "betas", "computed")


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """`alphas` (n,), `betas` (m,), `computed` and every array (n, m) by name; kind, caption, provenance as text."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(result, name) for name in _FIXED}
    arrays |= {name: result.array(name) for name in result.columns}
    arrays |= {"kind": result.kind, "caption": result.caption, "provenance": json.dumps(result.provenance)}
    np.savez_compressed(file, **arrays, trajectory=json.dumps(result.path))
    return file.getvalue()


def read(content: bytes, name: str) -> Arrays:
    """The result in a file that `write` wrote, with read-only arrays.

    Raises:
        FormatError: the file cannot be read, or lacks an array.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # on damaged files zipfile and numpy raise almost anything
        raise FormatError(f"{name} cannot be read as an .npz file ({type(error).__name__}).") from error
    missing = [one for one in (*_FIXED, *VALUES, "kind", "caption", "provenance") if one not in arrays]
    if missing:
        raise FormatError(f"{name} holds no result: it lacks {missing[0]!r}. Use a file that Result.save wrote.")
    words: dict[str, Any] = {one: str(arrays.pop(one)) for one in ("kind", "caption", "provenance")}
    words["provenance"] = json.loads(words["provenance"])
    words["path"] = json.loads(str(arrays.pop("trajectory", "null")))
    kept: dict[str, Any] = {one: arrays.pop(one) for one in (*_FIXED, *VALUES)}
    return Arrays(**kept, **words, extra=arrays).frozen()
