"""Losses of random networks: as the library gets them, and per sample as they are defined, in float64."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Defined = Callable[[Tensor, Tensor], Tensor]  # float64 scores (N, K) and labels -> (N,)


@dataclass(frozen=True)
class Target:
    """Labels, and a loss: `loss` for the library, `defined` for the comparison."""

    name: str
    labels: Tensor
    loss: Any
    defined: Defined
    wrap: str = "tensor"
    smoothing: float = 0.0
    tags: frozenset[str] = frozenset()


def log_probabilities(scores: Tensor) -> Tensor:
    """log softmax, written out."""
    shifted = scores - scores.max(1, keepdim=True).values
    return shifted - shifted.exp().sum(1, keepdim=True).log()


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([-row[int(label)] for row, label in zip(log_probabilities(scores), labels, strict=True)])


def _mse(scores: Tensor, labels: Tensor) -> Tensor:
    probabilities = log_probabilities(scores).exp()
    wanted = torch.zeros_like(probabilities)
    for row, label in zip(wanted, labels, strict=True):
        row[int(label)] = 1
    return ((probabilities - wanted) ** 2).mean(1)


def _squared(scores: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([((row - wanted) ** 2).sum() / row.numel() for row, wanted in zip(scores, labels, strict=True)])


def _contrastive(scores: Tensor, labels: Tensor) -> Tensor:
    size = scores.norm(dim=1, keepdim=True)
    rows = scores / (size + 1e-6)
    return _cross_entropy(rows @ rows.T / 0.5, torch.arange(len(rows)))


def target(p: random.Random, outputs: int, count: int) -> Target:
    """Labels and a loss for a network with so many outputs."""
    labels = torch.randint(0, outputs, (count,))
    values = torch.randn(count, outputs)
    kind = p.choice(["cross_entropy"] * 6 + ["mse", "smooth", "callable"] + ["callable"] * 3)
    if kind == "cross_entropy":
        types = [torch.int64, torch.int32, torch.uint8]
        return Target(kind, labels.to(p.choice(types)), kind, _cross_entropy)
    if kind == "mse":
        return Target(kind, labels, kind, _mse)
    if kind == "smooth":
        share = p.choice([0.1, 0.5])

        def smooth(scores: Tensor, labels: Tensor) -> Tensor:
            return (1 - share) * _cross_entropy(scores, labels) - share * log_probabilities(scores).mean(1)

        return Target(f"{share} smoothed", labels, "cross_entropy", smooth, smoothing=share)
    kind = p.choice(
        ["squared", "weighted", "soft", "logits", "huber", "contrastive", "dict", "tuple", "in place", "L1"]
    )
    if kind in ("squared", "dict", "tuple", "in place"):
        return _of_values(kind, values)
    if kind == "weighted":
        weights = torch.rand(outputs) + 0.5
        return Target(
            kind,
            labels,
            lambda out, to: F.cross_entropy(out, to, weight=weights.to(out), reduction="none"),
            lambda out, to: _cross_entropy(out, to) * weights.double()[to],
        )
    if kind == "soft":
        soft = torch.rand(count, outputs).softmax(1)
        return Target(
            kind,
            soft,
            lambda out, to: F.cross_entropy(out, to, reduction="none"),
            lambda out, to: -(to * log_probabilities(out)).sum(1),
        )
    if kind == "logits":
        return Target(
            kind,
            (values > 0).float(),
            lambda out, to: F.binary_cross_entropy_with_logits(out, to, reduction="none").mean(1),
            lambda out, to: (out.clamp(min=0) + (-out.abs()).exp().log1p() - to * out).mean(1),
        )
    if kind == "huber":
        return Target(
            kind,
            values,
            lambda out, to: F.huber_loss(out, to, reduction="none").mean(1),
            lambda out, to: torch.where((out - to).abs() < 1, (out - to) ** 2 / 2, (out - to).abs() - 0.5).mean(1),
        )
    if kind == "contrastive":
        return Target(
            kind,
            labels,
            lambda out, to: F.cross_entropy(
                (out / (out.norm(dim=1, keepdim=True) + 1e-6)) @ (out / (out.norm(dim=1, keepdim=True) + 1e-6)).T / 0.5,
                torch.arange(len(out)),
                reduction="none",
            ),
            _contrastive,
            tags=frozenset({"together"}),
        )
    return Target(
        kind,
        values,
        lambda out, to: F.l1_loss(out, to, reduction="none").sum(1),
        lambda out, to: (out - to).abs().sum(1),
    )


def _of_values(kind: str, values: Tensor) -> Target:
    if kind == "dict":
        return Target(kind, values, lambda out, to: (out["scores"] - to).square().mean(1), _squared, wrap="dict")
    if kind == "tuple":
        return Target(
            kind,
            values,
            lambda out, to: (out[0] - to).square().mean(1) + out[1].abs().mean(1),
            lambda out, to: _squared(out, to) + (2 * out).abs().mean(1),
            wrap="tuple",
        )
    if kind == "in place":
        return Target(kind, values, lambda out, to: out.sub_(to).square().mean(1), _squared)
    return Target(kind, values, lambda out, to: F.mse_loss(out, to, reduction="none").mean(1), _squared)
