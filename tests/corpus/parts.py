"""Parts of good and bad files: torch's zip layout, its legacy layout, safetensors, and pickles byte by byte."""

import io
import json
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from tests.support.paths import GALLERY

GOOD = load_file(GALLERY / "resnet20-w8-skip.safetensors")
FLOATS = "torch\nFloatStorage"


def saved(content: Any, **options: Any) -> bytes:
    """The bytes that torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def legacy(content: Any) -> bytes:
    return saved(content, _use_new_zipfile_serialization=False)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(shape: str, content: bytes = b"", dtype: str = "|u1") -> bytes:
    """An array with any shape in its header."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


def zipped_arrays(**arrays: bytes) -> bytes:
    """An .npz of `.npy` contents by name."""
    return zipped({f"{name}.npy": content for name, content in arrays.items()}, zipfile.ZIP_DEFLATED)


def torch_zip(table: bytes, *storages: bytes, **members: bytes) -> bytes:
    """A file in torch.save's zip layout with a custom pickle."""
    data = {f"archive/data/{index}": content for index, content in enumerate(storages)}
    return zipped(
        {"archive/data.pkl": table, "archive/byteorder": b"little", "archive/version": b"3\n", **data, **members}
    )


def members(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def text(words: str) -> bytes:
    return b"X" + struct.pack("<I", len(words.encode())) + words.encode()


def number(value: int) -> bytes:
    if 0 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + raw


def numbers(values: Any) -> bytes:
    return b"(" + b"".join(number(value) if type(value) is int else value for value in values) + b"t"


def storage(count: int, key: str = "0", kind: str = FLOATS) -> bytes:
    return b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(
    shape: Any = (2, 2), strides: Any = (2, 1), *, count: int = 4, offset: Any = 0, made: str = "_rebuild_tensor_v2",
    kind: str = FLOATS, key: str = "0",
) -> bytes:  # fmt: skip
    """A pickled tensor with any sizes."""
    where = number(offset) if type(offset) is int else offset
    rest = b"\x89ccollections\nOrderedDict\n)R"
    return (
        f"ctorch._utils\n{made}\n(".encode()
        + storage(count, key, kind)
        + where
        + numbers(shape)
        + numbers(strides)
        + rest
        + b"tR"
    )


def table(**entries: bytes) -> bytes:
    """A pickle of a dictionary, made from the pickles of its values."""
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in entries.items()) + b"u."


def one_tensor(value: bytes, numbers: int = 4) -> bytes:
    return torch_zip(table(weight=value), bytes(4 * numbers))


def calling(function: Any, *arguments: Any) -> bytes:
    """A pickle that calls `function` when it is unpickled."""

    class Call:
        def __reduce__(self) -> Any:
            return function, arguments

    return pickle.dumps({"state_dict": Call()}, protocol=2)


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: Any, start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def with_changed(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**GOOD, name: value}


def flipped(file: bytes, at: int) -> bytes:
    changed = bytearray(file)
    changed[at] ^= 1
    return bytes(changed)


def as_numpy(value: torch.Tensor) -> Any:
    return np.asarray(value.float())
