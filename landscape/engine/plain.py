"""The plain plan, the reference for the others: moves the parameters and runs the model. Works for every model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..directions.random import Params
from ..directions.regenerated import Regenerated
from ..objective.batch_norm import Calibration
from ..objective.objective import Objective, Value
from ..stop import Stop, Stopped
from .out_of_memory import with_smaller_batches
from .tf32 import exact_float32


class PlainPlan:
    """center + Σ c_k · direction_k through `torch.func.functional_call`, at the precision of the objective."""

    name = "plain"
    group = 1

    def __init__(self, objective: Objective, directions: Sequence[Params], calibration: Calibration | None = None):
        """With `calibration`, the statistics of BatchNorm are computed from its samples at every point."""
        self.objective, self.calibration, self.choice = objective, calibration, {"engine": "plain"}
        self.batch = objective.batch
        self.divisible = objective.divisible
        self.center = objective.parameters()
        self.directions, self.steps = len(directions), [self._step(direction) for direction in directions]

    def _step(self, direction: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What moves, in the types of the center; a direction that is not kept stays as it is."""
        if isinstance(direction, Regenerated):
            return direction
        return {
            name: tensor.to(self.center[name])
            for name, tensor in direction.items()
            if name in self.center and tensor.any()  # a checkpoint has a name for every use of a tied parameter
        }

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryExhaustedError: memory does not suffice for a single sample, or the batch cannot be divided.
        """
        return [self._value(point, stop) for point in points]

    def _value(self, point: Sequence[float], stop: Stop | None) -> Value:
        if stop is not None and stop():  # before the pass over the calibration samples too
            raise Stopped

        def evaluate(batch: int) -> Value:
            return replace(self.objective, batch=batch).evaluate(self._parameters(point), stop=stop)

        with exact_float32():
            value, self.batch = with_smaller_batches(evaluate, self.batch, divisible=self.divisible)
        return value

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the model at `point` for n images, in float64: (n, …), (n, classes) for a classifier."""
        with torch.inference_mode():
            outputs: Tensor = torch.func.functional_call(self.objective.model, self._parameters(point), (images,))
            return outputs.double()

    def _parameters(self, point: Sequence[float]) -> Params:
        moved = {name: self._at(name, point) for name in self.center}
        return moved if self.calibration is None else {**moved, **self.calibration.statistics(moved)}

    def _at(self, name: str, coefficients: Sequence[float]) -> Tensor:
        moved = self.center[name]
        for coefficient, direction in zip(coefficients, self.steps, strict=True):
            if name in direction:
                moved = moved + coefficient * direction[name].to(moved)
        return moved
