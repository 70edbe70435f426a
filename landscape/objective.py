"""The value plotted: mean loss and accuracy of a model on fixed samples, at given parameters.

Imports torch and errors. This is the obvious evaluator, the oracle for everything in engine/: evaluation mode,
no gradients, running statistics left as they are. It never changes the model it was given.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .errors import DataError, UnknownNameError

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
BATCH = 256


class Value(NamedTuple):
    """What one point of a landscape holds; infinities and NaN are results and stay."""

    loss: float  # mean over the samples of the cross-entropy, nats
    accuracy: float  # share of samples whose largest output is the label, 0 to 1
    standard_error: float  # of the mean loss over the samples, nats


def dtype_of(precision: str) -> torch.dtype:
    """The floating type named by `precision`; an unknown name raises and lists the known ones."""
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, list(PRECISIONS))
    return PRECISIONS[precision]


def frozen_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `model` in evaluation mode with its floating tensors in `dtype`; the original is not touched."""
    return copy.deepcopy(model).eval().to(dtype).requires_grad_(False)


@dataclass(frozen=True)
class Objective:
    """Mean loss of `model` on `images` and `labels` as a function of its parameters.

    `model` is in evaluation mode and its floating type is that of `images` (see `frozen_copy`).
    """

    model: nn.Module
    images: Tensor  # (N, …), floating
    labels: Tensor  # (N,), class indices
    batch: int = BATCH

    @classmethod
    def of(cls, model: nn.Module, images: Tensor, labels: Tensor, *, precision: str = "float32") -> "Objective":
        """Build the objective in `precision` on the device of the model.

        Raises:
            DataError: no samples, or images and labels of different lengths.
            UnknownNameError: the precision is not known.
        """
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(
                f"Got {len(images)} images and {len(labels)} labels. Use one label per image, at least one."
            )
        dtype = dtype_of(precision)
        device = next(iter(model.parameters())).device
        return cls(frozen_copy(model, dtype), images.to(device, dtype), labels.to(device))

    def parameters(self) -> dict[str, Tensor]:
        """The parameters of the model, by name: the center of the landscape."""
        return {name: parameter.detach() for name, parameter in self.model.named_parameters()}

    def evaluate(self, parameters: Mapping[str, Tensor], *, stop: Callable[[], bool] | None = None) -> Value:
        """The value at `parameters` (names and shapes of the model's own; others keep the model's value)."""
        given = dict(parameters)
        return evaluate(lambda images: torch.func.functional_call(self.model, given, (images,)), self, stop=stop)


class Stopped(Exception):
    """`stop` answered true in the middle of an evaluation."""


def evaluate(
    forward: Callable[[Tensor], Tensor], objective: Objective, *, stop: Callable[[], bool] | None = None
) -> Value:
    """Cross-entropy of `forward(images)` over all samples of `objective`, summed in float64, sample by sample.

    Raises:
        Stopped: `stop`, asked before every batch, answered true.
    """
    count = len(objective.images)
    losses, correct = [], []
    with torch.inference_mode():
        for start in range(0, count, objective.batch):
            if stop is not None and stop():
                raise Stopped
            labels = objective.labels[start : start + objective.batch]
            outputs = forward(objective.images[start : start + objective.batch])
            loss = nn.functional.cross_entropy(outputs, labels, reduction="none").double()
            losses.append(loss)
            correct.append(((outputs.argmax(1) == labels) & ~loss.isnan()).sum())  # argmax of NaN names a class
        every = torch.cat(losses)
        error = every.std() / count**0.5 if count > 1 else torch.tensor(torch.nan)
        return Value(float(every.mean()), float(torch.stack(correct).sum()) / count, float(error))
