"""How samples and targets of a data set are kept, which their shapes and types decide, and checks of their numbers.

Images become (N, C, H, W) in uint8 or float32, vectors (N, F) float32, tokens and labels int64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import StoredArray
from .source import FileError

MAX_SIDE = 4096


def inputs(name: str, given: StoredArray) -> tuple[str, StoredArray]:
    """(kind, samples as stored): images (N, C, H, W), vectors (N, F), tokens (N, T).

    Raises:
        FileError: samples have no such shape, or another type.
    """
    shape, dtype = given.shape, given.dtype
    if len(shape) < 2 or 0 in shape:
        raise FileError(f"{name!r} has shape {shape}; expected (N, C, H, W) or (N, H, W, C), none of them 0.")
    if dtype.kind in "iu" and len(shape) == 2 and (name == "tokens" or dtype != np.uint8):
        require_token_shape(given)
        return "tokens", given.converted(lambda block: block.astype(np.int64), shape, np.int64)
    if dtype == np.uint8:
        return "images", _uint8_images(name, given)
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise FileError(f"{name!r} has type {dtype}; expected uint8, or float32 that is already normalized.")
    if len(shape) == 2:
        return "vectors", given.converted(_as_float32, shape, np.float32)
    if len(shape) != 4 or max(shape[1:]) > MAX_SIDE:
        raise FileError(f"{name!r} has shape {shape}; expected (N, C, H, W) or (N, H, W, C), or (N, F).")
    last = shape[3] in (1, 3) and shape[1] not in (1, 3) and shape[1] == shape[2]
    return "images", _channels_first(given.converted(_as_float32, shape, np.float32), last)


def _uint8_images(name: str, images: StoredArray) -> StoredArray:
    if len(images.shape) == 3:
        images = images.converted(lambda block: block[:, None], (images.shape[0], 1, *images.shape[1:]), np.uint8)
    shape = images.shape
    if len(shape) != 4 or max(shape[1:]) > MAX_SIDE:
        raise FileError(f"{name!r} has shape {shape}; expected (N, C, H, W) or (N, H, W, C).")
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last:
        raise FileError(
            f"{name!r} has shape {shape}: axis 1 and axis 3 could both be the channels. "
            "Store float32 of shape (N, C, H, W), already normalized."
        )
    if not first and not last:
        raise FileError(
            f"{name!r} has shape {shape}: no axis for the channels. Expected 1 or 3 along axis 1 or axis 3."
        )
    return _channels_first(images, last)


def _channels_first(images: StoredArray, last: bool) -> StoredArray:
    """Images (N, C, H, W), from (N, H, W, C) if the channels are `last`."""
    if not last:
        return images
    count, height, width, channels = images.shape
    shape = count, channels, height, width
    return images.converted(lambda block: np.ascontiguousarray(block.transpose(0, 3, 1, 2)), shape, images.dtype)


def _as_float32(block: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(block, dtype=np.float32)


def sequences(tokens: StoredArray) -> tuple[StoredArray, StoredArray]:
    """Tokens (N, T) without targets: (N, T − 1) samples, and the next token of each as its target.

    Raises:
        FileError: this is no array of integers (N, T).
    """
    require_token_shape(tokens)
    shape = tokens.shape[0], tokens.shape[1] - 1
    return (
        tokens.converted(lambda block: block[:, :-1].astype(np.int64), shape, np.int64),
        tokens.converted(lambda block: block[:, 1:].astype(np.int64), shape, np.int64),
    )


def require_token_shape(tokens: StoredArray) -> None:
    """Check shape and type of tokens.

    Raises:
        FileError: they are not integers (N, T), T at least 2.
    """
    shape = tokens.shape
    if len(shape) != 2 or tokens.dtype.kind not in "iu" or 0 in shape or shape[1] < 2:
        raise FileError(f"'tokens' has shape {shape} and type {tokens.dtype}; expected integers of shape (N, T).")


def targets(given: StoredArray, name: str) -> StoredArray:
    """Labels (N,) or (N, T) as int64, or numbers to predict (N,) or (N, K) as float32.

    Raises:
        FileError: targets have no such shape, or another type.
    """
    shape, dtype = given.shape, given.dtype
    if dtype.kind == "f" and name == "targets" and len(shape) in (1, 2) and 0 not in shape:
        return given.converted(_as_float32, shape, np.float32)
    if len(shape) not in (1, 2) or dtype.kind not in "iu":
        raise FileError(
            f"{name!r} has shape {shape} and type {dtype}; expected integers of shape (N,). "
            "Numbers to predict go into 'targets'."
        )
    if 0 in shape:
        raise FileError(f"{name!r} is empty. Store at least one sample.")
    return given.converted(lambda block: block.astype(np.int64), shape, np.int64)


def largest(array: StoredArray, name: str, most: int) -> int:
    """The largest number of an array of integers.

    Raises:
        FileError: it is `most` or more, or a number is below 0.
    """
    ranges = [(int(block.min()), int(block.max())) for block in array.blocks()]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low < 0 or high >= most:
        raise FileError(f"{name!r} run from {low} to {high}; expected 0 to {most - 1} at most.")
    return high


def require_finite(array: StoredArray, name: str) -> None:
    """Check that every number is finite.

    Raises:
        FileError: one is not.
    """
    if not all(np.isfinite(block).all() for block in array.blocks()):
        raise FileError(f"{name!r} holds NaN or infinity. Remove those samples or repair them.")
