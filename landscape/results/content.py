"""`==` and `hash` by content, for dataclasses that hold arrays or tensors.

The `==` that `@dataclass` generates raises for such a class ("truth value of an array is ambiguous"), and its `hash`
fails or disagrees. `@dataclass(eq=False)` with the base `ComparedByContent` has both.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ComparedByContent:
    """Equal if every field is: arrays in type, shape and bits, except that any NaN equals any other.

    A field declared with `compare=False` is left out. As after a round trip through JSON, a tuple equals a list, and
    1 equals 1.0.
    """

    def compared(self) -> dict[str, Any]:
        """Name -> value of all that `==` and `hash` depend on."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.compare}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ComparedByContent) or not (
            isinstance(other, type(self)) or isinstance(self, type(other))
        ):
            return NotImplemented
        return self is other or content_digest(self.compared()) == content_digest(other.compared())

    def __hash__(self) -> int:
        return int(content_digest(self.compared())[:15], 16)


def content_digest(value: Any) -> str:
    """SHA-256 (hex) of plain values, arrays, tensors, dataclasses, and sequences and mappings of them, of any order.

    Raises:
        TypeError: a value is of another type.
    """
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Bytes that two values have in common if and only if they are equal."""
    if isinstance(value, str):
        yield f"text {len(value)} {value}\n".encode(errors="surrogatepass")
    elif value is None or isinstance(value, bool):
        yield f"{value}\n".encode()
    elif isinstance(value, int | float):
        yield f"number {_number(value)}\n".encode()
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}\n".encode()
        for key in sorted(value):
            yield from _parts(key)
            yield from _parts(value[key])
    elif isinstance(value, Sequence):
        yield f"sequence {len(value)}\n".encode()
        for one in value:
            yield from _parts(one)
    elif is_dataclass(value):
        yield from _parts([getattr(value, one.name) for one in fields(value) if one.compare])
    else:
        yield from _array(value)


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) > 2**53:  # not exact as a float
        return str(value)
    return "nan" if math.isnan(value) else float(value).hex()


def _array(value: Any) -> Iterator[bytes]:
    array = as_array(value)
    yield f"array {array.dtype.str} {array.shape}\n".encode()
    yield (np.where(np.isnan(array), np.nan, array) if array.dtype.kind in "fc" else array).tobytes()


def as_array(value: Any) -> NDArray[Any]:
    """A NumPy array or scalar, or a tensor of any device and type: without importing torch.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if not hasattr(value, "detach"):
        raise TypeError(f"A {type(value).__name__} cannot be compared by content: expected plain values and arrays.")
    tensor = value.detach().cpu()
    found: NDArray[Any] = (tensor.double() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    return found
