"""How often value ± error of the metrics holds the truth: `python -m benchmarks.coverage [forms] [networks]`.

Prints Markdown: by metric and number of grid points per axis, the share of intervals that hold the truth, in percent;
then the cases where fewer than 90 % do. Closed forms are turned and moved at random; their truth is the same metric on
401 × 401 points. Networks are perceptrons trained here on digits and four of the shipped ones, over 64 digits, in
windows of ±1 and ±0.3; their truth is the metric on 201 × 201 points. The samples are fixed, so this measures the part
of the error that is of the grid.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from landscape import api
from landscape.data.builtin import load
from landscape.grid import Axis, Grid
from landscape.results.arrays import Arrays
from landscape.results.metrics import Number, numbers
from tests.support.small_models import shipped

COUNTS = (9, 15, 25, 51, 101)
FINE, FINE_OF_NETWORKS = 401, 201
RADIUS = 0.5  # of the sharpness, in half widths of the window
NETWORKS = ("resnet20-w8-skip", "resnet20-w8-plain", "resnet56-w4-skip", "resnet56-w4-plain")
PERCEPTRONS = 10
ENOUGH = 90  # percent

Array = NDArray[np.float64]
Function = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Case:
    """Losses over a square window of ±half on grids of n × n points, and a level for the area."""

    kind: str
    half: float
    level: float
    losses: dict[int, Array]
    fine: int
    precision: str

    def numbers(self, count: int) -> dict[str, Number]:
        """The metrics on count × count points, by their names without levels and radii."""
        axis, nothing = np.linspace(-self.half, self.half, count), np.full((count, count), np.nan)
        facts = {"precision": self.precision}
        computed = np.ones((count, count), bool)
        result = Arrays("surface", axis, axis, self.losses[count], nothing, nothing, computed, facts)
        found = numbers(result, levels=[self.level], radius=RADIUS * self.half)
        return {_short(number.name): number for number in found}


def _short(name: str) -> str:
    return name.split(" under ")[0].split(" in ")[0]


# --- closed forms ----------------------------------------------------------------------------------------------------
def paraboloid(random: np.random.Generator, condition: float = 1.0) -> tuple[Function, float]:
    """A level of 0.1 at 0.02 to 0.5 from its middle along the flat axis."""
    steep = 0.1 / _between(random, 0.02, 0.5) ** 2 * condition
    return (lambda x, y: steep * (x**2 / condition + y**2)), 0.1


def valley(random: np.random.Generator) -> tuple[Function, float]:
    """The same with condition 100."""
    return paraboloid(random, 100.0)


def egg_box(random: np.random.Generator) -> tuple[Function, float]:
    """One to four periods of the sum of two cosines."""
    waves = math.pi * _between(random, 1, 4)
    return (lambda x, y: 2 + np.cos(waves * x) + np.cos(waves * y)), float(random.uniform(0.3, 3))


def cone(random: np.random.Generator) -> tuple[Function, float]:
    """|x|, with a level of 0.1 at 0.02 to 0.5 from its tip."""
    slope = 0.1 / _between(random, 0.02, 0.5)
    return (lambda x, y: slope * np.hypot(x, y)), 0.1


def well(random: np.random.Generator) -> tuple[Function, float]:
    """A Gaussian well of standard deviation 0.02 to 0.2, as wide as a cell or far less."""
    width = _between(random, 0.02, 0.2)
    return (lambda x, y: 1 - 0.99 * np.exp(-(x**2 + y**2) / (2 * width**2))), float(random.uniform(0.1, 0.9))


def rosenbrock(random: np.random.Generator) -> tuple[Function, float]:
    """A curved valley."""
    steep = _between(random, 5, 100)
    return (lambda x, y: x**2 + steep * (y - x**2 + 0.2) ** 2), float(random.uniform(0.05, 0.5))


def piecewise_linear(random: np.random.Generator) -> tuple[Function, float]:
    """A ReLU network of two inputs, 2-16-16-1, and its tenth part of smallest values."""
    first, second = random.normal(size=(16, 3)), random.normal(size=(16, 16)) / 4
    bias, last = random.normal(size=16) / 4, random.normal(size=16) / 4

    def function(x: Array, y: Array) -> Array:
        inputs = np.stack(np.broadcast_arrays(x, y, 0.5))
        hidden = np.maximum(np.tensordot(first, inputs, 1), 0)
        hidden = np.maximum(np.tensordot(second, hidden, 1) + bias[:, None, None], 0)
        values: Array = np.tensordot(last, hidden, 1) + 10
        return values

    coarse = np.linspace(-1, 1, 41)
    return function, float(np.quantile(function(coarse[:, None], coarse[None]), 0.1))


FORMS: dict[str, Callable[[np.random.Generator], tuple[Function, float]]] = {
    "paraboloid": paraboloid,
    "valley, condition 100": valley,
    "egg-box": egg_box,
    "cone": cone,
    "Gaussian well": well,
    "Rosenbrock": rosenbrock,
    "piecewise linear": piecewise_linear,
}


def _between(random: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(math.log(low), math.log(high))))


def form(kind: str, random: np.random.Generator) -> Case:
    """A closed form, turned and moved by up to 0.3."""
    function, level = FORMS[kind](random)
    angle, move = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 0.3, 2)
    cos, sin = math.cos(angle), math.sin(angle)

    def on(count: int) -> Array:
        axis = np.linspace(-1, 1, count)
        x, y = axis[:, None] - move[0], axis[None, :] - move[1]
        return function(cos * x - sin * y, sin * x + cos * y)

    return Case(kind, 1.0, level, {count: on(count) for count in (*COUNTS, FINE)}, FINE, "float64")


# --- networks --------------------------------------------------------------------------------------------------------
def networks() -> Iterator[Case]:
    """Trained networks in two windows each."""
    digits = load("digits", "train")
    images, labels = digits.images[:64].contiguous(), digits.labels[:64].contiguous()
    made: list[tuple[str, Callable[[], nn.Module]]] = [
        *(("perceptrons", partial(trained, digits.images, digits.labels, seed)) for seed in range(PERCEPTRONS)),
        *((name, partial(shipped, name)) for name in NETWORKS),
    ]
    for kind, make in made:
        model = make()
        for seed, half in enumerate((1.0, 0.3)):
            losses: dict[int, Array] = {}
            for count in (FINE_OF_NETWORKS, *COUNTS):
                every, rest = divmod(FINE_OF_NETWORKS - 1, count - 1)
                axis = Axis(-half, half, count)
                losses[count] = (
                    api.surface(model, images, labels, grid=Grid(axis, axis), seed=seed).losses
                    if rest or not losses
                    else losses[FINE_OF_NETWORKS][::every, ::every]
                )
            yield Case(kind, half, 0.1, losses, FINE_OF_NETWORKS, "float32")


def trained(images: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    """64-32-32-10 with ReLU, 40 epochs of SGD."""
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
    model = nn.Sequential(nn.Flatten(), *layers)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(40):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


# --- report ----------------------------------------------------------------------------------------------------------
Found = dict[tuple[str, str, int], list[tuple[bool, bool]]]  # by metric, kind and count: within one error, within two


def measure(cases: Iterator[Case], found: Found) -> None:
    """Add for every case whether the truth is within the error, and within twice of it."""
    for case in cases:
        truths = {name: number.value for name, number in case.numbers(case.fine).items()}
        for count in COUNTS:
            for name, number in case.numbers(count).items():
                if math.isnan(truths[name]):
                    continue
                off, slack = abs(number.value - truths[name]), 1e-9 * abs(truths[name])
                error = math.nan if number.error is None else number.error
                found[name, case.kind, count].append((off <= error + slack, off <= 2 * error + slack))


def report(found: Found, title: str, kinds: list[str]) -> None:
    """One table: a row for each metric, over all of these kinds."""
    print(f"| {title} | {' | '.join(f'n = {count}' for count in COUNTS)} |\n|---|{'---|' * len(COUNTS)}")
    for metric in dict.fromkeys(metric for metric, _, _ in found):
        cells = [[held for kind in kinds for held in found[metric, kind, count]] for count in COUNTS]
        print(f"| {metric} | {' | '.join(' '.join(_percent(cell)) for cell in cells)} |")
    print()


def _percent(cell: list[tuple[bool, bool]]) -> tuple[str, str]:
    one, two = (100 * np.mean([held[k] for held in cell]) for k in (0, 1))
    return f"{one:.0f}", f"({two:.0f})"


def report_below(found: Found) -> None:
    """The kinds and metrics of which fewer intervals than `ENOUGH` hold the truth."""
    print(f"| below {ENOUGH} % | {' | '.join(f'n = {count}' for count in COUNTS)} |\n|---|{'---|' * len(COUNTS)}")
    for metric, kind in dict.fromkeys((metric, kind) for metric, kind, _ in found):
        shares = [_percent(found[metric, kind, count])[0] for count in COUNTS]
        if any(int(share) < ENOUGH for share in shares):
            print(f"| {metric}, {kind} ({len(found[metric, kind, COUNTS[0]])}) | {' | '.join(shares)} |")
    print()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["forms", "networks", []], metavar="PART", help="forms, networks")
    parser.add_argument("--trials", type=int, default=25, help="of each closed form")
    options = parser.parse_args()
    parts = options.parts or ["forms", "networks"]
    torch.set_num_threads(1)
    began, random = time.monotonic(), np.random.default_rng(0)
    found: Found = defaultdict(list)
    if "forms" in parts:
        measure((form(kind, random) for kind in FORMS for _ in range(options.trials)), found)
        report(found, f"{options.trials} of each closed form", list(FORMS))
    if "networks" in parts:
        measure(networks(), found)
        kinds = list(dict.fromkeys(kind for _, kind, _ in found if kind not in FORMS))
        report(found, f"{PERCEPTRONS} perceptrons and {len(NETWORKS)} shipped networks, two windows each", kinds)
    report_below(found)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
