"""What the operators of a graph require of their arguments, asked where they run: at the batch really used.

torch checks most arguments itself; some kernels read outside their tensors, divide by zero or end the process for
arguments that torch lets through. Every operator that a packed network may use is in one of two tables: `CHECKS` (its
precondition), or `ANYTHING` (torch refuses what does not fit: element-wise operators, views, reductions). A test holds
that. Checks read shapes and types only, never numbers, so that a graph may be recorded while they run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ...parsers.source import FileError
from .window_checks import Given, Unfit, average_pool, convolution, fits, max_pool, require

MOST = 2**40  # numbers of one tensor; beyond 2**63 torch's count of them wraps around
FAR = 2**31  # positions, diagonals, shifts


def require_safe(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Refuse arguments for which the kernel of an operator could read outside its tensors or end the process.

    Args:
        name: "aten.convolution.default"; operators in no table are not checked.
        arguments, options: with tensors and numbers in the place of references.

    Raises:
        FileError: the precondition does not hold; the message names it.
    """
    check = CHECKS.get(name)
    if check is None:
        return
    try:
        check(_bound(name, arguments, options))
    except Unfit as unfit:
        raise FileError(f"The network is damaged: operator {name!r} {unfit}.") from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError):
        raise FileError(
            f"The network is damaged: operator {name!r} gets arguments that do not belong together."
        ) from None


def require_countable(name: str, results: Sequence[Any]) -> None:
    """Refuse a result with more numbers than can be counted: an expanded tensor needs no memory for them.

    Raises:
        FileError: one has more than `MOST`.
    """
    if any(isinstance(result, Tensor) and math.prod(result.shape) > MOST for result in results):
        raise FileError(f"The network is too large: a result of operator {name!r} has more than {MOST} numbers.")


def _bound(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Given:
    """Arguments by name, with the defaults of the schema."""
    names, defaults = signature(name)
    if len(arguments) > len(names) or any(option not in defaults for option in options):
        raise Unfit("gets arguments that it does not know")
    return {**defaults, **dict(zip(names, arguments, strict=False)), **options}


@cache
def signature(name: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of an operator's arguments in order, and name -> default, None if it has none."""
    given = schema(name).arguments
    defaults = {one.name: one.default_value if one.has_default_value() else None for one in given}
    return tuple(one.name for one in given), defaults


def schema(name: str) -> Any:
    """torch's schema of the operator called "aten.convolution.default"."""
    namespace, base, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), base), overload)._schema


def _batch_norm(given: Given) -> None:
    x = given["input"]
    require(x.ndim >= 2, "needs a batch and channels")
    parts = [given[name] for name in ("weight", "bias", "running_mean", "running_var")]
    _require_parts(x, parts, x.shape[1:2])
    if not given["training"]:
        require(parts[2] is not None and parts[3] is not None, "needs a mean and a variance that belong together")


def _group_norm(given: Given) -> None:
    x, channels, groups = given["input"], given["C"], given["group"]
    whole = x.ndim >= 2 and tuple(x.shape[:2]) == (given["N"], channels) and x.numel() > 0
    require(whole and math.prod(x.shape[2:]) == given["HxW"], "gets sizes that do not belong together")
    require(0 < groups <= channels and channels % groups == 0, "needs a number of groups that divides the channels")
    _require_parts(x, (given["weight"], given["bias"]), (channels,))


def _layer_norm(given: Given) -> None:
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


def _mm(given: Given) -> None:
    _require_product(given["self"], given["mat2"], 2)


def _bmm(given: Given) -> None:
    _require_product(given["self"], given["mat2"], 3)


def _addmm(given: Given) -> None:
    _require_added(given, given["mat1"], given["mat2"], 2)


def _baddbmm(given: Given) -> None:
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
    require(one.is_floating_point(), "needs floating numbers")


def _embedding(given: Given) -> None:
    weight, indices = given["weight"], given["indices"]
    require(weight.ndim == 2 and weight.is_floating_point() and weight.shape[0] > 0, "needs a table of rows")
    require(indices.dtype in (torch.int64, torch.int32), "needs whole numbers as indices")


def _remainder(given: Given) -> None:
    """Whole numbers: the remainder of the smallest one by −1 is a hardware fault."""
    x, other = given["self"], given["other"]
    if isinstance(other, Tensor):
        require(other.is_floating_point(), "divides by whole numbers in a tensor; use floating ones")
    elif not x.is_floating_point() and not isinstance(other, float):
        require(0 < other < FAR, "divides whole numbers by one that is not positive")


def _arange(given: Given) -> None:
    start, end, between = given.get("start", 0), given["end"], given.get("step", 1)
    finite = all(math.isfinite(number) and abs(number) < 2**53 for number in (start, end, between))
    require(
        finite and between != 0 and 0 <= (end - start) / between < FAR,
        "counts in a direction that has no end, or too far",
    )


def _sizes(name: str) -> Callable[[Given], None]:
    """Sizes in the argument `name` that can be multiplied; −1 stands for what is left."""

    def check(given: Given) -> None:
        sizes = [size for size in given[name] if size != -1]
        require(len(given[name]) <= 16 and all(size >= 0 for size in sizes), "gets a negative size or too many")
        require(math.prod(sizes) <= MOST, "makes more numbers than can be counted")

    return check


def _repeat(given: Given) -> None:
    _sizes("repeats")(given)
    x, repeats = given["self"], given["repeats"]
    require(len(repeats) >= x.ndim, "needs a number of repetitions for each axis")
    require(math.prod(repeats) * math.prod(x.shape) <= MOST, "makes more numbers than can be counted")


def _axis(name: str) -> Callable[[Given], None]:
    """A tensor of floating numbers or not, and one of its axes."""

    def check(given: Given) -> None:
        require(fits(given["self"], given[name]), "names an axis that its tensor lacks")
        require(not given.get("half_to_float"), "gets half_to_float, which is for GPUs")

    return check


def _roll(given: Given) -> None:
    x, shifts, axes = given["self"], given["shifts"], given["dims"]
    require(len(shifts) == max(1, len(axes)) and all(abs(shift) < FAR for shift in shifts), "needs a shift per axis")
    require(all(fits(x, axis) for axis in axes), "names an axis that its tensor lacks")


def _triangle(given: Given) -> None:
    require(given["self"].ndim >= 2 and abs(given["diagonal"]) < FAR, "needs a matrix and a diagonal near it")


def _joined(given: Given) -> None:
    """Equal shapes but for the axis that is joined."""
    tensors, axis = given["tensors"], given["dim"]
    require(len(tensors) > 0 and all(fits(one, axis) for one in tensors), "joins tensors along an axis that they lack")
    rest = {(one.ndim, *(size for at, size in enumerate(one.shape) if at != axis % one.ndim)) for one in tensors}
    require(len(rest) == 1, "joins tensors of different shapes")


def _stacked(given: Given) -> None:
    tensors = given["tensors"]
    require(len({tuple(one.shape) for one in tensors}) == 1, "stacks tensors of different shapes")


def _split(given: Given) -> None:
    require(fits(given["self"], given["dim"]), "names an axis that its tensor lacks")
    sizes = given["split_size"] if "split_size" in given else given["split_sizes"]
    every = sizes if isinstance(sizes, Sequence) else (sizes,)
    require(all(1 <= size <= MOST for size in every), "splits into parts of no size")


def _pad(given: Given) -> None:
    x, pad = given["self"], given["pad"]
    require(len(pad) % 2 == 0 and len(pad) <= 2 * x.ndim, "needs two numbers for each axis that it pads")
    require(all(abs(number) < FAR for number in pad), "pads too far")
    for size, before, after in zip(reversed(x.shape), pad[::2], pad[1::2], strict=False):
        require(before >= -size and after >= -size and size + before + after >= 0, "cuts off more than there is")


def _border(axes: int, *, reflected: bool) -> Callable[[Given], None]:
    """Padding with numbers from inside the last `axes` axes."""

    def check(given: Given) -> None:
        x, pad = given["self"], given["padding"]
        require(x.ndim in (axes + 1, axes + 2) and x.numel() > 0, f"pads samples of {axes} axes")
        require(len(pad) == 2 * axes, f"needs {2 * axes} numbers")
        for size, before, after in zip(reversed(x.shape), pad[::2], pad[1::2], strict=False):
            most = size - 1 if reflected else FAR
            require(0 <= before <= most and 0 <= after <= most, f"pads by at least 0 and at most {most}")

    return check


def _shuffle(given: Given) -> None:
    x, factor = given["self"], given["upscale_factor"]
    require(x.ndim >= 3 and 1 <= factor < 2**15, "needs channels and a positive factor")
    require(x.shape[-3] % factor**2 == 0, "needs channels that the factor's square divides")


def _adaptive(axes: int) -> Callable[[Given], None]:
    """Pooling to a given size."""

    def check(given: Given) -> None:
        x, size = given["self"], given["output_size"]
        require(x.ndim in (axes + 1, axes + 2) and x.numel() > 0, f"pools samples of {axes} axes")
        require(x.is_floating_point(), "needs floating numbers")
        require(len(size) == axes and all(1 <= one < FAR for one in size), f"needs a size of {axes} positive numbers")

    return check


def _upsampling(*scales: str) -> Callable[[Given], None]:
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


def _glu(given: Given) -> None:
    x, axis = given["self"], given["dim"]
    require(fits(x, axis) and x.ndim > 0 and x.shape[axis] % 2 == 0, "needs an axis of even size")


def _prelu(given: Given) -> None:
    x, weight = given["self"], given["weight"]
    require(weight.ndim <= 1 and weight.numel() in (1, *x.shape[1:2]), "needs one weight, or one for each channel")
    require(x.dtype == weight.dtype and x.is_floating_point(), "gets weights of another type")


Check = Callable[[Given], None]

CHECKS: dict[str, Check] = {
    "aten.convolution.default": convolution,
    "aten.native_batch_norm.default": _batch_norm,
    "aten.native_group_norm.default": _group_norm,
    "aten.native_layer_norm.default": _layer_norm,
    "aten.mm.default": _mm,
    "aten.bmm.default": _bmm,
    "aten.addmm.default": _addmm,
    "aten.baddbmm.default": _baddbmm,
    "aten.embedding.default": _embedding,
    "aten.remainder.Tensor": _remainder,
    "aten.remainder.Scalar": _remainder,
    "aten.arange.default": _arange,
    "aten.arange.start": _arange,
    "aten.arange.start_step": _arange,
    **dict.fromkeys(
        (f"aten.{name}.default" for name in ("full", "ones", "zeros", "view", "_unsafe_view")), _sizes("size")
    ),
    "aten.expand.default": _sizes("size"),
    "aten.repeat.default": _repeat,
    "aten.cumsum.default": _axis("dim"),
    "aten._softmax.default": _axis("dim"),
    "aten._log_softmax.default": _axis("dim"),
    "aten._safe_softmax.default": _axis("dim"),
    "aten.roll.default": _roll,
    "aten.tril.default": _triangle,
    "aten.triu.default": _triangle,
    "aten.cat.default": _joined,
    "aten.stack.default": _stacked,
    "aten.split.Tensor": _split,
    "aten.unsafe_split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.constant_pad_nd.default": _pad,
    "aten.reflection_pad1d.default": _border(1, reflected=True),
    "aten.reflection_pad2d.default": _border(2, reflected=True),
    "aten.replication_pad2d.default": _border(2, reflected=False),
    "aten.pixel_shuffle.default": _shuffle,
    "aten.max_pool2d_with_indices.default": max_pool(2),
    "aten.max_pool3d_with_indices.default": max_pool(3),
    "aten.avg_pool2d.default": average_pool(2),
    "aten.avg_pool3d.default": average_pool(3),
    "aten.adaptive_max_pool2d.default": _adaptive(2),
    "aten._adaptive_avg_pool2d.default": _adaptive(2),
    "aten._adaptive_avg_pool3d.default": _adaptive(3),
    "aten.upsample_nearest1d.default": _upsampling("scales"),
    "aten.upsample_nearest2d.default": _upsampling("scales_h", "scales_w"),
    "aten.upsample_bilinear2d.default": _upsampling("scales_h", "scales_w"),
    "aten.upsample_bicubic2d.default": _upsampling("scales_h", "scales_w"),
    "aten.glu.default": _glu,
    "aten.prelu.default": _prelu,
}

# Torch refuses for these what does not fit: element-wise operators, reductions, views.
ANYTHING = frozenset(
    f"aten.{name}"
    for overload, names in {
        "default": """
            _prelu_kernel _to_copy abs alias amax amin atan bitwise_not ceil celu clamp clamp_max clamp_min clone cos
            detach elu erf exp expm1 flip floor full_like gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu
            lift_fresh lift_fresh_copy log log1p log_sigmoid_forward logical_and logical_not logical_or logsumexp
            maximum mean minimum mish neg ones_like permute reciprocal relu round rsqrt scalar_tensor sigmoid sign silu
            sin softplus sqrt square squeeze sum t tanh unsqueeze zeros_like
        """,
        "Scalar": "add div eq ge gt le lt masked_fill mul ne rsub sub",
        "Tensor": "add bitwise_and bitwise_or div eq ge gt le lt masked_fill mul ne rsub slice sub",
        "dim": "mean squeeze",
        "dims": "squeeze",
        "dim_IntList": "sum",
        "int": "select transpose unbind",
        "Tensor_Scalar": "pow",
        "Tensor_Tensor": "pow",
        "correction": "var",
        "self": "where",
    }.items()
    for name in (f"{base}.{overload}" for base in names.split())
)
