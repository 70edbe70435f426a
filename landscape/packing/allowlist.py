"""The operators a packed network may use: functional, deterministic, and safe for the arguments that are let through.

The engine asks what each requires of its arguments where it runs (engine/graph/preconditions.py).

Left out on purpose: operators that read uninitialized memory (empty, new_empty), access memory by strides
(as_strided), draw random numbers, write into their arguments, or return plain numbers.
"""

from ..parsers.source import FileError

_BY_NAME = {
    "default": """
        abs alias arange bmm cat ceil clamp clamp_min clamp_max clone constant_pad_nd convolution cos cumsum detach elu
        embedding erf exp expand flip floor full gelu hardsigmoid hardswish hardtanh leaky_relu lift_fresh
        lift_fresh_copy log log1p logical_and logical_not logical_or logsumexp bitwise_not maximum minimum mish mm
        addmm baddbmm native_batch_norm native_group_norm native_layer_norm neg ones ones_like permute pixel_shuffle
        reciprocal reflection_pad1d reflection_pad2d replication_pad2d relu repeat roll round rsqrt scalar_tensor
        sigmoid sign silu sin softplus sqrt square stack sum mean amax amin t tanh tril triu unsqueeze view
        zeros zeros_like full_like max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d
        adaptive_max_pool2d upsample_bilinear2d upsample_nearest2d upsample_nearest1d upsample_bicubic2d
        _adaptive_avg_pool2d _adaptive_avg_pool3d _log_softmax _safe_softmax _softmax _unsafe_view _to_copy squeeze
        split_with_sizes prelu _prelu_kernel log_sigmoid_forward hardshrink celu glu atan expm1
        angle complex conj_physical polar view_as_complex view_as_real _fft_r2c _fft_c2c _fft_c2r
    """,
    "Tensor": """
        add sub mul div rsub slice split unsafe_split eq ne lt le gt ge remainder bitwise_and bitwise_or masked_fill
    """,
    "Scalar": "add sub mul div rsub eq ne lt le gt ge masked_fill remainder",
    "Tensor_Scalar": "pow",
    "Tensor_Tensor": "pow",
    "int": "select transpose unbind",
    "dim": "squeeze mean",
    "dims": "squeeze",
    "dim_IntList": "sum",
    "start": "arange",
    "start_step": "arange",
    "self": "where",
    "correction": "var",
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
