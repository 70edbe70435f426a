"""Preconditions of operators by the shapes and types of their arguments; those that move a window: window_checks.py.

Each function takes the arguments by the names of torch's schema and raises `Unfit` with what does not fit.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .window_checks import Given, fits, require

MOST = 2**40  # numbers of one tensor; beyond 2**63 torch's count of them wraps around
FAR = 2**31  # positions, diagonals, shifts


def batch_norm(given: Given) -> None:
    """Statistics and weights of as many numbers as there are channels; raises as `require`."""
    x = given["input"]
    require(x.ndim >= 2, "needs a batch and channels")
    parts = [given[name] for name in ("weight", "bias", "running_mean", "running_var")]
    _require_parts(x, parts, x.shape[1:2])
    if not given["training"]:
        require(parts[2] is not None and parts[3] is not None, "needs a mean and a variance that belong together")


def group_norm(given: Given) -> None:
    """Sizes that are those of the samples, and groups of equal size; raises as `require`."""
    x, channels, groups = given["input"], given["C"], given["group"]
    whole = x.ndim >= 2 and tuple(x.shape[:2]) == (given["N"], channels) and x.numel() > 0
    require(whole and math.prod(x.shape[2:]) == given["HxW"], "gets sizes that do not belong together")
    require(0 < groups <= channels and channels % groups == 0, "needs a number of groups that divides the channels")
    _require_parts(x, (given["weight"], given["bias"]), (channels,))


def layer_norm(given: Given) -> None:
    """A shape that is that of the last axes; raises as `require`."""
    x, shape = given["input"], tuple(given["normalized_shape"])
    fitting = 0 < len(shape) <= x.ndim and tuple(x.shape[-len(shape) :]) == shape
    require(fitting and x.numel() > 0, "gets sizes that do not belong together")
    _require_parts(x, (given["weight"], given["bias"]), shape)


def _require_parts(x: Tensor, parts: Sequence[Tensor | None], shape: Sequence[int]) -> None:
    """Weights of a normalization: read as one dense row, so expanded ones would be read outside."""
    half = x.dtype in (torch.float16, torch.bfloat16)
    given = [one for one in parts if one is not None]
    require(x.is_floating_point(), "needs floating numbers")
    for one in given:
        require(tuple(one.shape) == tuple(shape) and one.is_contiguous(), "gets sizes that do not belong together")
        require(one.dtype == given[0].dtype, "gets weights of different types")
        require(one.dtype == x.dtype or (half and one.dtype == torch.float32), "gets weights of another type")


def mm(given: Given) -> None:
    """Two matrices, (n, k) and (k, m); raises as `require`."""
    _require_product(given["self"], given["mat2"], 2)


def bmm(given: Given) -> None:
    """Batches of matrices, (b, n, k) and (b, k, m); raises as `require`."""
    _require_product(given["self"], given["mat2"], 3)


def addmm(given: Given) -> None:
    """A product of matrices, (n, k) and (k, m), and what can be added to it; raises as `require`."""
    _require_added(given, given["mat1"], given["mat2"], 2)


def baddbmm(given: Given) -> None:
    """Products of matrices, (b, n, k) and (b, k, m), and what can be added to them; raises as `require`."""
    _require_added(given, given["batch1"], given["batch2"], 3)


def _require_added(given: Given, one: Tensor, other: Tensor, axes: int) -> None:
    _require_product(one, other, axes)
    added, shape = given["self"], (*one.shape[:-1], other.shape[-1])
    fitting = added.ndim <= axes and all(
        size in (1, wanted) for size, wanted in zip(reversed(added.shape), reversed(shape), strict=False)
    )
    require(fitting and added.dtype == one.dtype, "adds a tensor that does not belong to the product")


def _require_product(one: Tensor, other: Tensor, axes: int) -> None:
    require(one.ndim == other.ndim == axes, f"multiplies matrices of {axes} axes")
    fitting = one.shape[-1] == other.shape[-2] and one.shape[:-2] == other.shape[:-2]
    require(fitting and one.dtype == other.dtype, "multiplies matrices that do not belong together")
    require(one.is_floating_point() or one.is_complex(), "needs floating or complex numbers")


def embedding(given: Given) -> None:
    """A table (rows, numbers), and whole numbers; torch checks that they are rows; raises as `require`."""
    weight, indices = given["weight"], given["indices"]
    require(weight.ndim == 2 and weight.is_floating_point() and weight.shape[0] > 0, "needs a table of rows")
    require(indices.dtype in (torch.int64, torch.int32), "needs whole numbers as indices")


def remainder(given: Given) -> None:
    """Whole numbers: the remainder of the smallest one by −1 is a hardware fault; raises as `require`."""
    x, other = given["self"], given["other"]
    if isinstance(other, Tensor):
        require(other.is_floating_point(), "divides by whole numbers in a tensor; use floating ones")
    elif not x.is_floating_point() and not isinstance(other, float):
        require(0 < other < FAR, "divides whole numbers by one that is not positive")


def arange(given: Given) -> None:
    """Finite numbers, and not too many of them; raises as `require`."""
    start, end, between = given.get("start", 0), given["end"], given.get("step", 1)
    finite = all(math.isfinite(number) and abs(number) < 2**53 for number in (start, end, between))
    require(
        finite and between != 0 and 0 <= (end - start) / between < FAR,
        "counts in a direction that has no end, or too far",
    )


def of_sizes(name: str) -> Callable[[Given], None]:
    """Sizes in the argument `name` that can be multiplied; −1 stands for what is left."""

    def check(given: Given) -> None:
        sizes = [size for size in given[name] if size != -1]
        require(len(given[name]) <= 16 and all(size >= 0 for size in sizes), "gets a negative size or too many")
        require(math.prod(sizes) <= MOST, "makes more numbers than can be counted")

    return check


def repeated(given: Given) -> None:
    """A number of repetitions for each axis; raises as `require`."""
    of_sizes("repeats")(given)
    x, repeats = given["self"], given["repeats"]
    require(len(repeats) >= x.ndim, "needs a number of repetitions for each axis")
    require(math.prod(repeats) * math.prod(x.shape) <= MOST, "makes more numbers than can be counted")


def with_axis(name: str) -> Callable[[Given], None]:
    """A tensor of floating numbers or not, and one of its axes."""

    def check(given: Given) -> None:
        require(fits(given["self"], given[name]), "names an axis that its tensor lacks")
        require(not given.get("half_to_float"), "gets half_to_float, which is for GPUs")

    return check


def roll(given: Given) -> None:
    """A shift for each axis; raises as `require`."""
    x, shifts, axes = given["self"], given["shifts"], given["dims"]
    require(len(shifts) == max(1, len(axes)) and all(abs(shift) < FAR for shift in shifts), "needs a shift per axis")
    require(all(fits(x, axis) for axis in axes), "names an axis that its tensor lacks")


def fourier(given: Given) -> None:
    """Different axes with numbers along each, real or complex as it takes; raises as `require`."""
    x, axes, last = given["self"], given["dim"], given.get("last_dim_size")
    require(1 <= len(axes) <= 3 and all(fits(x, axis) for axis in axes), "names an axis that its tensor lacks")
    require(len({axis % x.ndim for axis in axes}) == len(axes), "names an axis twice")
    require(x.numel() > 0 and max(x.shape) < FAR, "needs numbers to transform")
    require(given["normalization"] in (0, 1, 2), "divides in an unknown way")
    taken = (torch.float32, torch.float64) if "onesided" in given else (torch.complex64, torch.complex128)
    require(x.dtype in taken, "gets numbers of another type")
    require(last is None or (last > 0 and last // 2 + 1 == x.shape[axes[-1]]), "has another size than its tensor")


def triangle(given: Given) -> None:
    """A matrix, or a batch of them, and one of its diagonals; raises as `require`."""
    require(given["self"].ndim >= 2 and abs(given["diagonal"]) < FAR, "needs a matrix and a diagonal near it")


def joined(given: Given) -> None:
    """Equal shapes but for the axis that is joined; raises as `require`."""
    tensors, axis = given["tensors"], given["dim"]
    require(len(tensors) > 0 and all(fits(one, axis) for one in tensors), "joins tensors along an axis that they lack")
    rest = {(one.ndim, *(size for at, size in enumerate(one.shape) if at != axis % one.ndim)) for one in tensors}
    require(len(rest) == 1, "joins tensors of different shapes")


def stacked(given: Given) -> None:
    """Equal shapes; raises as `require`."""
    tensors = given["tensors"]
    require(len({tuple(one.shape) for one in tensors}) == 1, "stacks tensors of different shapes")


def divided(given: Given) -> None:
    """Parts of at least one number along an axis; raises as `require`."""
    require(fits(given["self"], given["dim"]), "names an axis that its tensor lacks")
    sizes = given["split_size"] if "split_size" in given else given["split_sizes"]
    every = sizes if isinstance(sizes, Sequence) else (sizes,)
    require(all(1 <= size <= MOST for size in every), "splits into parts of no size")


def padded(given: Given) -> None:
    """Two numbers for each axis padded, from the last on; negative ones cut off; raises as `require`."""
    x, pad = given["self"], given["pad"]
    require(len(pad) % 2 == 0 and len(pad) <= 2 * x.ndim, "needs two numbers for each axis that it pads")
    require(all(abs(number) < FAR for number in pad), "pads too far")
    for size, before, after in zip(reversed(x.shape), pad[::2], pad[1::2], strict=False):
        require(before >= -size and after >= -size and size + before + after >= 0, "cuts off more than there is")


def bordered(axes: int, *, reflected: bool) -> Callable[[Given], None]:
    """Padding with numbers from inside the last `axes` axes."""

    def check(given: Given) -> None:
        x, pad = given["self"], given["padding"]
        require(x.ndim in (axes + 1, axes + 2) and x.numel() > 0, f"pads samples of {axes} axes")
        require(len(pad) == 2 * axes, f"needs {2 * axes} numbers")
        for size, before, after in zip(reversed(x.shape), pad[::2], pad[1::2], strict=False):
            most = size - 1 if reflected else FAR
            require(0 <= before <= most and 0 <= after <= most, f"pads by at least 0 and at most {most}")

    return check


def shuffled(given: Given) -> None:
    """Channels that are a multiple of the factor's square; raises as `require`."""
    x, factor = given["self"], given["upscale_factor"]
    require(x.ndim >= 3 and 1 <= factor < 2**15, "needs channels and a positive factor")
    require(x.shape[-3] % factor**2 == 0, "needs channels that the factor's square divides")


def adaptive(axes: int) -> Callable[[Given], None]:
    """Pooling to a given size."""

    def check(given: Given) -> None:
        x, size = given["self"], given["output_size"]
        require(x.ndim in (axes + 1, axes + 2) and x.numel() > 0, f"pools samples of {axes} axes")
        require(x.is_floating_point(), "needs floating numbers")
        require(len(size) == axes and all(1 <= one < FAR for one in size), f"needs a size of {axes} positive numbers")

    return check


def upsampling(*scales: str) -> Callable[[Given], None]:
    """Interpolation to a given size; the scale, if given, must be the one that leads to it."""

    def check(given: Given) -> None:
        x, size = given["self"], given["output_size"]
        require(x.ndim == len(scales) + 2 and x.numel() > 0, f"needs samples of {len(scales)} axes")
        require(x.is_floating_point(), "needs floating numbers")
        require(len(size) == len(scales) and all(1 <= one < FAR for one in size), "needs a positive size per axis")
        for before, after, name in zip(x.shape[2:], size, scales, strict=True):
            scale = given[name]
            fitting = scale is None or after - 1e-3 <= before * scale < after + 1 + 1e-3
            require(fitting, "gets a scale that does not lead to its size")

    return check


def glu(given: Given) -> None:
    """An axis of even size; raises as `require`."""
    x, axis = given["self"], given["dim"]
    require(fits(x, axis) and x.ndim > 0 and x.shape[axis] % 2 == 0, "needs an axis of even size")


def prelu_kernel(given: Given) -> None:
    """Weights that are repeated over the samples, not samples over the weights; raises as `require`.

    So the result has the shape of the samples.
    """
    x, weight = given["self"], given["weight"]
    sizes = zip(reversed(x.shape), reversed(weight.shape), strict=False)
    fitting = weight.ndim <= x.ndim and all(one in (1, size) for size, one in sizes)
    require(fitting, "gets weights of a larger shape")
    require(x.dtype == weight.dtype and x.is_floating_point(), "gets weights of another type")


def prelu(given: Given) -> None:
    """One weight, or one for each channel; raises as `require`."""
    x, weight = given["self"], given["weight"]
    require(weight.ndim <= 1 and weight.numel() in (1, *x.shape[1:2]), "needs one weight, or one for each channel")
    require(x.dtype == weight.dtype and x.is_floating_point(), "gets weights of another type")
