"""How often intervals of a mean loss hold it, over losses with known means: `python -m benchmarks.intervals`.

The sources are closed forms, and the losses of shipped networks on all digits, from which samples are drawn with
replacement.
"""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import landscape as ls
from landscape.data import load
from landscape.objective.interval import interval
from landscape.objective.objective import Objective

COUNTS = (20, 50, 200, 1000)
RUNS = 1000
CLOSED = {  # name -> mean, and a draw
    "normal": (0.0, lambda rng, size: rng.normal(0, 1, size)),
    "exponential": (1.0, lambda rng, size: rng.exponential(1, size)),
    "log-normal, σ = 1": (np.exp(0.5), lambda rng, size: rng.lognormal(0, 1, size)),
    "log-normal, σ = 2": (np.exp(2.0), lambda rng, size: rng.lognormal(0, 2, size)),
}
NETWORKS = ("resnet20-w8-skip", "resnet20-w8-plain", "resnet56-w8-skip", "resnet56-w8-plain")
Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]


@dataclass(frozen=True)
class Held:
    """Shares of the runs."""

    plain: float  # in which the mean is within two standard errors
    skewed: float  # in which it is in the interval
    said: float  # in which it is, or the interval is called unreliable
    reliable: float  # in which the interval is not

    def __str__(self) -> str:
        plain, skewed, said, reliable = (f"{100 * share:.0f}" for share in astuple(self))
        return f"{plain} / {skewed} / {said} ({reliable})"


def main() -> None:
    """Measure and print."""
    print("Of 100: ± 2 standard errors / interval / interval, or called unreliable (called reliable)\n")
    print("| losses | " + " | ".join(f"{count} samples" for count in COUNTS) + " |")
    print("|---|" + "---|" * len(COUNTS))
    for name, mean, draw in sources():
        found = [held(mean, draw, count) for count in COUNTS]
        print(f"| {name} | " + " | ".join(map(str, found)) + " |", flush=True)


def held(mean: float, draw: Draw, count: int) -> Held:
    """Shares over `RUNS` draws of `count` losses each."""
    rows = torch.from_numpy(draw(np.random.default_rng(0), (RUNS, count)))
    found = [interval(row) for row in rows]
    inside = np.array([one.low <= mean <= one.high for one in found])
    reliable = np.array([one.reliable for one in found])
    plain = ((rows.mean(1) - mean).abs() <= 2 * rows.std(1) / count**0.5).double().mean()
    return Held(float(plain), float(inside.mean()), float((inside | ~reliable).mean()), float(reliable.mean()))


def sources() -> Iterator[tuple[str, float, Draw]]:
    """Names, means, and how losses are drawn."""
    for name, (mean, draw) in CLOSED.items():
        yield name, mean, draw
    for name in NETWORKS:
        for split in ("train", "test"):
            digits = load("digits", split)
            losses = Objective.of(ls.shipped(name), digits.images, digits.labels).sample_losses({}).numpy()
            yield f"{name}, {split}", float(losses.mean()), lambda rng, size, losses=losses: rng.choice(losses, size)  # type: ignore[misc]


if __name__ == "__main__":
    main()
