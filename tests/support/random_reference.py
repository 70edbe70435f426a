"""The obvious float64 loop for random networks: move every parameter, run the module, write the loss out.

It shares with the library only the directions, which have tests of their own.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.directions.random import random_directions
from tests.support.random_networks import Case, case

Array = NDArray[np.float64]
Moved = dict[str, Tensor]


# Ways to run a network: all in float64; as it is, with samples in the type of its first parameter, or as they are; all
# in float32.
WAYS = ("float64", "own types", "own types, samples as given", "float32")


def obvious_losses(given: Case, way: str) -> tuple[Array, Array]:
    """Mean losses and their standard errors over the grid, (n, m) each, in one of `WAYS`."""
    center = _named(given.model, statistics=given.other is not None)
    directions = _directions(given, center)
    betas = given.grid.betas if given.grid.beta else (0.0,)
    points = [[(alpha, beta)[: len(directions)] for beta in betas] for alpha in given.grid.alphas]
    found = [[_value(given, center, directions, point, way) for point in row] for row in points]
    return np.array([[one[0] for one in row] for row in found]), np.array([[one[1] for one in row] for row in found])


def _named(model: nn.Module, *, statistics: bool) -> Moved:
    named = dict(model.state_dict()) if statistics else dict(model.named_parameters())
    return {name: one.detach().clone() for name, one in named.items() if one.is_floating_point() or one.is_complex()}


def _directions(given: Case, center: Moved) -> Sequence[Mapping[str, Tensor]]:
    if given.other is not None:
        return [{name: _wide(given.other[name]) - _wide(one) for name, one in center.items()}]
    asked = {
        name: given.options[name]
        for name in ("normalization", "biases", "orthogonality", "drawn")
        if name in given.options
    }
    count = 2 if given.grid.beta else 1
    return random_directions(center, seed=given.options["seed"], count=count, scales=given.scales, **asked)


def _wide(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor


def type_of(model: nn.Module) -> torch.dtype:
    """The type of the first real or complex parameter."""
    return next(one.dtype.to_real() for one in model.parameters() if one.is_floating_point() or one.is_complex())


def _narrow(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex64)
    return tensor.float() if tensor.is_floating_point() else tensor


def fresh(given: Case) -> nn.Module:
    """The network of the case, not yet run."""
    try:
        return copy.deepcopy(given.model)
    except RuntimeError:  # torch copies no tensor that a gradient may flow through
        return case(given.seed).model


def _value(
    given: Case, center: Moved, directions: Sequence[Mapping[str, Tensor]], point: Sequence[float], way: str
) -> tuple[float, float]:
    model = fresh(given).eval()
    if way.startswith("float"):
        model._apply(_wide)
    if way == "float32":
        model._apply(_narrow)
    named = (model.named_buffers(remove_duplicate=False), model.named_parameters(remove_duplicate=False))
    tensors = {name: tensor for both in named for name, tensor in both}
    for name, start in center.items():
        moved = _wide(start)
        for coefficient, direction in zip(point, directions, strict=True):
            moved = moved + coefficient * direction[name]
        tensors[name].data.copy_(moved)
    images = given.images
    if (images.is_floating_point() or images.is_complex()) and "given" not in way:
        first = type_of(model)
        images = images.to(first.to_complex() if images.is_complex() else first)
    losses = torch.cat(
        [_losses(given, model, images[rows], given.target.labels[rows]) for rows in _batches(given, model, images)]
    )
    parameters = [_wide(one.detach()) for one in model.parameters() if one.is_floating_point() or one.is_complex()]
    penalty = 0.5 * given.options.get("weight_decay", 0.0) * sum(float((one.abs() ** 2).sum()) for one in parameters)
    count = len(losses)
    spread = math.sqrt(float(((losses - losses.mean()) ** 2).sum()) / (count - 1) / count) if count > 1 else math.nan
    return float(losses.sum()) / count + penalty, spread


def _losses(given: Case, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    try:
        with torch.enable_grad():  # some differentiate
            out = model(images.clone())
    except RuntimeError:  # some write where gradients would flow
        with torch.no_grad():
            out = model(images.clone())
    scores = {"dict": lambda: out["scores"], "tuple": lambda: out[0], "tensor": lambda: out}[given.target.wrap]()
    wanted = labels.double() if labels.is_floating_point() else labels
    return given.target.defined(_wide(scores.detach()), wanted)


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [one for one in model.modules() if isinstance(one, _BatchNorm)]


def _batches(given: Case, model: nn.Module, images: Tensor) -> list[slice]:
    """The batches of the samples; BatchNorm is made ready for them by the policy."""
    policy, count = given.options.get("batch_norm", "frozen"), len(images)
    always = any(one.running_mean is None for one in _norms(model))
    tracked = [one for one in _norms(model) if one.running_mean is not None]
    for one in _norms(model):
        if isinstance(one, nn.SyncBatchNorm):
            one.__class__ = nn.BatchNorm1d
            one._check_input_dim = lambda x: None
    if policy == "recalibrated" and tracked:
        wanted = given.options.get("calibration", 512)
        rows = [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)] if count > wanted else list(range(count))
        for one in tracked:
            one.reset_running_stats()
            one.momentum = None  # the mean over its runs
            one.train()
        with torch.enable_grad():
            model(images[rows].clone())
        model.eval()
    if policy == "batch":
        for one in tracked:
            one.running_mean = one.running_var = one.num_batches_tracked = None
            one.track_running_stats = False
    by_batch = always or (policy == "batch" and bool(tracked))
    if not by_batch and not given.tags & {"together", "branches"}:
        return [slice(0, count)]
    most = given.options.get("batch") or (256 if always or "together" not in given.tags else count)
    starts = list(range(0, count, most))
    if by_batch and count % most == 1 and count > 1:
        starts = starts[:-1]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]
