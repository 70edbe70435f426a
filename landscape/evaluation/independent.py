"""The loss of a network by itself, what the self-check compares the center with: the module as given, by plain torch.

It shares neither engine nor directions with the values of a landscape. It is computed in float64 where the module
computes the same there as in its own types, which a few samples show; else in its own types.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..directions.random import dot
from ..engine.out_of_memory import with_smaller_batches
from ..errors import first_line
from ..objective.batch_norm import Calibration, with_batch_statistics
from ..objective.objective import (
    Objective,
    copy_of,
    double_batch,
    frozen_copy,
    has_numbers,
    number_type,
    type_like,
)
from ..objective.watching import Watching
from ..stop import Stop, Stopped

FEW = 32  # samples on which float64 and the module's own types are compared
ROUNDING = 1e4  # times the rounding of its own types: as far as float64 may be from it
COARSEST = 0.2
EXACT = 1e-5  # relative: losses that agree so far are not computed in a coarse type, though one may occur
WIDER = 8  # estimated size of the largest activation relative to the input: 5 for a ResNet-20


Make = Callable[[nn.Module], Objective]


@dataclass(frozen=True)
class Method:
    """How the loss is computed: in which precision, and in words."""

    precision: str  # "float64", or the coarsest type in which the module computes
    words: str
    make: Make = field(repr=False)


@dataclass(frozen=True)
class _Trial:
    """What a few samples show of one way to compute."""

    make: Make
    losses: Tensor  # (n,) float64
    coarsest: torch.dtype


class Independent:
    """Evaluates whole modules on the samples of an objective, by a BatchNorm policy."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        weight_decay: float = 0.0,
        batch_norm: str = "frozen",
        calibration: Tensor | None = None,
        plain: bool = False,
        exact: bool = True,
    ):
        """
        Args:
            model: the center, as the caller gave it.
            objective: the samples, and how forward pass and loss are run.
            calibration: (n, …), samples for the policy "recalibrated".
            plain: the network runs in batches as large as the objective's anyway.
            exact: there is memory for a copy in float64.
        """
        self._model, self._objective, self._weight_decay = model, objective, weight_decay
        self._batch_norm, self._calibration, self._plain, self._exact = batch_norm, calibration, plain, exact

    @cached_property
    def method(self) -> Method:
        """Float64 if it computes the same as the module's own types, else these, with the reason.

        Raises:
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        if not self._exact:
            name = _name(number_type(self._model))
            return Method(name, f"plain {name} forward pass (there is no memory for float64)", self._own)
        own, said = self._tried(self._own, self._as_given)
        double, failed = self._tried(self._double)
        if own is None and double is None:
            name = _name(self._objective.model_dtype)
            words = f"plain {name} forward pass (in its own types the network fails: {said})"
            return Method(name, words, self._converted)
        if double is not None and (own is None or _same(double, own)):
            within = max(double.coarsest, _coarsest(self._objective), key=_rounding)
            few = self._losses(self._objective.first(len(double.losses)))
            if _rounding(within) <= _rounding(torch.float32) or _apart(few, double.losses) <= EXACT:
                return Method("float64", "plain float64 forward pass", double.make)
            words = f"plain float64 forward pass (the network computes partly in {_name(within)})"
            return Method(_name(within), words, double.make)
        assert own is not None
        name, words = _name(own.coarsest), f"plain {_name(own.make(self._model).model_dtype)} forward pass"
        if double is None:
            return Method(name, f"{words} (in float64 the network fails: {failed})", own.make)
        worst = float((double.losses - own.losses).abs().max())
        return Method(name, f"{words} (in float64 its losses differ by up to {worst:.2g})", own.make)

    def _tried(self, *ways: Make) -> tuple[_Trial | None, str]:
        """The first way that works on a few samples, or None and why the first did not."""
        reasons = []
        for make in ways:
            try:
                objective = make(self._model)
                count = len(objective.images)
                few = objective.first(count if objective.behaviour.together else min(FEW, count))
                return _Trial(make, self._losses(few), _coarsest(few)), ""
            except Stopped:
                raise
            except Exception as error:
                reasons.append(first_line(error, 100))
        return None, reasons[0]

    def loss(self, model: nn.Module, stop: Stop | None = None) -> float:
        """Mean loss of `model` over all samples, with weight decay, in the loss's unit; raises as `losses`."""
        return float(self.losses(model, stop).mean())

    def losses(self, model: nn.Module, stop: Stop | None = None) -> Tensor:
        """(N,) float64: the loss of every sample, each with the weight decay, in the loss's unit.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        objective = self.method.make(model)
        parameters = {name: one.detach() for name, one in objective.model.named_parameters() if has_numbers(one)}
        penalty = 0.5 * self._weight_decay * dot(parameters, parameters) if self._weight_decay else 0.0
        return self._losses(objective, stop) + penalty

    def _losses(self, objective: Objective, stop: Stop | None = None) -> Tensor:
        """(n,) float64: the loss of every sample."""
        if self._batch_norm == "batch":
            objective = with_batch_statistics(objective)
        if self._batch_norm == "recalibrated" and self._calibration is not None:
            parameters = {name: parameter.detach() for name, parameter in objective.model.named_parameters()}
            fresh = Calibration(objective, self._calibration).statistics(parameters)
            objective.model.load_state_dict(fresh, strict=False)
        divisible = objective.divisible
        losses, _ = with_smaller_batches(
            lambda batch: replace(objective, batch=batch).sample_losses({}, stop=stop),
            self._batch(objective) if divisible else objective.batch,
            divisible=divisible,
        )
        return losses

    def _batch(self, objective: Objective) -> int:
        """The batch of the objective if on a GPU or run plainly; else one that fits the cache."""
        if self._plain or objective.images.device.type != "cpu":
            return objective.batch
        return min(objective.batch, double_batch(WIDER * objective.images[0].numel()))

    def _own(self, model: nn.Module) -> Objective:
        return self._with(copy_of(model).eval())

    def _as_given(self, model: nn.Module) -> Objective:
        """Its first parameter does not say in which type it takes the samples, if it has several types."""
        return replace(self._own(model), as_given=True)

    def _double(self, model: nn.Module) -> Objective:
        return self._with(frozen_copy(model, torch.float64))

    def _converted(self, model: nn.Module) -> Objective:
        return self._with(frozen_copy(model, self._objective.model_dtype))

    def _with(self, model: nn.Module) -> Objective:
        objective = replace(self._objective, model=model)
        labels = objective.labels
        if has_numbers(labels):
            labels = labels.to(type_like(labels, number_type(model)))
        return replace(objective, labels=labels)


def _same(double: _Trial, own: _Trial) -> bool:
    """Whether the losses of a few samples are the same in float64, up to the rounding of the module's own types."""
    size = float(own.losses.abs().nan_to_num(0.0, 0.0, 0.0).max())
    limit = min(COARSEST, ROUNDING * _rounding(own.coarsest))
    return torch.allclose(double.losses, own.losses, rtol=0.0, atol=limit * max(size, 1e-3), equal_nan=True)


def _apart(some: Tensor, others: Tensor) -> float:
    """Largest difference of the losses of a few samples, relative to the largest; infinite where one is not finite."""
    size = max(float(others.abs().max()), 1e-3)
    apart = float((some - others).abs().max()) / size
    return apart if math.isfinite(apart) else math.inf


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _coarsest(objective: Objective) -> torch.dtype:
    """The coarsest type in a forward pass: that of the parameters, or of autocast within, or of a part."""
    types = _Types()
    try:
        with types:
            objective.first(2).sample_losses({})
    except Exception:  # not everything can be watched
        return objective.model_dtype
    return max((objective.model_dtype, *types.found), key=_rounding)


def _rounding(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps


class _Types(Watching):  # type: ignore[no-untyped-call]
    """Collects the types of real numbers that operators return."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        self.found |= {one.dtype for one in tree_leaves(results) if isinstance(one, Tensor) and one.is_floating_point()}
        return results
