"""From scores to values for several points at once, in float64.

Imports losses, objective and torch. The cross-entropy of all points is one call; another loss is called per point.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..losses import CROSS_ENTROPY, Loss, right
from ..objective import Value

WHOLE = 16  # samples: torch then computes whole vectors only, and a lane does not depend on where it lies

Part = tuple[Tensor, Tensor | None]  # losses (N, points), whether classified rightly (N, points)


def tally(outputs: Tensor, labels: Tensor, loss: Loss) -> Part:
    """Loss of every sample at every point, and whether it is classified rightly, from scores (classes, N, points)."""
    if loss is CROSS_ENTROPY:
        return _cross_entropy(outputs, labels)
    by_point = [scores.t() for scores in outputs.unbind(-1)]
    every = [loss(scores, labels) for scores in by_point]
    hits = [right(scores, labels, losses) for scores, losses in zip(by_point, every, strict=True)]
    return torch.stack(every, -1), None if hits[0] is None else torch.stack(
        [hit for hit in hits if hit is not None], -1
    )


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Part:
    """(largest − label's score) + log1p(Σ exp(score − largest) over the others): small losses keep their digits.

    As exact as float64 would be on these float32 scores, in a sixth of the time, which counts for tiny networks.
    """
    count = len(labels)
    outputs, labels = pad(outputs, (0, 0, 0, -count % WHOLE)), pad(labels, (0, -count % WHOLE))
    wanted = labels[None, :, None].expand(1, -1, outputs.shape[-1])
    largest, guess = outputs.max(0, keepdim=True)
    others = (outputs - largest).exp_().scatter_(0, guess, 0.0).sum(0)
    lead = (largest.double() - outputs.gather(0, wanted).double())[0]
    losses = (
        lead + others.log1p_().double() + 0.0 * largest[0]
    )  # an infinite largest score makes NaN, as it does plainly
    return losses[:count], ((guess == wanted)[0] & ~losses.isnan())[:count]


def summarize(parts: Sequence[Part]) -> list[Value]:
    """One value per point from the parts of a data set."""
    losses = torch.cat([losses for losses, _ in parts]).t().contiguous()
    hits = [hits for _, hits in parts if hits is not None]
    shares = torch.cat(hits).double().mean(0) if hits else torch.full((len(losses),), torch.nan)
    return [_value(every, float(share)) for every, share in zip(losses, shares, strict=True)]


def _value(losses: Tensor, accuracy: float) -> Value:
    count = len(losses)
    return Value(float(losses.mean()), accuracy, float(losses.std()) / count**0.5 if count > 1 else float("nan"))
