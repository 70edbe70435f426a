"""From scores to values for several points at once, in float64.

Imports losses, objective and torch. The cross-entropy of all points is one call; another loss is called per point.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..losses import CROSS_ENTROPY, Loss, right
from ..objective import Value

Part = tuple[Tensor, Tensor | None]  # losses (N, points), whether classified rightly (N, points)


def tally(outputs: Tensor, labels: Tensor, loss: Loss) -> Part:
    """Loss of every sample at every point, and whether it is classified rightly, from scores (N, classes, points)."""
    if loss is CROSS_ENTROPY:
        wanted = labels[:, None].expand(-1, outputs.shape[-1])
        losses = F.cross_entropy(outputs.double(), wanted, reduction="none")
        return losses, (outputs.argmax(1) == wanted) & ~losses.isnan()  # argmax of NaN names a class
    every = [loss(scores, labels) for scores in outputs.unbind(-1)]
    hits = [right(scores, labels, losses) for scores, losses in zip(outputs.unbind(-1), every, strict=True)]
    return torch.stack(every, -1), None if hits[0] is None else torch.stack(
        [hit for hit in hits if hit is not None], -1
    )


def summarize(parts: Sequence[Part]) -> list[Value]:
    """One value per point from the parts of a data set."""
    losses = torch.cat([losses for losses, _ in parts]).t().contiguous()
    hits = [hits for _, hits in parts if hits is not None]
    shares = torch.cat(hits).double().mean(0) if hits else torch.full((len(losses),), torch.nan)
    return [_value(every, float(share)) for every, share in zip(losses, shares, strict=True)]


def _value(losses: Tensor, accuracy: float) -> Value:
    count = len(losses)
    return Value(float(losses.mean()), accuracy, float(losses.std()) / count**0.5 if count > 1 else float("nan"))
