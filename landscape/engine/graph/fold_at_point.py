"""BatchNorm folded at every point, where it cannot be folded once: W·s and (b − μ)·s + β with s = γ / √(σ² + ε).

Needed if a direction changes the statistics (interpolation, trajectory, planes through checkpoints) or the scale
together with the convolution, or if the statistics are computed at every point (recalibrate.py). It works on flat
vectors: one axpy, one gather, two products. A variance below −ε gives NaN, as in the plain loop.

Measured: docs/performance.md, attempt 9. Off: `prepare(…, folding=False)`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .affine import Affine
from .flat import FlatWeights, Point, Statistics, unflatten
from .layers import Layer, Network, weights_of


class FoldedWeights(FlatWeights):
    """The weights of `layers` at a point, folded there, as views of one vector."""

    def __init__(self, layers: Sequence[Layer], directions: int, *, dtype: torch.dtype, device: torch.device):
        self.layer_weights = weights_of(tuple(layers))
        self.norms = norms = [layer.norm for layer in layers if layer.norm is not None]
        gammas, betas = [norm.gamma for norm in norms], [norm.beta for norm in norms]
        means, variances = [norm.mean for norm in norms], [norm.variance for norm in norms]
        every = [*self.layer_weights, *gammas, *betas, *means, *variances]
        super().__init__(every, directions, dtype=dtype, device=device)
        self.count = sum(weight.center.numel() for weight in self.layer_weights)
        self.channels = sum(norm.mean.center.numel() for norm in norms)
        epsilons = [norm.mean.center.new_full(norm.mean.center.shape, norm.epsilon) for norm in norms]
        self.epsilon = torch.cat(epsilons).to(device, dtype)
        self.scale_of, self.bias_at = (index.to(device) for index in _positions(layers))
        self.statistics: Statistics | None = None  # used instead of the affine ones

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the statistics of every BatchNorm at a point from `statistics`."""
        self.statistics = statistics

    def vector(self, point: Point) -> Tensor:
        """The folded weights at `point`, (directions,), concatenated, (P,)."""
        weights, *parts = torch.split(super().vector(point), [self.count, *[self.channels] * 4])
        gamma, beta, mean, variance = parts
        if self.statistics is not None:
            found = self.statistics(point)
            mean, variance = (self._replaced(part, k, found) for k, part in enumerate((mean, variance)))
        scale = gamma / torch.sqrt(variance + self.epsilon)
        folded = weights * torch.cat([scale.new_ones(1), scale])[self.scale_of]
        folded[self.bias_at] = (weights[self.bias_at] - mean) * scale + beta
        return folded

    def _replaced(self, given: Tensor, which: int, found: Mapping[str, Tensor]) -> Tensor:
        parts = torch.split(given, [norm.mean.center.numel() for norm in self.norms])
        return torch.cat([found.get(norm.buffers[which], part) for norm, part in zip(self.norms, parts, strict=True)])

    def at(self, point: Point) -> list[Tensor]:
        """The weights at `point`, (directions,), in the order and the shapes of the layers' weights."""
        return self.views(self.vector(point), self.layer_weights)


def flat_weights(network: Network, directions: int, *, dtype: torch.dtype, device: torch.device) -> FlatWeights:
    """The weights of `network`, folded at every point if a layer has a `norm`."""
    if any(layer.norm is not None for layer in network.layers):
        return FoldedWeights(network.layers, directions, dtype=dtype, device=device)
    return FlatWeights(weights_of(network.layers), directions, dtype=dtype, device=device)


def folded_lane_weights(
    network: Network, packed: Callable[[Network], Sequence[Affine]], directions: int
) -> "FoldedLaneWeights | None":
    """The folded weights for lanes, None if no layer has a `norm`."""
    return FoldedLaneWeights(network, packed, directions) if any(layer.norm for layer in network.layers) else None


def _positions(layers: Sequence[Layer]) -> tuple[Tensor, Tensor]:
    """For every weight the index of its scale, counted from 1 (0: none); and the positions of the norms' biases."""
    scale_of, bias_at, start, channel = [], [], 0, 1
    for layer in layers:
        for position, weight in enumerate(weight for weight in layer.weights if weight is not None):
            count = weight.center.numel()
            if layer.norm is None:
                scale_of.append(torch.zeros(count, dtype=torch.long))
            else:
                filters = layer.norm.mean.center.numel()
                scale_of.append(torch.arange(channel, channel + filters).repeat_interleave(count // filters))
                bias_at += [torch.arange(start, start + count)] if position == 1 else []
            start += count
        channel += layer.norm.mean.center.numel() if layer.norm is not None else 0
    return torch.cat(scale_of), torch.cat(bias_at)


def with_positions(network: Network) -> Network:
    """`network` with every weight replaced by its position in the vector of a `FoldedWeights`, counted from 1.

    Packing this network shows where each weight goes; padding stays 0.
    """
    layers, start = [], 1
    for layer in network.layers:
        weights: list[Affine | None] = []
        for weight in layer.weights:
            weights.append(None if weight is None else Affine(_numbered_like(weight.center, start), ()))
            start += 0 if weight is None else weight.center.numel()
        layers.append(replace(layer, weights=tuple(weights)))
    return replace(network, layers=tuple(layers))


def _numbered_like(like: Tensor, start: int) -> Tensor:
    return unflatten(torch.arange(start, start + like.numel(), dtype=torch.float64), like)


class FoldedLaneWeights:
    """Folded weights at several points, as the lanes read them: (lines, points)."""

    def __init__(self, network: Network, packed: Callable[[Network], Sequence[Affine]], directions: int):
        """
        Args:
            packed: from a network to the weights of its program, in the order of their lines.
        """
        self.flat = FoldedWeights(network.layers, directions, dtype=torch.float32, device=torch.device("cpu"))
        self.gather = torch.cat([weight.center for weight in packed(with_positions(network))]).long()

    def at(self, points: Sequence[Point]) -> Tensor:
        """(lines, points), float32."""
        zero = torch.zeros(1)
        return torch.stack([torch.cat([zero, self.flat.vector(point)])[self.gather] for point in points], 1)
