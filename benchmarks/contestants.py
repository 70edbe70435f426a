"""Who takes part: each evaluates a few points of a landscape around the same network and says how long a point took.

Imports landscape; the peers are imported only where they are installed (peers.py starts this file there). A peer is
called as its documentation does, without its plotting and printing.
"""

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from landscape import engine
from landscape.direction import Params
from landscape.objective import Objective

Measure = Callable[[], float]  # seconds per point
OURS = ("ours, float32", "ours, bfloat16", "plain loop")
PEERS = {"losscape": "1.5.10", "loss-landscapes": "3.0.6", "landscaper": "1.3.1"}


def peer(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """The peer called `name`, ready to be measured again and again."""
    makers = {"losscape": losscape, "loss-landscapes": loss_landscapes, "landscaper": landscaper}
    return makers[name](model, images, labels)


def ours(plan: engine.Plan) -> Measure:
    """A plan of the engine, over as many points as it takes at once; the plain loop is the engine's own yardstick."""
    points = [(0.05 * k, -0.02 * k) for k in range(plan.group)]

    def measure() -> float:
        start = time.perf_counter()
        plan.values(points)
        return (time.perf_counter() - start) / len(points)

    return measure


def plan_of(name: str, objective: Objective, directions: Sequence[Params]) -> engine.Plan:
    """The plan called `name` in the table."""
    if name == "plain loop":
        return engine.plan(objective, directions, {"engine": "plain"})
    return engine.plan(objective, directions, precision="bfloat16" if "bfloat16" in name else None)


def losscape(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """Its loop over points, over an unshuffled loader with batches of 128."""
    from losscape.compute_loss import compute_loss
    from losscape.create_directions import create_random_directions
    from losscape.create_landscape import _set_weights

    loader = DataLoader(TensorDataset(images, labels), batch_size=128)
    directions, weights = create_random_directions(model), [parameter.data for parameter in model.parameters()]

    def measure() -> float:
        start = time.perf_counter()
        _set_weights(model, weights, directions, [0.1, -0.05])
        compute_loss(model, loader, None, None, len(loader))
        return time.perf_counter() - start

    return measure


def loss_landscapes(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """`random_plane` with its `Loss` metric over all samples at once.

    Normalised by model: its filter normalization divides by zero for biases that are zero.
    """
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    metric = Loss(F.cross_entropy, images, labels)
    return _timed(
        lambda: loss_landscapes.random_plane(model, metric, 1, 2, normalization="model", deepcopy_model=True), 4
    )


def landscaper(model: nn.Module, images: Tensor, labels: Tensor) -> Measure:
    """`compute_loss_landscape` in two dimensions over all samples at once."""
    from landscaper.compute import compute_loss_landscape

    directions = [[torch.randn_like(parameter) for parameter in model.parameters()] for _ in range(2)]

    def scalar(network: nn.Module, data: Any) -> float:
        return float(F.cross_entropy(network(data[0]), data[1]))

    return _timed(
        lambda: compute_loss_landscape(model, (images, labels), directions, scalar, 2, 0.1, 2, device="cpu"), 4
    )


def _timed(work: Callable[[], object], points: int) -> Measure:
    def measure() -> float:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
            work()
        return (time.perf_counter() - start) / points

    return measure
