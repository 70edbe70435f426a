"""The operators a packed network may use: functional, deterministic, and safe for any arguments once checked here.

Left out on purpose: operators that read uninitialized memory (empty, new_empty), access memory by strides
(as_strided), draw random numbers, write into their arguments, or return plain numbers.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..parsers.source import FileError

_BY_NAME = {
    "default": """
        abs alias arange bmm cat ceil clamp clamp_min clamp_max clone constant_pad_nd convolution cos cumsum detach elu
        embedding erf exp expand flip floor full gelu hardsigmoid hardswish hardtanh leaky_relu lift_fresh
        lift_fresh_copy log log1p logical_and logical_not logical_or bitwise_not masked_fill maximum minimum mish mm
        addmm baddbmm native_batch_norm native_group_norm native_layer_norm neg ones ones_like permute pixel_shuffle
        reciprocal reflection_pad1d reflection_pad2d replication_pad2d relu repeat roll round rsqrt scalar_tensor
        sigmoid sign silu sin softplus sqrt square stack sum mean amax amin t tanh tril triu unsqueeze unsafe_split view
        zeros zeros_like full_like max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d
        adaptive_max_pool2d upsample_bilinear2d upsample_nearest2d upsample_nearest1d upsample_bicubic2d
        _adaptive_avg_pool2d _adaptive_avg_pool3d _log_softmax _safe_softmax _softmax _unsafe_view _to_copy squeeze
        split_with_sizes prelu _prelu_kernel log_sigmoid_forward hardshrink celu glu atan expm1
    """,
    "Tensor": "add sub mul div rsub slice split eq ne lt le gt ge remainder bitwise_and bitwise_or masked_fill",
    "Scalar": "add sub mul div rsub eq ne lt le gt ge masked_fill remainder",
    "Tensor_Scalar": "pow",
    "Tensor_Tensor": "pow",
    "int": "select transpose unbind",
    "dim": "squeeze mean logsumexp",
    "dims": "squeeze",
    "dim_IntList": "sum",
    "start": "arange",
    "start_step": "arange",
    "self": "where",
    "correction": "var",
    "like": "",
}
ALLOWED = frozenset(f"aten.{name}.{overload}" for overload, names in _BY_NAME.items() for name in names.split())


def require_allowed(operator: object) -> str:
    """The operator, if a packed network may use it.

    Raises:
        FileError: it may not; the message names it.
    """
    if type(operator) is not str or operator not in ALLOWED:
        raise FileError(
            f"The network uses the operator {str(operator)[:60]!r}, which a packed network may not. "
            "Write that part with other operators of torch, or use a network of a known family."
        )
    return operator


def require_safe(operator: str, arguments: Sequence[Any]) -> None:
    """Refuse arguments that the operator's own checks may accept although it would read outside its tensors.

    Raises:
        FileError: sizes do not match, or statistics would be changed.
    """
    if operator == "aten.native_batch_norm.default":
        x, *rest = arguments
        channels = x.shape[1:2]
        fitting = all(one is None or tuple(one.shape) == tuple(channels) for one in rest[:4])
        _require(fitting and rest[4] is False and isinstance(rest[2], Tensor) and isinstance(rest[3], Tensor), operator)
    elif operator == "aten.native_group_norm.default":
        x, weight, bias, samples, channels, inner, groups, _ = arguments
        fitting = all(one is None or tuple(one.shape) == (channels,) for one in (weight, bias))
        whole = x.ndim >= 2 and tuple(x.shape[:2]) == (samples, channels) and x[0, 0].numel() == inner
        _require(fitting and whole and groups > 0 and channels % groups == 0, operator)
    elif operator == "aten.native_layer_norm.default":
        x, shape, weight, bias, _ = arguments
        fitting = all(one is None or list(one.shape) == list(shape) for one in (weight, bias))
        _require(fitting and len(shape) > 0 and list(x.shape[-len(shape) :]) == list(shape), operator)
    elif operator in ("aten._to_copy.default", "aten.embedding.default"):
        _require(isinstance(arguments[0], Tensor), operator)


def _require(holds: bool, operator: str) -> None:
    if not holds:
        raise FileError(f"The network is damaged: operator {operator!r} gets sizes that do not belong together.")
