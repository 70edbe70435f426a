"""BatchNorm policies: which statistics BatchNorm uses away from the checkpoint; the caption states the policy.

The statistics of the caller's model are never changed.

* "frozen": the checkpoint's running statistics everywhere (the paper's choice). Perturbed networks look steeper than
  with their own statistics.
* "recalibrated": at every point the statistics of a fixed calibration subset at that point.
* "batch": the statistics of each evaluation batch; values depend on the batch size, which is in the provenance.
"""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

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


def with_batch_statistics(objective: Objective) -> Objective:
    """The same objective with a copy of its model without running statistics: every batch uses its own statistics.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    model = copy.deepcopy(objective.model)
    for layer in _layers(model).values():
        _make_local(layer)
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

    def __init__(self, objective: Objective, images: Tensor):
        """
        Args:
            objective: whose model, of which a copy is made, in evaluation mode.
            images: (n, …). They are one batch, so that the statistics of each layer are exact over all n.

        Raises:
            DataError: fewer than two samples, which have no variance.
        """
        if len(images) < 2:
            raise DataError(f"BatchNorm cannot be recalibrated on {len(images)} sample; give it at least 2.")
        self.model: nn.Module = copy.deepcopy(objective.model)
        self._objective = replace(objective, model=self.model, images=images, labels=images)
        self.images: Tensor = self._objective.images.to(self._objective.dtype)
        self.names: list[str] = list(_layers(self.model))
        for layer in _layers(self.model).values():
            _make_local(layer)
            layer.train()
            layer.momentum = 1.0  # nothing of the earlier statistics remains
            layer.num_batches_tracked = None

    def statistics(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Name -> running mean and (unbiased) variance of every BatchNorm layer, (channels,), at `parameters`.

        Of a layer that runs several times, their mean over the runs, as `torch.optim.swa_utils.update_bn` takes it.
        """
        buffers = dict(self.model.named_buffers())
        fresh = {name: torch.zeros_like(buffers[name]) for layer in self.names for name in _of(layer)}
        runs: list[dict[str, Tensor]] = []
        with contextlib.ExitStack() as stack, self._objective.running():
            for name in self.names:
                stack.enter_context(_keeping(runs, name, self.model.get_submodule(name)))
            samples, _ = self._objective.pair(0, None)
            torch.func.functional_call(self.model, {**parameters, **fresh}, (samples,))
        return {**fresh, **mean_over_runs(runs)}


def _of(layer: str) -> tuple[str, str]:
    return f"{layer}.running_mean", f"{layer}.running_var"


@contextlib.contextmanager
def _keeping(runs: list[dict[str, Tensor]], name: str, layer: nn.Module) -> Iterator[None]:
    """Append the statistics of every run of a layer."""

    def keep(norm: Any, *_: Any) -> None:
        pairs = zip(_of(name), (norm.running_mean, norm.running_var), strict=True)
        runs.append({buffer: statistic.detach().clone() for buffer, statistic in pairs})

    handle = layer.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def mean_over_runs(runs: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of statistics, (channels,) each, by name: of a layer that runs several times, over its runs."""
    found: dict[str, list[Tensor]] = {}
    for run in runs:
        for name, statistic in run.items():
            found.setdefault(name, []).append(statistic)
    return {name: every[0] if len(every) == 1 else torch.stack(every).mean(0) for name, every in found.items()}


class _LocalBatchNorm(_BatchNorm):
    """SyncBatchNorm in one process: it takes any number of axes, and needs no GPU for its own statistics."""

    def _check_input_dim(self, input: Tensor) -> None:
        return


def _make_local(layer: _BatchNorm) -> None:
    if isinstance(layer, nn.SyncBatchNorm):
        layer.__class__ = _LocalBatchNorm  # type: ignore[assignment]
