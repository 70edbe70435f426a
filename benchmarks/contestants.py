"""The peers: each evaluates a few points of a landscape around the same network, and its time per point is measured.

A peer is imported only in its own environment (peers.py runs this module there), and called as in its documentation,
without plotting and printing.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from landscape.engine.timing import clock

Measure = Callable[[], float]  # seconds per point
PEERS = {"losscape": "1.5.10", "loss-landscapes": "3.0.6", "landscaper": "1.3.1"}


def peer(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """The peer called `name`, ready for repeated measurements."""
    makers = {"losscape": losscape, "loss-landscapes": loss_landscapes, "landscaper": landscaper}
    return makers[name](model, images, labels)


def losscape(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """Its loop over points, over an unshuffled loader with batches of 128."""
    from losscape.compute_loss import compute_loss
    from losscape.create_directions import create_random_directions
    from losscape.create_landscape import _set_weights

    loader = DataLoader(TensorDataset(images, labels), batch_size=128)
    directions, weights = create_random_directions(model), [parameter.data for parameter in model.parameters()]
    now = clock()

    def measure() -> float:
        start = now()
        _set_weights(model, weights, directions, [0.1, -0.05])
        compute_loss(model, loader, None, None, len(loader))
        return now() - start

    return measure


def loss_landscapes(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """`random_plane` with its `Loss` metric over all samples at once.

    Normalized by model: its filter normalization divides by zero for biases that are zero.
    """
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    metric, side = Loss(F.cross_entropy, images, labels), _side(images)
    return _timed(
        lambda: loss_landscapes.random_plane(model, metric, 1, side, normalization="model", deepcopy_model=True),
        side**2,
    )


def landscaper(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """`compute_loss_landscape` in two dimensions over all samples at once."""
    from landscaper.compute import compute_loss_landscape

    directions = [[torch.randn_like(parameter) for parameter in model.parameters()] for _ in range(2)]

    def scalar(network: nn.Module, data: Any) -> float:
        return float(F.cross_entropy(network(data[0]), data[1]))

    side = _side(images)
    return _timed(
        lambda: compute_loss_landscape(model, (images, labels), directions, scalar, side, 0.1, 2, device="cpu"), side**2
    )


def _side(images: Tensor) -> int:
    """Points along each axis: one is enough if a point takes seconds."""
    return 1 if images.shape[-1] == 32 else 3


def _timed(work: Callable[[], object], points: int) -> Measure:
    now = clock()

    def measure() -> float:
        start = now()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
            work()
        return (now() - start) / points

    return measure
