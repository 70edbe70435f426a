"""Trials of a packed network against the module that it was made from: samples, weights around the center, outputs.

All are made from the example and the weights by integer arithmetic, so that every machine and version of torch makes
the same; files hold the outputs for them, so they stay as they are. Batches have other sizes than those at which a
network is recorded, and so do not share its mistakes.
"""

import math
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

PERIOD = 262_139  # prime: numbers that are drawn, and then repeated
MOVED = 0.1  # standard deviation of a move, relative to the weight
WIDTH = 256  # numbers kept of the outputs for one sample
MOST_BYTES = 1 << 20  # kept of the example
SAMPLES = ("example", "noise")
MOST_SAMPLES, POINTS = 7, 3  # in a batch; the center and two points around it
# Of `difference`, by precision. Measured in float32 against float64: at most 5e-6, for ResNets of 56 layers.
LIMITS = {"float64": 1e-4, "float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}


@dataclass(frozen=True)
class Trial:
    """One batch at one point."""

    samples: str  # one of SAMPLES
    count: int  # samples in the batch
    point: int  # 0 is the center


# The most telling ones first: a costly network has fewer.
TRIALS = (
    Trial("example", 2, 0),
    Trial("noise", 2, 1),
    Trial("noise", 7, 0),
    Trial("example", 1, 0),
    Trial("example", 7, 1),
    Trial("noise", 1, 2),
)


def kept(example: Tensor) -> Tensor:
    """(n,) numbers of the first samples of an example (N, …) that a file keeps; of a large sample, the first."""
    size = max(1, math.prod(example.shape[1:]))
    most = MOST_BYTES // example.element_size()
    rows = min(len(example), MOST_SAMPLES, most // size)
    return example.detach().cpu().flatten()[: rows * size if rows else most].clone()


def batch_of(trial: Trial, numbers: Tensor, sample: tuple[int, ...]) -> Tensor:
    """A batch (N, …) in the type of `numbers`: those kept of the example, or noise with their mean and spread.

    Tokens are drawn among those of the example.
    """
    size = math.prod(sample)
    if trial.samples == "noise":
        numbers, rows = _noise(numbers), trial.count
    else:
        rows = max(1, len(numbers) // size)
    flat = numbers.repeat(-(-rows * size // len(numbers)))[: rows * size].reshape(rows, size)
    chosen = [flat[at % rows].roll(at // rows) for at in range(trial.count)]  # further samples are shifted ones
    return torch.stack(chosen).reshape(trial.count, *sample)


def _noise(numbers: Tensor) -> Tensor:
    drawn = _uniform()
    if not numbers.is_floating_point():
        return numbers[((drawn + 1) / 2 * len(numbers)).long().clamp(max=len(numbers) - 1)]
    real = numbers.double()
    spread = float(real.std(correction=0)) or 1.0
    return (float(real.mean()) + math.sqrt(3) * spread * drawn.double()).to(numbers.dtype)


def moved(name: str, weight: Tensor, point: int) -> Tensor:
    """The parameter `name` at a point, in its shape and type; at 0 as it is.

    Every number is multiplied by another factor of mean 1, so that none changes its sign; zeros get a summand.
    """
    if point == 0:
        return weight
    kind = torch.promote_types(weight.dtype, torch.float32)
    factor = _draw(name, weight, point)
    if weight.is_complex():
        factor = torch.complex(factor, _draw(f"{name} imaginary", weight, point))
    at = weight.detach().to(kind)
    size = float(at.abs().double().square().mean().sqrt()) or 1.0
    still = at.abs() < 1e-30
    return torch.where(still, size * MOVED * factor, at * (1 + MOVED * factor)).to(weight.dtype)


def _draw(name: str, weight: Tensor, point: int) -> Tensor:
    """Numbers of mean 0 and standard deviation 1 in the shape of `weight`, as float32."""
    start = (zlib.crc32(name.encode(errors="replace")) + 7919 * point) % PERIOD
    drawn, count = _uniform(), start + weight.numel()
    drawn = drawn.repeat(-(-count // PERIOD)) if count > PERIOD else drawn
    return (math.sqrt(3) * drawn[start:count]).reshape(weight.shape).to(weight.device)


@cache
def _uniform() -> Tensor:
    """(PERIOD,) float32 from −1 to 1.

    Source: SplitMix64 of Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195.
    """
    mixed = np.arange(1, PERIOD + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return torch.from_numpy((mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1)


def sketch(outputs: Any, count: int) -> Tensor:
    """(N, k) float64: the outputs for every sample, or `WIDTH` sums of them with signs if they are more.

    Any number that changes, changes a sum; the parts of a complex number are two numbers.

    Raises:
        ValueError: the outputs are not one tensor with as many numbers for each sample.

    Source: Charikar, Chen & Farach-Colton 2002, doi:10.1016/S0304-3975(03)00400-6.
    """
    if not isinstance(outputs, Tensor) or outputs.numel() == 0 or outputs.numel() % count:
        raise ValueError("the outputs are not one tensor with a row for each sample")
    real = torch.view_as_real(outputs.resolve_conj()) if outputs.is_complex() else outputs
    rows = real.detach().cpu().double().reshape(count, -1)
    width = rows.shape[1]
    if width <= WIDTH:
        return rows
    signs = _uniform().sign().double().repeat(-(-width // PERIOD))[:width]
    padded = torch.nn.functional.pad(rows * signs, (0, -width % WIDTH))
    return padded.reshape(count, -1, WIDTH).sum(1)


def widths_of(output: tuple[int, ...]) -> tuple[int, int]:
    """The k of a `sketch` of outputs (N, *output): of real ones, and of complex ones."""
    return min(WIDTH, math.prod(output)), min(WIDTH, 2 * math.prod(output))


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference of two sketches, relative to the largest number of the second; infinite if not finite."""
    if found.shape != expected.shape or not bool(found.isfinite().all()):
        return math.inf
    size = float(expected.abs().max())
    worst = float((found - expected.double()).abs().max())
    return worst / size if size else (math.inf if worst else 0.0)


@dataclass(frozen=True)
class Tried:
    """What a file says of the trials of the original module; their numbers are among its tensors."""

    precision: str  # the type in which the original computed, one of LIMITS
    trials: tuple[Trial, ...]
