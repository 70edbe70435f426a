"""The loss that fits the targets of a data set, where cross-entropy over one label a sample does not.

Imports torch, losses.
"""

from torch import Tensor
from torch.nn import functional as F

from ..losses import CROSS_ENTROPY, Loss


def token_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over the tokens of a sample of −log softmax(outputs)[label], nats; (N, T, V) and (N, T) -> (N,)."""
    return F.cross_entropy(outputs.double().transpose(1, 2), labels, reduction="none").mean(1)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over the numbers of a sample of (output − target)²; (N, …) and (N, …) -> (N,)."""
    return (outputs.double().flatten(1) - targets.double().reshape(len(targets), -1)).square().mean(1)


def loss_for(targets: str) -> Loss:
    """The loss for targets of this kind: "classes", "tokens" or "values"."""
    if targets == "tokens":
        return Loss("cross_entropy", "nats", token_cross_entropy, scores=False)
    if targets == "values":
        return Loss("squared_error", "", squared_error, scores=False)
    return CROSS_ENTROPY
