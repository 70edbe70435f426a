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
from . import argument_checks
from .argument_checks import MOST
from .window_checks import Given, Unfit, average_pool, convolution, max_pool


def require_safe(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Refuse arguments for which the kernel of an operator could read outside its tensors or end the process.

    Args:
        name: "aten.convolution.default"; operators in no table are not checked.
        arguments, options: with tensors and numbers in the place of references.

    Raises:
        FileError: the precondition does not hold; the message names it.
    """
    if (name in CHECKS or name in ANYTHING) and name not in COMPLEX and _holds_complex((*arguments, *options.values())):
        raise FileError(
            f"The network is damaged, or not for packing: operator {name!r} gets complex numbers, which it may not. "
            "Compute it from their parts, by torch.view_as_real()."
        )
    check = CHECKS.get(name)
    if check is None:
        return
    try:
        check(bound(name, arguments, options))
    except Unfit as unfit:
        raise FileError(f"The network is damaged: operator {name!r} {unfit}.") from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError):
        raise FileError(
            f"The network is damaged: operator {name!r} gets arguments that do not belong together."
        ) from None


def _holds_complex(arguments: Sequence[Any]) -> bool:
    """Whether a tensor of complex numbers is among the arguments, or in a list among them."""
    return any(
        argument.is_complex() if isinstance(argument, Tensor)
        else isinstance(argument, tuple | list) and _holds_complex(argument)
        for argument in arguments
    )  # fmt: skip


def require_countable(name: str, results: Sequence[Any]) -> None:
    """Refuse a result with more numbers than can be counted: an expanded tensor needs no memory for them.

    Raises:
        FileError: one has more than `MOST`.
    """
    if any(isinstance(result, Tensor) and math.prod(result.shape) > MOST for result in results):
        raise FileError(f"The network is too large: a result of operator {name!r} has more than {MOST} numbers.")


def bound(name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Given:
    """Arguments by name, with the defaults of the schema.

    Raises:
        Unfit: the operator does not have so many, or one of these names.
    """
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
    return operator(name)._schema


def operator(name: str) -> Any:
    """The operator called "aten.convolution.default"."""
    namespace, base, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), base), overload)


Check = Callable[[Given], None]

CHECKS: dict[str, Check] = {
    "aten.convolution.default": convolution,
    "aten.native_batch_norm.default": argument_checks.batch_norm,
    "aten.native_group_norm.default": argument_checks.group_norm,
    "aten.native_layer_norm.default": argument_checks.layer_norm,
    "aten.mm.default": argument_checks.mm,
    "aten.bmm.default": argument_checks.bmm,
    "aten.addmm.default": argument_checks.addmm,
    "aten.baddbmm.default": argument_checks.baddbmm,
    "aten.embedding.default": argument_checks.embedding,
    "aten.remainder.Tensor": argument_checks.remainder,
    "aten.remainder.Scalar": argument_checks.remainder,
    "aten.arange.default": argument_checks.arange,
    "aten.arange.start": argument_checks.arange,
    "aten.arange.start_step": argument_checks.arange,
    **dict.fromkeys(
        (f"aten.{name}.default" for name in ("full", "ones", "zeros", "view", "_unsafe_view")),
        argument_checks.of_sizes("size"),
    ),
    "aten.expand.default": argument_checks.of_sizes("size"),
    "aten.repeat.default": argument_checks.repeated,
    "aten.cumsum.default": argument_checks.with_axis("dim"),
    "aten._softmax.default": argument_checks.with_axis("dim"),
    "aten._log_softmax.default": argument_checks.with_axis("dim"),
    "aten._safe_softmax.default": argument_checks.with_axis("dim"),
    "aten.roll.default": argument_checks.roll,
    **dict.fromkeys((f"aten._fft_{kind}.default" for kind in ("r2c", "c2c", "c2r")), argument_checks.fourier),
    "aten.tril.default": argument_checks.triangle,
    "aten.triu.default": argument_checks.triangle,
    "aten.cat.default": argument_checks.joined,
    "aten.stack.default": argument_checks.stacked,
    "aten.split.Tensor": argument_checks.divided,
    "aten.unsafe_split.Tensor": argument_checks.divided,
    "aten.split_with_sizes.default": argument_checks.divided,
    "aten.constant_pad_nd.default": argument_checks.padded,
    "aten.reflection_pad1d.default": argument_checks.bordered(1, reflected=True),
    "aten.reflection_pad2d.default": argument_checks.bordered(2, reflected=True),
    "aten.replication_pad2d.default": argument_checks.bordered(2, reflected=False),
    "aten.pixel_shuffle.default": argument_checks.shuffled,
    "aten.max_pool2d_with_indices.default": max_pool(2),
    "aten.max_pool3d_with_indices.default": max_pool(3),
    "aten.avg_pool2d.default": average_pool(2),
    "aten.avg_pool3d.default": average_pool(3),
    "aten.adaptive_max_pool2d.default": argument_checks.adaptive(2),
    "aten._adaptive_avg_pool2d.default": argument_checks.adaptive(2),
    "aten._adaptive_avg_pool3d.default": argument_checks.adaptive(3),
    "aten.upsample_nearest1d.default": argument_checks.upsampling("scales"),
    "aten.upsample_nearest2d.default": argument_checks.upsampling("scales_h", "scales_w"),
    "aten.upsample_bilinear2d.default": argument_checks.upsampling("scales_h", "scales_w"),
    "aten.upsample_bicubic2d.default": argument_checks.upsampling("scales_h", "scales_w"),
    "aten.glu.default": argument_checks.glu,
    "aten.prelu.default": argument_checks.prelu,
    "aten._prelu_kernel.default": argument_checks.prelu_kernel,
}

# Torch refuses for these what does not fit: element-wise operators, reductions, views.
ANYTHING = frozenset(
    f"aten.{name}"
    for overload, names in {
        "default": """
            _to_copy abs alias amax amin atan bitwise_not ceil celu clamp clamp_max clamp_min clone cos
            detach elu erf exp expm1 flip floor full_like gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu
            lift_fresh lift_fresh_copy log log1p log_sigmoid_forward logical_and logical_not logical_or logsumexp
            maximum mean minimum mish neg ones_like permute reciprocal relu round rsqrt scalar_tensor sigmoid sign silu
            sin softplus sqrt square squeeze sum t tanh unsqueeze zeros_like
            angle complex conj_physical polar view_as_complex view_as_real
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

# Those of both tables that may get complex numbers; others have kernels for real ones only.
COMPLEX = frozenset(
    f"aten.{name}"
    for overload, names in {
        "default": """
            _fft_c2c _fft_c2r _to_copy _unsafe_view abs addmm alias angle baddbmm bmm cat clone complex
            conj_physical constant_pad_nd cos detach exp expand flip full_like lift_fresh lift_fresh_copy log mean
            mm neg ones_like permute polar reciprocal repeat roll sin split_with_sizes sqrt square squeeze stack sum
            t tanh unsqueeze view view_as_complex view_as_real zeros_like
        """,
        "Scalar": "add div mul rsub sub",
        "Tensor": "add div mul rsub slice split sub unsafe_split",
        "dim": "mean squeeze",
        "dims": "squeeze",
        "dim_IntList": "sum",
        "int": "select transpose unbind",
        "Tensor_Scalar": "pow",
        "self": "where",
    }.items()
    for name in (f"{base}.{overload}" for base in names.split())
)
