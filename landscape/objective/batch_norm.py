"""BatchNorm policies: which statistics BatchNorm uses away from the checkpoint; the caption states the policy.

The statistics of the caller's model are never changed.

* "frozen": the checkpoint's running statistics everywhere (the paper's choice). Perturbed networks look steeper than
  with their own statistics.
* "recalibrated": at every point the statistics of a fixed calibration subset at that point.
* "batch": the statistics of each evaluation batch; values depend on the batch size, which is in the provenance.
"""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import DataError, UnknownNameError
from .objective import Objective

POLICIES = ("frozen", "recalibrated", "batch")
CALIBRATION = 512  # samples


def require_policy(policy: str) -> None:
    """Check the name of a policy.

    Raises:
        UnknownNameError: it is not known.
    """
    if policy not in POLICIES:
        raise UnknownNameError("BatchNorm policy", policy, POLICIES)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer of `model` normalizes with running statistics."""
    return bool(_layers(model))


def _layers(model: nn.Module) -> dict[str, _BatchNorm]:
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    }


def depends_on_batch(model: nn.Module) -> bool:
    """Whether any BatchNorm uses batch statistics, so that values depend on the batches."""
    return any(isinstance(layer, _BatchNorm) and layer.running_mean is None for layer in model.modules())


def with_batch_statistics(objective: Objective) -> Objective:
    """The same objective with a copy of its model without running statistics: every batch uses its own statistics.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    model = copy.deepcopy(objective.model)
    for layer in _layers(model).values():
        layer.running_mean = layer.running_var = layer.num_batches_tracked = None
        layer.track_running_stats = False
    return replace(objective, model=model)


def calibration_subset(images: Tensor, count: int = CALIBRATION) -> Tensor:
    """At most `count` samples (n, …), evenly spaced over the data set: always the same ones, usually of every class.

    >>> calibration_subset(torch.arange(9), 3).tolist()
    [0, 4, 8]
    """
    if len(images) <= count:
        return images
    return images[torch.linspace(0, len(images) - 1, count, dtype=torch.float64).round().long()]


class Calibration:
    """BatchNorm statistics of fixed samples, at any parameters of a model.

    Source: Izmailov et al. 2018, arXiv:1803.05407, who recompute them after averaging weights; one batch is ours.
    """

    def __init__(self, model: nn.Module, images: Tensor):
        """
        Args:
            model: in evaluation mode; a copy is made.
            images: (n, …), in the type of the model. They are one batch, so that the statistics of each layer are exact
                over all n.

        Raises:
            DataError: fewer than two samples, which have no variance.
        """
        if len(images) < 2:
            raise DataError(f"BatchNorm cannot be recalibrated on {len(images)} sample; give it at least 2.")
        self.model: nn.Module = copy.deepcopy(model)
        self.images: Tensor = images.to(next(model.parameters()).dtype) if images.is_floating_point() else images
        self.names: list[str] = list(_layers(self.model))
        for layer in _layers(self.model).values():
            layer.train()
            layer.momentum = 1.0  # nothing of the earlier statistics remains
            layer.num_batches_tracked = None

    def statistics(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Name -> running mean and (unbiased) variance of every BatchNorm layer, (channels,), at `parameters`."""
        buffers = dict(self.model.named_buffers())
        fresh = {name: torch.zeros_like(buffers[name]) for name in self._statistics()}
        with torch.inference_mode():
            torch.func.functional_call(self.model, {**parameters, **fresh}, (self.images,))
        return fresh

    def _statistics(self) -> list[str]:
        return [f"{name}.{kind}" for name in self.names for kind in ("running_mean", "running_var")]
