"""Reduces scores to losses and accuracies for several points at once, in float64.

The cross-entropy of all points is computed in one call; other losses are called per point.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...objective.losses import CROSS_ENTROPY, Loss
from ...objective.objective import Value

MULTIPLE = 16  # samples: then torch computes whole vectors only, and a value does not depend on its lane

Part = tuple[Tensor, Tensor | None]  # losses (N, points), whether classified correctly (N, points)


def sample_losses(outputs: Tensor, labels: Tensor, loss: Loss) -> Part:
    """Loss of every sample at every point, and whether it is classified correctly, (N, points) each.

    Args:
        outputs: scores (classes, N, points).
        labels: (N,).
    """
    if loss is CROSS_ENTROPY:
        return _cross_entropy(outputs, labels)
    by_point = [scores.t() for scores in outputs.unbind(-1)]
    every = [loss(scores, labels) for scores in by_point]
    hits = [loss.correct(scores, labels, losses) for scores, losses in zip(by_point, every, strict=True)]
    return torch.stack(every, -1), None if hits[0] is None else torch.stack(
        [hit for hit in hits if hit is not None], -1
    )


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Part:
    """(largest − own score) + log1p(Σ exp(score − largest) over the other classes + (own share − 1)).

    If the own score is the largest, the last summand is zero and a small loss keeps its precision; otherwise the sum is
    at least one. As exact as float64 would be on these float32 scores, in a tenth of the time, which matters for tiny
    networks. An infinite largest score gives NaN, as in the plain loop.
    """
    count = len(labels)
    outputs, labels = pad(outputs, (0, 0, 0, -count % MULTIPLE)), pad(labels, (0, -count % MULTIPLE))
    wanted = labels[None, :, None].expand(1, -1, outputs.shape[-1])
    largest, own = outputs.amax(0), outputs.gather(0, wanted)[0]
    others = (outputs - largest).exp_().scatter_(0, wanted, 0.0).sum(0)
    rest = others + ((own - largest).exp() - 1.0)
    losses = (largest.double() - own.double()) + rest.log1p_().double() + 0.0 * largest
    hits = _correct(outputs, wanted[0], own == largest, others) & ~losses.isnan()
    return losses[:count], hits[:count]


def _correct(outputs: Tensor, wanted: Tensor, largest: Tensor, others: Tensor) -> Tensor:
    """Whether the own score is the largest; of equal scores the first counts, if the shares of the others sum to 1."""
    doubtful = largest & (others >= 1.0)
    if bool(doubtful.any()):
        largest[doubtful] = outputs[:, doubtful].argmax(0) == wanted[doubtful]
    return largest


def reduce_losses(parts: Sequence[Part]) -> list[Value]:
    """One value per point from the parts of a data set, (n, points) each."""
    losses = torch.cat([losses for losses, _ in parts]).t().contiguous()
    hits = [hits for _, hits in parts if hits is not None]
    points, count = losses.shape
    shares = torch.cat(hits).double().mean(0) if hits else torch.full((points,), torch.nan)
    errors = losses.std(1) / count**0.5 if count > 1 else torch.full((points,), torch.nan)
    return [Value(*numbers) for numbers in zip(losses.mean(1).tolist(), shares.tolist(), errors.tolist(), strict=True)]
