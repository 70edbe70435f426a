"""From scores to values for several points at once, in float64.

Imports objective, torch. Scores are float32; the cross-entropy is taken in float64, since a small loss is a small
difference of large scores and would lose half its digits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..objective import Value

Part = tuple[Tensor, Tensor]  # losses (N, points), right (N, points)


def tally(outputs: Tensor, labels: Tensor) -> Part:
    """Losses in nats and whether the largest score is the label's, from scores (N, classes, points)."""
    wanted = labels[:, None].expand(-1, outputs.shape[-1])
    losses = F.cross_entropy(outputs.double(), wanted, reduction="none")
    return losses, (outputs.argmax(1) == wanted) & ~losses.isnan()  # argmax of NaN names a class


def summarize(parts: Sequence[Part]) -> list[Value]:
    """One value per point from the parts of a data set."""
    losses = torch.cat([losses for losses, _ in parts]).t().contiguous()
    right = torch.cat([right for _, right in parts]).sum(0)
    count = losses.shape[1]
    return [
        Value(float(every.mean()), int(correct) / count, float(every.std()) / count**0.5 if count > 1 else float("nan"))
        for every, correct in zip(losses, right, strict=True)
    ]
