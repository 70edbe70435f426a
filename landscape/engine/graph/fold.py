"""Fewer layers for the same function: folds BatchNorm into the convolution before it, fuses add and ReLU after it.

With frozen statistics BatchNorm is an affine map per channel, so folding it into weights that are affine in the
coefficients is linear as well and is done once per plan, in float64. Where the product is no longer affine (a direction
changes the statistics, or the scale together with the convolution), or the statistics are computed at every point, the
convolution keeps a `norm`, which fold_at_point.py folds at every point.

Measured together with the fused convolutions it makes possible: docs/performance.md, attempt 1.
Off: `prepare(…, folding=False)`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .affine import Affine
from .layers import Layer, Network, Norm


def fold(network: Network, *, recalibrated: bool = False) -> Network:
    """`network` with BatchNorm folded into the layer before it; with `recalibrated` statistics, at every point.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2, the last step.
    """
    return _rewrite(_rewrite(network, _keep_norm if recalibrated else _fold_affine), _keep_norm)


def norms_to_affine_layers(network: Network, *, recalibrated: bool = False) -> Network:
    """`network` with every unfolded BatchNorm as an "affine" layer: scale · x + shift."""
    return replace(network, layers=tuple(_affine_layer(layer, recalibrated) for layer in network.layers))


def fuse(network: Network) -> Network:
    """`network` with residual additions and ReLUs attached to the layer that makes their input."""
    return _rewrite(_rewrite(network, _attach_addition), _attach_relu)


Rule = Callable[[Layer, dict[int, Layer], Network], tuple[Layer, Layer] | None]


def _rewrite(network: Network, rule: Rule) -> Network:
    """Apply `rule(layer, producers)`, which returns (producer to replace, replacement), or None to keep the layer."""
    layers: dict[int, Layer] = {}  # result -> layer, for every layer so far
    order: list[int] = []
    uses = network.uses()
    for position, layer in enumerate(network.layers):
        read_once = {index: producer for index, producer in layers.items() if uses.get(index) == 1}
        change = rule(layer, read_once, network)
        key = -1 - position if layer.results[0] is None else layer.result
        if change is None:
            layers[key] = layer
        else:
            layers.pop(change[0].result)
            order.remove(change[0].result)
            layers[key] = change[1]
        order.append(key)
    return replace(network, layers=tuple(layers[key] for key in order))


def _fold_affine(layer: Layer, read_once: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    producer, norm = _producer(layer, read_once), layer.norm
    if producer is None or norm is None or not _constant(norm.mean, norm.variance):
        return None
    scale, shift = _scale_and_shift(norm)
    weight, bias = producer.weights
    assert weight is not None
    varying = [part for part in (weight, bias) if part is not None and not part.constant]
    if varying and not scale.constant:
        return None
    weights = (weight.times(_over_filters(scale, weight)), _shifted(bias, scale, shift))
    return producer, replace(producer, weights=weights, results=layer.results)


def _keep_norm(layer: Layer, read_once: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    producer = _producer(layer, read_once)
    if producer is None or layer.norm is None:
        return None
    weight, bias = producer.weights
    zero = Affine(torch.zeros_like(layer.norm.mean.center), (None,) * len(layer.norm.mean.steps))
    return producer, replace(producer, weights=(weight, bias or zero), norm=layer.norm, results=layer.results)


def _producer(layer: Layer, read_once: dict[int, Layer]) -> Layer | None:
    """The convolution or linear layer that only this BatchNorm reads."""
    producer = read_once.get(layer.inputs[0]) if layer.kind == "batch_norm" else None
    if producer is None or producer.kind not in ("convolution", "linear") or producer.settings.get("transposed"):
        return None
    return None if producer.norm is not None or producer.residual is not None or producer.relu else producer


def _affine_layer(layer: Layer, recalibrated: bool) -> Layer:
    norm = layer.norm
    if layer.kind != "batch_norm" or norm is None:
        return layer
    if _constant(norm.mean, norm.variance) and not recalibrated:
        return replace(layer, kind="affine", weights=_scale_and_shift(norm), norm=None)
    nothing = (None,) * len(norm.mean.steps)
    one, zero = torch.ones_like(norm.mean.center), torch.zeros_like(norm.mean.center)
    return replace(layer, kind="affine", weights=(Affine(one, nothing), Affine(zero, nothing)))


def _constant(*parts: Affine) -> bool:
    return all(part.constant for part in parts)


def _scale_and_shift(norm: Norm) -> tuple[Affine, Affine]:
    """γ/√(σ² + ε) and β − γμ/√(σ² + ε), both affine in the coefficients while μ and σ are constant."""
    one = Affine(torch.rsqrt(norm.variance.center + norm.epsilon), norm.variance.steps)
    scale = norm.gamma.times(one)
    return scale, scale.map(lambda tensor: -tensor * norm.mean.center).plus(norm.beta)


def _over_filters(scale: Affine, weight: Affine) -> Affine:
    ones = (1,) * (weight.center.ndim - 1)

    def widen(tensor: Tensor) -> Tensor:
        return tensor.view(-1, *ones)

    return scale.map(widen)


def _shifted(bias: Affine | None, scale: Affine, shift: Affine) -> Affine:
    return shift if bias is None else bias.times(scale).plus(shift)


def _attach_addition(layer: Layer, read_once: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    """The later of the two convolutions gets the other summand as its residual, which is already computed by then."""
    if layer.kind != "add" or layer.inputs[0] == layer.inputs[1]:
        return None
    made = [index for index in read_once if index in layer.inputs]
    newest = _newest(layer.inputs, network)
    if newest not in made:
        return None
    producer = read_once[newest]
    if producer.kind not in ("convolution", "normalize") or producer.residual is not None or producer.relu:
        return None
    other = layer.inputs[0] if layer.inputs[1] == newest else layer.inputs[1]
    return producer, replace(producer, results=layer.results, residual=other)


def _newest(inputs: tuple[int, ...], network: Network) -> int:
    positions = {index: at for at, layer in enumerate(network.layers) for index in layer.results if index is not None}
    return max(inputs, key=lambda index: positions.get(index, -1))


def _attach_relu(layer: Layer, read_once: dict[int, Layer], network: Network) -> tuple[Layer, Layer] | None:
    producer = read_once.get(layer.inputs[0]) if layer.kind == "relu" else None
    if (
        producer is None
        or producer.relu
        or producer.kind not in ("convolution", "linear", "affine", "normalize", "add")
    ):
        return None
    return producer, replace(producer, results=layer.results, relu=True)
