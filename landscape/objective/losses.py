"""Losses per sample: by name, or any callable; one number per sample, in float64.

They exclude weight decay, which depends on the point and not on a sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import DataError, UnknownNameError

PerSample = Callable[[Any, Tensor], Tensor]
LOSSES = ("cross_entropy", "mse")


@dataclass(frozen=True)
class Loss:
    """A loss per sample, as a function of the model's outputs and the labels of a batch."""

    name: str
    unit: str  # "nats", or "" if there is none or it is unknown
    per_sample: PerSample  # (outputs, labels) -> (N,), any floating type
    scores: bool = True  # the outputs must be class scores (N, classes) and the labels indices (N,)

    def __call__(self, outputs: Any, labels: Tensor) -> Tensor:
        """(N,) float64: the loss of every sample of a batch.

        Raises:
            DataError: the callable does not return one number per sample.
        """
        losses = self.per_sample(outputs, labels)
        if not isinstance(losses, Tensor) or losses.shape != (len(labels),):
            found = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
            raise DataError(
                f"The loss {self.name!r} returns {found} for {len(labels)} samples; expected one number per sample, "
                f"shape ({len(labels)},). Do not average it: for torch's losses, pass reduction='none'."
            )
        return losses.double()

    def correct(self, outputs: Any, labels: Tensor, losses: Tensor) -> Tensor | None:
        """(N,), which samples are classified correctly; None without class scores; see `correct`."""
        return correct(outputs, labels, losses)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """(N,) −log softmax(outputs)[label], nats. In float64: a small loss is a small difference of large scores.

    Two equal scores give ln 2:

    >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0])).tolist()
    [0.6931471805599453]
    """
    return F.cross_entropy(outputs.double(), labels, reduction="none")


def mse(outputs: Tensor, labels: Tensor) -> Tensor:
    """(N,) mean over the classes of (softmax − one-hot)², unitless, 0 to 2 / classes.

    Source: eval_loss in the authors' evaluation.py (Li et al. 2018): averages over batch × classes after a softmax.

    >>> mse(torch.zeros(1, 2), torch.tensor([0])).tolist()
    [0.25]
    """
    target = F.one_hot(labels, outputs.shape[1])
    return (outputs.double().softmax(1) - target).square().mean(1)


CROSS_ENTROPY = Loss("cross_entropy", "nats", cross_entropy)


def loss_of(loss: "str | PerSample | Loss", *, label_smoothing: float = 0.0) -> Loss:
    """A loss by its name, or from a callable.

    Args:
        loss: "cross_entropy", "mse", or (outputs, labels) -> (N,), one loss per sample.
        label_smoothing: for the cross-entropy, the share ε of the target spread evenly over all classes; 0 ≤ ε ≤ 1.

    Raises:
        UnknownNameError: the name is not known.
        DataError: label smoothing out of range, or with another loss.

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7, for label smoothing.
    """
    if not 0 <= label_smoothing <= 1:
        raise DataError(f"'label_smoothing' must be from 0 to 1; got {label_smoothing}.")
    if label_smoothing and loss != "cross_entropy":
        raise DataError("'label_smoothing' applies to the cross-entropy only. Leave it 0 for another loss.")
    if isinstance(loss, Loss):
        return loss
    if callable(loss):
        return Loss(getattr(loss, "__name__", type(loss).__name__), "", loss, scores=False)
    if loss == "cross_entropy":
        return _smoothed(label_smoothing) if label_smoothing else CROSS_ENTROPY
    if loss == "mse":
        return Loss("mse", "", mse)
    raise UnknownNameError("loss", loss, LOSSES)


def _smoothed(share: float) -> Loss:
    def smoothed(outputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(outputs.double(), labels, reduction="none", label_smoothing=share)

    return Loss(f"cross_entropy, label smoothing {share:g}", "nats", smoothed)


def correct(outputs: Any, labels: Tensor, losses: Tensor) -> Tensor | None:
    """(N,) whether the largest score is the label's; None if the outputs are not class scores. NaN is never correct."""
    scores = isinstance(outputs, Tensor) and outputs.ndim == 2 and labels.ndim == 1
    if not scores or labels.dtype.is_floating_point or labels.dtype is torch.bool:
        return None
    hits: Tensor = (outputs.argmax(1) == labels) & ~losses.isnan()  # argmax of NaN would be some class
    return hits


def token_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over the tokens of a sample of −log softmax(outputs)[label], nats; (N, T, V) and (N, T) -> (N,)."""
    return F.cross_entropy(outputs.double().transpose(1, 2), labels, reduction="none").mean(1)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over the numbers of a sample of (output − target)²; (N, …) and (N, …) -> (N,)."""
    return (outputs.double().flatten(1) - targets.double().reshape(len(targets), -1)).square().mean(1)


def loss_for(targets: str) -> Loss:
    """The default loss for targets of a kind: "classes", "tokens" or "values"."""
    if targets == "tokens":
        return Loss("cross_entropy", "nats", token_cross_entropy, scores=False)
    if targets == "values":
        return Loss("squared_error", "", squared_error, scores=False)
    return CROSS_ENTROPY
