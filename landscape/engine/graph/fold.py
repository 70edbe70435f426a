"""Fewer layers for the same function: BatchNorm folded into the convolution before it, add and ReLU fused behind it.

Imports layers, moving. With frozen statistics BatchNorm is an affine map per channel, so folding it into weights that
are affine in the coefficients is linear as well and is done once per plan, in float64. Where the product is no longer
affine (a direction moves the statistics, or the scale together with the convolution), or where the statistics are
found anew for every point, the convolution keeps a `norm` and pointwise.py folds it at every point.

Measured together with the fused convolutions it makes possible: docs/performance.md, attempt 1.
Off: `prepare(…, folding=False)`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .affine import Moving
from .layers import Layer, Network, Norm


def fold(network: Network, *, fresh: bool = False) -> Network:
    """`network` with BatchNorm folded into the layer before it; with `fresh` statistics, at every point."""
    return _rewrite(_rewrite(network, _keep_norm if fresh else _fold_affine), _keep_norm)


def settle(network: Network, *, fresh: bool = False) -> Network:
    """`network` with every BatchNorm that is left as a layer of its own: scale · x + shift."""
    return replace(network, layers=tuple(_settled(layer, fresh) for layer in network.layers))


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
    maker, norm = _maker(layer, lonely), layer.norm
    if maker is None or norm is None or not _still(norm.mean, norm.variance):
        return None
    scale, shift = _scale_and_shift(norm)
    weight, bias = maker.weights
    assert weight is not None
    movable = [moving for moving in (weight, bias) if moving is not None and not moving.still]
    if movable and not scale.still:
        return None
    weights = (weight.times(_over_filters(scale, weight)), _shifted(bias, scale, shift))
    return maker, replace(maker, weights=weights, results=layer.results)


def _keep_norm(layer: Layer, lonely: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    maker = _maker(layer, lonely)
    if maker is None or layer.norm is None:
        return None
    weight, bias = maker.weights
    zero = Moving(torch.zeros_like(layer.norm.mean.center), (None,) * len(layer.norm.mean.steps))
    return maker, replace(maker, weights=(weight, bias or zero), norm=layer.norm, results=layer.results)


def _maker(layer: Layer, lonely: dict[int, Layer]) -> Layer | None:
    """The convolution or linear layer that only this BatchNorm reads."""
    maker = lonely.get(layer.inputs[0]) if layer.kind == "batch_norm" else None
    if maker is None or maker.kind not in ("convolution", "linear") or maker.settings.get("transposed"):
        return None
    return None if maker.norm is not None or maker.residual is not None or maker.relu else maker


def _settled(layer: Layer, fresh: bool) -> Layer:
    norm = layer.norm
    if layer.kind != "batch_norm" or norm is None:
        return layer
    if _still(norm.mean, norm.variance) and not fresh:
        return replace(layer, kind="affine", weights=_scale_and_shift(norm), norm=None)
    nothing = (None,) * len(norm.mean.steps)
    one, zero = torch.ones_like(norm.mean.center), torch.zeros_like(norm.mean.center)
    return replace(layer, kind="affine", weights=(Moving(one, nothing), Moving(zero, nothing)))


def _still(*parts: Moving) -> bool:
    return all(part.still for part in parts)


def _scale_and_shift(norm: Norm) -> tuple[Moving, Moving]:
    """γ/√(σ² + ε) and β − γμ/√(σ² + ε), both affine in the coefficients while μ and σ stand still."""
    one = Moving(torch.rsqrt(norm.variance.center + norm.epsilon), norm.variance.steps)
    scale = norm.gamma.times(one)
    return scale, scale.map(lambda tensor: -tensor * norm.mean.center).plus(norm.beta)


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
    if maker.kind not in ("convolution", "normalize") or maker.residual is not None or maker.relu:
        return None
    other = layer.inputs[0] if layer.inputs[1] == newest else layer.inputs[1]
    return maker, replace(maker, results=layer.results, residual=other)


def _newest(inputs: tuple[int, ...], network: Network) -> int:
    positions = {index: at for at, layer in enumerate(network.layers) for index in layer.results if index is not None}
    return max(inputs, key=lambda index: positions.get(index, -1))


def _attach_relu(layer: Layer, lonely: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    maker = lonely.get(layer.inputs[0]) if layer.kind == "relu" else None
    if maker is None or maker.relu or maker.kind not in ("convolution", "linear", "affine", "normalize", "add"):
        return None
    return maker, replace(maker, results=layer.results, relu=True)
