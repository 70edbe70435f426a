"""What an operator of a packed graph costs, in multiply-adds of a matrix product, from shapes alone.

Round numbers: a number that is only copied or added takes as long as `ELEMENT` multiply-adds: it comes from memory.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

ELEMENT = 16  # multiply-adds per number of an element-wise result, or per tap of a window
FUNCTION = 64  # per number of exp, pow, erf, softmax, …
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        *("alias.default", "detach.default", "expand.default", "permute.default", "select.int", "slice.Tensor"),
        *("split.Tensor", "split_with_sizes.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "t.default"),
        *("transpose.int", "unbind.int", "unsafe_split.Tensor", "unsqueeze.default", "view.default"),
        *("_unsafe_view.default", "lift_fresh.default", "view_as_complex.default", "view_as_real.default"),
    )
)
_SLOW = """
    _fft_c2c _fft_c2r _fft_r2c _log_softmax _safe_softmax _softmax angle atan celu cos elu erf exp expm1 gelu glu
    log log1p log_sigmoid_forward logsumexp mish native_group_norm native_layer_norm polar pow remainder rsqrt
    sigmoid silu sin softplus tanh var
"""
_FUNCTIONS = frozenset(_SLOW.split())
_TAPS = {"upsample_bicubic2d": 16, "upsample_bilinear2d": 4}  # numbers read for each of the result


def work(operator: str, given: Mapping[str, Any], results: Sequence[Tensor]) -> int:
    """Multiply-adds of an operator with these arguments by name and these results; shapes count, not numbers."""
    if operator in _VIEWS:
        return ELEMENT
    name, out = operator.split(".")[1], sum(result.numel() for result in results)
    if name == "convolution":
        read = given["input"].numel() if given["transposed"] else out
        return int(read * math.prod(given["weight"].shape[1:])) + ELEMENT * out
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        inner = next(given[part] for part in ("mat1", "batch1", "self") if part in given).shape[-1]
        return int(out * inner) + ELEMENT * out
    if "kernel_size" in given:
        return ELEMENT * int(results[0].numel() * math.prod(given["kernel_size"]))
    if "adaptive" in name:
        return ELEMENT * _adaptive(given, results[0])
    return (FUNCTION if name in _FUNCTIONS else ELEMENT) * max(out * _TAPS.get(name, 1), _read(given))


def _adaptive(given: Mapping[str, Any], result: Tensor) -> int:
    """Numbers read: windows overlap if the size is not a multiple."""
    sizes = zip(given["self"].shape[-len(given["output_size"]) :], given["output_size"], strict=True)
    return int(result.numel() * math.prod(before // after + 2 for before, after in sizes))


def _read(given: Mapping[str, Any]) -> int:
    """Numbers of the largest tensor among the arguments: a sum reads more than it makes."""
    return max((value.numel() for value in given.values() if isinstance(value, Tensor)), default=0)
