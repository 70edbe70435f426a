"""Sizes in a packed network are linear in the batch: per sample · N + fixed for every N, and so are time and memory.

A graph is run on shapes at several batches, and every size must be on one line. Where the size of a result is a limit
(`slice` ends where its tensor ends) or a quotient (windows, steps), samples prove nothing: then the same side of every
limit must hold for one sample and for `MANY`, so for all batches in between, since a linear function changes its
sign once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.graph.graph import Node, Ref, Size
from ..engine.graph.preconditions import signature
from ..parsers.source import FileError

Shape = tuple[int, ...]
BATCHES = (1, 2, 3, 256, 4099)
MANY = 2**20  # samples in a batch, at most
_END = 2**63 - 1


def line(shapes: Sequence[Shape]) -> tuple[Size, ...] | None:
    """The sizes of a tensor from its shapes at `BATCHES`; None if they are not linear, or more than one varies."""
    if len({len(shape) for shape in shapes}) != 1:
        return None
    sizes = tuple(_line(axis) for axis in zip(*shapes, strict=True))
    if any(size is None for size in sizes) or sum(bool(size and size.per_sample) for size in sizes) > 1:
        return None
    return sizes  # type: ignore[return-value]


def _line(sizes: Sequence[int]) -> Size | None:
    slope = (sizes[1] - sizes[0]) // (BATCHES[1] - BATCHES[0])
    found = Size(slope, sizes[0] - slope * BATCHES[0])
    return found if all(found.at(batch) == size for batch, size in zip(BATCHES, sizes, strict=True)) else None


def require_linear(node: Node, shapes: Mapping[int, Sequence[Shape]], lines: dict[int, tuple[Size, ...]]) -> None:
    """Refuse an operator whose results have sizes that are not linear in the batch; `lines` receives those that are.

    Args:
        shapes: of its results, at `BATCHES`.
        lines: sizes of all tensors before it.

    Raises:
        FileError: the sizes of a result are not linear, or not for every batch.
    """
    names, _ = signature(node.operator)
    given = {**dict(zip(names, node.arguments, strict=False)), **node.options}
    x = given.get(names[0])
    if isinstance(x, Ref) and not _holds_throughout(node.operator.split(".")[1], given, lines[x.index]):
        raise _not_linear(node, "is cut off or divided otherwise in some batches")
    if node.operator.startswith("aten.arange") and given.get("step", 1) not in (1, -1):
        varying = any(isinstance(argument, Size) and argument.per_sample for argument in given.values())
        if varying:
            raise _not_linear(node, "counts in strides along the batch")
    for index, versions in shapes.items():
        found = line(versions)
        if found is None:
            told = ", ".join(
                f"{list(shape)} for {batch}" for batch, shape in zip(BATCHES[:4], versions[:4], strict=True)
            )
            raise _not_linear(node, f"has shape {told[:150]} samples")
        lines[index] = found


def _not_linear(node: Node, how: str) -> FileError:
    return FileError(
        f"The result of operator {node.operator!r} {how}: every size in a packed network must be linear in the batch, "
        "and only one of a tensor may depend on it. Name the axes that squeeze() removes, and slice no batches."
    )


def _holds_throughout(name: str, given: Mapping[str, Any], sizes: tuple[Size, ...]) -> bool:
    """Whether a result that is linear at some batches is so at all of them, for the first tensor's `sizes`."""
    if name == "slice":
        return _one_side(given, sizes)
    if name.startswith("_fft"):
        return not any(sizes[axis].per_sample for axis in given["dim"])
    axes = _windowed(name, len(sizes))
    return not any(size.per_sample for size in sizes[len(sizes) - axes :])


def _windowed(name: str, axes: int) -> int:
    """Number of last axes along which an operator moves a window or scales."""
    if name == "convolution" or name.startswith("upsample"):
        return max(0, axes - 2)
    if "pool" in name:
        return 3 if "3d" in name else 2
    return 3 if name == "pixel_shuffle" else 0


def _one_side(given: Mapping[str, Any], sizes: tuple[Size, ...]) -> bool:
    """Whether start and end of a slice are on the same side of its tensor's limits, and of each other, throughout."""
    length = sizes[given.get("dim", 0)]
    start, end, every = given.get("start"), given.get("end"), given.get("step", 1)
    places = [_at(0 if start is None else start), _at(_END if end is None else end)]
    few, many = ([_place(place.at(batch), length.at(batch)) for place in places] for batch in (1, MANY))
    same = all(_agree(one, other) for one, other in zip(few, many, strict=True))
    lengths = [right[0] - left[0] for left, right in (few, many)]
    varying = length.per_sample or any(place.per_sample for place in places)
    return same and min(lengths) * max(lengths) >= 0 and (every == 1 or not varying)


def _at(place: int | Size) -> Size:
    return place if isinstance(place, Size) else Size(0, place)


def _place(place: int, length: int) -> tuple[int, tuple[int, int, int]]:
    """Where a start or end is in a tensor of this length; and the signs of what decides that."""
    counted = place + length if place < 0 else place
    return min(max(counted, 0), length), (-1 if place < 0 else 1, _sign(counted), _sign(length - counted))


def _agree(one: tuple[int, tuple[int, int, int]], other: tuple[int, tuple[int, int, int]]) -> bool:
    return all(first * second >= 0 for first, second in zip(one[1], other[1], strict=True))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
