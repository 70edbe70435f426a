"""Preconditions of operators that move a window over their input: convolution and pooling.

Their lists (stride, padding, dilation, size of the window) have a number for each axis of a sample, since some kernels
read as many even of a shorter list.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

Given = Mapping[str, Any]  # arguments by the names of torch's schema

WIDEST = 2**16  # a size, stride, dilation or padding: kernels count in 32 bits


class Unfit(Exception):
    """Arguments that do not fit; the message goes on after the name of the operator."""


def require(holds: bool, otherwise: str) -> None:
    """Refuse arguments of an operator.

    Raises:
        Unfit: `holds` is false; with the message `otherwise`.
    """
    if not holds:
        raise Unfit(otherwise)


def fits(x: Tensor, axis: int) -> bool:
    """Whether a tensor has this axis; negative ones count from the last."""
    return -max(1, x.ndim) <= axis < max(1, x.ndim)


def convolution(given: Given) -> None:
    """
    Raises:
        Unfit: lists, channels, groups or types that do not belong together, or a result without pixels.

    Source: torch's documentation of Conv2d and ConvTranspose2d, for the sizes.
    """
    x, weight, bias, groups, transposed = (given[name] for name in ("input", "weight", "bias", "groups", "transposed"))
    axes = x.ndim - 2
    require(axes in (1, 2, 3) and weight.ndim == x.ndim, "needs samples and a weight of 1 to 3 axes")
    require(min(*x.shape, *weight.shape) > 0, "gets a tensor without numbers")
    require(x.dtype == weight.dtype and x.is_floating_point(), "gets a weight of another type than its samples")
    inner = weight.shape[0] if transposed else weight.shape[1] * groups
    filters = weight.shape[1] * groups if transposed else weight.shape[0]
    require(0 < groups <= filters and filters % groups == 0 and inner % groups == 0, "gets groups that do not fit")
    require(x.shape[1] == inner, f"gets {x.shape[1]} channels and a weight for {inner}")
    if bias is not None:
        require(tuple(bias.shape) == (filters,) and bias.dtype == x.dtype, f"needs a bias of {filters} numbers")
    for name, least in (("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0)):
        _require_numbers(name, given[name], axes, least)
    for size, kernel, at in zip(x.shape[2:], weight.shape[2:], range(axes), strict=True):
        stride, padding, dilation, more = (
            given[name][at] for name in ("stride", "padding", "dilation", "output_padding")
        )
        window = dilation * (kernel - 1) + 1
        if transposed:
            require(more < max(stride, dilation), "gets an output padding as large as the stride")
            require((size - 1) * stride - 2 * padding + window + more > 0, "has a result without pixels")
        else:
            require(size + 2 * padding >= window, "has a window larger than its padded input")


def max_pool(axes: int) -> Callable[[Given], None]:
    """Check of a maximum over windows of `axes` axes, which gives the largest number and its place."""

    def check(given: Given) -> None:
        _require_pooled(given["self"], given, axes, given["dilation"])

    return check


def average_pool(axes: int) -> Callable[[Given], None]:
    """Check of a mean over windows of `axes` axes."""

    def check(given: Given) -> None:
        divisor = given["divisor_override"]
        require(divisor is None or 0 < divisor < WIDEST, "needs a positive divisor")
        _require_pooled(given["self"], given, axes, (1,) * axes)

    return check


def _require_pooled(x: Tensor, given: Given, axes: int, dilation: Sequence[int]) -> None:
    require(x.ndim in (axes + 1, axes + 2) and min(x.shape) > 0, f"pools samples of {axes} axes")
    require(x.is_floating_point(), "needs floating numbers")
    sizes = given["kernel_size"]
    strides = given["stride"] or sizes
    for name, numbers, least in (("kernel_size", sizes, 1), ("stride", strides, 1), ("dilation", dilation, 1)):
        _require_numbers(name, numbers, axes, least)
    _require_numbers("padding", given["padding"], axes, 0)
    for size, kernel, stride, edge, far in zip(
        x.shape[-axes:], sizes, strides, given["padding"], dilation, strict=True
    ):
        window = far * (kernel - 1) + 1
        require(2 * edge <= window, "is padded by more than half its window")
        room = size + 2 * edge - window + (stride - 1 if given["ceil_mode"] else 0)
        require(room >= 0, "has a window larger than its padded input")


def _require_numbers(name: str, numbers: Sequence[int], axes: int, least: int) -> None:
    require(len(numbers) == axes, f"needs {axes} numbers as {name}, one for each axis, and gets {len(numbers)}")
    require(
        all(least <= number < WIDEST for number in numbers), f"needs numbers from {least} to {WIDEST - 1} as {name}"
    )
