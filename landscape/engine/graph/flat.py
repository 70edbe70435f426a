"""All weights of a network in one vector, so that a point is one flat axpy: w = center + Σ coefficients[k] · steps[k].

Weights are affine after folding; the two or three big vectors are rounded to the precision of the plan once.
Convolution weights are channels-last, as the back ends read them.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .affine import Affine

Point = Sequence[float] | Tensor  # one coefficient per direction
Statistics = Callable[[Point], Mapping[str, Tensor]]  # from a point to running means and variances by name


class FlatWeights:
    """The weights of a plan; `at(point)` are views of one vector, in the order given."""

    def __init__(self, weights: Sequence[Affine], directions: int, *, dtype: torch.dtype, device: torch.device):
        self.weights = weights
        self.center = self._concatenated([weight.center for weight in weights]).to(device, dtype)
        self.steps = [
            self._concatenated(
                [torch.zeros_like(weight.center) if weight.steps[k] is None else weight.steps[k] for weight in weights]
            ).to(device, dtype)
            for k in range(directions)
        ]

    @staticmethod
    def _concatenated(tensors: Sequence[Tensor | None]) -> Tensor:
        parts = [_channels_last(tensor).flatten() for tensor in tensors if tensor is not None]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def use_statistics(self, statistics: Statistics) -> None:
        """Does nothing: these weights do not depend on the statistics of BatchNorm at a point."""

    def at(self, point: Point) -> list[Tensor]:
        """The weights at `point`, (directions,), in the shapes of the parameters."""
        return self.views(self.vector(point), self.weights)

    def vector(self, point: Point) -> Tensor:
        """The weights at `point`, concatenated, (P,); coefficients in a tensor stay on its device."""
        moved = self.center.clone()
        for coefficient, step in zip(point, self.steps, strict=True):
            if isinstance(coefficient, Tensor):
                moved.addcmul_(step, coefficient)
            else:
                moved.add_(step, alpha=coefficient)
        return moved

    @staticmethod
    def views(vector: Tensor, weights: Sequence[Affine]) -> list[Tensor]:
        """The parts of a vector as views with the shapes of `weights`."""
        parts = torch.split(vector, [weight.center.numel() for weight in weights])
        return [unflatten(part, weight.center) for part, weight in zip(parts, weights, strict=True)]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 2, 3, 1).contiguous() if tensor.ndim == 4 else tensor.contiguous()


def unflatten(part: Tensor, like: Tensor) -> Tensor:
    """A part of the vector, (n,), in the shape of `like`."""
    if like.ndim != 4:
        return part.view(like.shape)
    filters, channels, height, width = like.shape
    return part.view(filters, height, width, channels).permute(0, 3, 1, 2)
