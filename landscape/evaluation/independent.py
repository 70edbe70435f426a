"""The loss of a network by itself, what the self-check compares the center with: the module as given, by plain torch.

It shares neither engine nor directions with the values of a landscape. It is computed in float64 where the module
computes the same there as in its own types, which a few samples show; else in its own types.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from ..directions.random import dot
from ..engine.out_of_memory import with_smaller_batches
from ..objective.batch_norm import Calibration, with_batch_statistics
from ..objective.objective import (
    Objective,
    copy_of,
    double_batch,
    frozen_copy,
    has_numbers,
    type_like,
)
from ..stop import Stop, Stopped

FEW = 32  # samples on which float64 and the module's own types are compared
ROUNDING = 1e4  # times the rounding of its own types: as far as float64 may be from it
COARSEST = 0.2
WIDER = 8  # estimated size of the largest activation relative to the input: 5 for a ResNet-20


@dataclass(frozen=True)
class Method:
    """How the loss is computed: in which precision, and in words."""

    precision: str  # "float64", or the module's own
    words: str


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
            own_type = next(self._model.parameters()).dtype.to_real()
            name = str(own_type).removeprefix("torch.")
            return Method(name, f"plain {name} forward pass (there is no memory for float64)")
        own = self._own(self._model)
        name = str(own.model_dtype).removeprefix("torch.")
        few = min(FEW, len(own.images)) if not own.behaviour.together else len(own.images)
        expected = self._losses(own.first(few))
        try:
            found = self._losses(self._double(self._model).first(few))
        except Stopped:
            raise
        except Exception as error:
            said = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            return Method(name, f"plain {name} forward pass (in float64 the network fails: {said})")
        size = float(expected.abs().nan_to_num(0.0, 0.0, 0.0).max())
        limit = min(COARSEST, ROUNDING * torch.finfo(own.model_dtype).eps)
        if torch.allclose(found, expected, rtol=0.0, atol=limit * max(size, 1e-3), equal_nan=True):
            return Method("float64", "plain float64 forward pass")
        worst = float((found - expected).abs().max())
        return Method(name, f"plain {name} forward pass (in float64 its losses differ by up to {worst:.2g})")

    def loss(self, model: nn.Module, stop: Stop | None = None) -> float:
        """Mean loss of `model` over all samples, with weight decay, in the loss's unit; raises as `losses`."""
        return float(self.losses(model, stop).mean())

    def losses(self, model: nn.Module, stop: Stop | None = None) -> Tensor:
        """(N,) float64: the loss of every sample, each with the weight decay, in the loss's unit.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        double = self.method.precision == "float64"
        objective = self._double(model) if double else self._own(model)
        parameters = {name: parameter.detach() for name, parameter in objective.model.named_parameters()}
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

    def _double(self, model: nn.Module) -> Objective:
        return self._with(frozen_copy(model, torch.float64))

    def _with(self, model: nn.Module) -> Objective:
        objective = replace(self._objective, model=model)
        labels = objective.labels
        if has_numbers(labels):
            labels = labels.to(type_like(labels, next(model.parameters()).dtype.to_real()))
        return replace(objective, labels=labels)
