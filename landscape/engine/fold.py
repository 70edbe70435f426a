"""Fewer layers for the same function: BatchNorm folded into the convolution before it, add and ReLU fused behind it.

Imports layers, moving. With frozen statistics BatchNorm is an affine map per channel, so folding it into weights that
are affine in the coefficients is linear as well and is done once per plan, in float64. Where a direction moves
BatchNorm's own scale *and* the convolution, the product is no longer affine and the map stays a layer of its own.

Measured together with the fused convolutions it makes possible: docs/performance.md, attempt 1.
Off: `prepare(…, folding=False)`.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from .layers import Layer, Network
from .moving import Moving


def fold(network: Network) -> Network:
    """`network` with BatchNorm folded where that is exact."""
    return _rewrite(network, _fold_affine)


def fuse(network: Network) -> Network:
    """`network` with residual additions and ReLUs attached to the layer that makes their input."""
    return _rewrite(_rewrite(network, _attach_addition), _attach_relu)


Rule = Callable[[Layer, dict[int, Layer], Network], tuple[Layer, Layer] | None]


def _rewrite(network: Network, rule: Rule) -> Network:
    """Apply `rule(layer, makers)`: it answers (the maker it replaces, the replacement) or None to keep the layer."""
    layers: dict[int, Layer] = {}  # by result: every layer so far
    order: list[int] = []
    uses = network.uses()
    for position, layer in enumerate(network.layers):
        lonely = {index: maker for index, maker in layers.items() if uses.get(index) == 1}
        change = rule(layer, lonely, network)
        key = -1 - position if layer.results[0] is None else layer.result
        if change is None:
            layers[key] = layer
        else:
            layers.pop(change[0].result)
            order.remove(change[0].result)
            layers[key] = change[1]
        order.append(key)
    return replace(network, layers=tuple(layers[key] for key in order))


def _fold_affine(layer: Layer, lonely: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    maker = lonely.get(layer.inputs[0]) if layer.kind == "affine" else None
    if maker is None or maker.kind not in ("convolution", "linear") or maker.residual is not None or maker.relu:
        return None
    scale, shift = layer.weights
    weight, bias = maker.weights
    assert scale is not None
    assert shift is not None
    assert weight is not None
    movable = [moving for moving in (weight, bias) if moving is not None and not moving.still]
    if (movable and not scale.still) or maker.settings.get("transposed"):
        return None
    weights = (weight.times(_over_filters(scale, weight)), _shifted(bias, scale, shift))
    return maker, replace(maker, weights=weights, results=layer.results)


def _over_filters(scale: Moving, weight: Moving) -> Moving:
    ones = (1,) * (weight.center.ndim - 1)

    def widen(tensor: Tensor) -> Tensor:
        return tensor.view(-1, *ones)

    return scale.map(widen)


def _shifted(bias: Moving | None, scale: Moving, shift: Moving) -> Moving:
    return shift if bias is None else bias.times(scale).plus(shift)


def _attach_addition(layer: Layer, lonely: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    """The convolution that comes later takes the other summand as its residual: that one is ready by then."""
    if layer.kind != "add" or layer.inputs[0] == layer.inputs[1]:
        return None
    made = [index for index in lonely if index in layer.inputs]
    newest = _newest(layer.inputs, network)
    if newest not in made:
        return None
    maker = lonely[newest]
    if maker.kind != "convolution" or maker.residual is not None or maker.relu:
        return None
    other = layer.inputs[0] if layer.inputs[1] == newest else layer.inputs[1]
    return maker, replace(maker, results=layer.results, residual=other)


def _newest(inputs: tuple[int, ...], network: Network) -> int:
    positions = {index: at for at, layer in enumerate(network.layers) for index in layer.results if index is not None}
    return max(inputs, key=lambda index: positions.get(index, -1))


def _attach_relu(layer: Layer, lonely: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    maker = lonely.get(layer.inputs[0]) if layer.kind == "relu" else None
    if maker is None or maker.relu or maker.kind not in ("convolution", "linear", "affine", "add"):
        return None
    return maker, replace(maker, results=layer.results, relu=True)
