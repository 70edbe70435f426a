"""Stand-ins for the expensive operators while a network is recorded: they return blank tensors of the right shape.

torch's meta device would do the same for every operator, but computes shapes in Python and imports torch._dynamo: 1.2 s
the first time, against a few milliseconds.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Tensor:  # fmt: skip
    """(N, channels, …) -> (N, filters, …), by the formula in torch's documentation of convolutions."""
    sides = []
    for axis, size in enumerate(x.shape[2:]):
        step, edge, window = _at(stride, axis), _at(padding, axis), _at(dilation, axis) * (weight.shape[axis + 2] - 1)
        if transposed:
            sides.append((size - 1) * step - 2 * edge + window + _at(output_padding, axis) + 1)
        else:
            sides.append((size + 2 * edge - window - 1) // step + 1)
    filters = weight.shape[1] * groups if transposed else weight.shape[0]
    return x.new_zeros((len(x), filters, *sides))


def _at(numbers: Any, axis: int) -> int:
    return int(numbers[axis] if len(numbers) > 1 else numbers[0])


def _batch_norm(x: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros_like(x), x.new_empty(0), x.new_empty(0)


def _addmm(bias: Tensor, one: Tensor, other: Tensor, **_: object) -> Tensor:
    return one.new_zeros((len(one), other.shape[1]))


def _mm(one: Tensor, other: Tensor) -> Tensor:
    return one.new_zeros((len(one), other.shape[1]))


STAND_INS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.addmm.default: _addmm,
    torch.ops.aten.mm.default: _mm,
}
