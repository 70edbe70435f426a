"""Benchmark of the engine for `landscape bench`: seconds per grid point, by precision.

Machines are shared and clock rates change: the plans are measured in alternating turns and figures are medians; the
share of the peak is relative to matrix products in the same turns. One thread on a CPU is measured in CPU seconds,
which do not grow while other processes run. Nothing here decides how a job is computed.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

from .. import engine
from ..directions.random import Params
from ..errors import UnknownNameError
from ..objective.objective import Objective
from .fused.onednn import EMULATED, emulated
from .graph.compile import prepare
from .graph.record import Unrecordable

OURS = ("float32", "bfloat16", "float64")
PLAIN = "plain loop"
CHECKED = 16  # samples on which the error is computed, at one point
LONG = 4.0  # seconds of a turn; longer ones need no warm-up
POINT = (0.2, -0.1)

Measure = Callable[[], float]  # seconds per point
Times = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    who: str
    seconds: float  # per point, median over the turns
    ratio: float  # speedup over the first row: its seconds ÷ these
    peak: float | None  # share of the matrix products' rate, None if the work is unknown
    error: float | None  # |loss − loss in float64| / |loss|, at one point


@dataclass
class Contest:
    """The plans of one network on one data set, to be measured."""

    objective: Objective
    directions: Sequence[Params]  # name -> tensor, in the shapes of the parameters
    plans: dict[str, engine.Plan]
    refused: dict[str, str]  # precision -> why it has no plan
    remarks: list[str]  # what the engine logged while it planned

    @classmethod
    def of(cls, objective: Objective, directions: Sequence[Params], names: Sequence[str] = (PLAIN, *OURS)) -> "Contest":
        """Plan every precision in `names`, and the plain loop in float32."""
        contest = cls(objective, directions, {}, {}, [])
        with _logged(contest.remarks):
            for name in names:
                if emulated(name, objective.images.device):
                    contest.refused[name] = EMULATED
                    continue
                try:
                    contest.plans[name] = contest._plan(name)
                except UnknownNameError as refusal:
                    contest.refused[name] = str(refusal)
        return contest

    def _plan(self, name: str) -> engine.Plan:
        if name == PLAIN:
            return engine.plan(self.objective, self.directions, {"engine": "plain"})
        if name == "float64":
            return engine.plan(self.objective.in_double(), self.directions)
        return engine.plan(self.objective, self.directions, precision=name if name == "bfloat16" else None)

    def measures(self) -> dict[str, Measure]:
        """Name -> function that measures the seconds per point."""
        return {name: measure_of(plan) for name, plan in self.plans.items()}

    def rows(self, times: Times, peaks: Times) -> list[Row]:
        """The table, with errors (None for entries without a plan)."""
        work, errors, [first, *_] = self.work(), self.errors(), times.values()
        rows = []
        for who, found in times.items():
            ratio = median(one / other for one, other in zip(first, found, strict=False))  # over the turns of both
            peak = median(peaks["bfloat16" if "bfloat16" in who else "float64" if "float64" in who else "float32"])
            share = None if work is None else work / median(found) / peak
            rows.append(Row(who, median(found), ratio, share, errors.get(who)))
        return rows

    def work(self) -> float | None:
        """Multiplications and additions of one point in convolutions and linear layers, padding counted."""
        try:
            return flop(self.objective) * len(self.objective.images)
        except Unrecordable:
            return None

    def errors(self) -> dict[str, float | None]:
        """Relative error of the loss of a few samples at one point, against the plain loop in float64.

        None if either is not finite, or the exact loss is 0.
        """
        images, labels, point = *self._few(), POINT[: len(self.directions)]
        exact = engine.plan(self.objective.first(CHECKED).in_double(), self.directions, {"engine": "plain"})
        expected = exact.values([point])[0].loss
        found = {
            name: float(self.objective.loss(plan.scores(point, images.to(_type(plan, images))), labels).mean())
            for name, plan in self.plans.items()
        }
        return {name: _relative_error(loss, expected) for name, loss in found.items()}

    def _few(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.objective.samples(0, CHECKED), self.objective.labels[:CHECKED]


def _relative_error(loss: float, exact: float) -> float | None:
    return abs(loss - exact) / abs(exact) if exact and math.isfinite(loss - exact) else None


def _type(plan: engine.Plan, images: torch.Tensor) -> torch.dtype:
    return plan.objective.dtype if images.is_floating_point() and plan.name != "lanes" else images.dtype


def clock(device: torch.device | None = None) -> Callable[[], float]:
    """A clock: CPU seconds of this process if it has one thread, else wall-clock seconds."""
    alone = torch.get_num_threads() == 1 and (device is None or device.type == "cpu")
    return time.process_time if alone else time.perf_counter


def measure_of(plan: engine.Plan) -> Measure:
    """Measures a plan over one group of points."""
    now = clock(plan.objective.images.device)
    points = [tuple(coordinate * (1 + 0.1 * k) for coordinate in POINT[: plan.directions]) for k in range(plan.group)]

    def measure() -> float:
        start = now()
        plan.values(points)
        return (now() - start) / len(points)

    return measure


def interleaved(
    measures: Mapping[str, Measure],
    *,
    seconds: float,
    device: torch.device | None = None,
    turns: int = 3,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Times, Times]:
    """Seconds per point by name, and the rates of matrix products (FLOP/s) by type, measured in turns.

    Args:
        seconds: after `turns` turns, continue for this long in total; a plan that has run this long itself is skipped.
        report: called with the count of measurements done, and the minimum total.
    """
    times: Times = {name: [] for name in measures}
    types = [name for name in OURS if name == "float32" or name in measures]
    peaks: Times = {name: [] for name in types}
    start, turn, warm = time.perf_counter(), 0, False
    while turn < turns or time.perf_counter() - start < seconds:
        began = time.perf_counter()
        for position, (name, measure) in enumerate(measures.items()):
            if turn == 0 or sum(times[name]) <= seconds:
                times[name].append(measure())
            report(min(turn, turns - 1) * len(measures) + position + 1, turns * len(measures))
        for name, rates in peaks.items():
            rates.append(peak(getattr(torch, name), device))
        if not warm and time.perf_counter() - began < LONG:  # a short first turn is a warm-up and does not count
            times, peaks = {name: [] for name in times}, {name: [] for name in peaks}
        else:
            turn += 1
        warm = True
    return times, peaks


def peak(dtype: torch.dtype, device: torch.device | None = None) -> float:
    """FLOP/s of a product of two square matrices, the second transposed, as in a linear layer.

    Without the transposition it takes as long, except for emulated bfloat16, where it takes ten times as long.
    """
    cuda = device is not None and device.type == "cuda"
    size = 8192 if cuda else 512 if dtype == torch.float64 else 1024
    one = torch.randn(size, size, device=device).to(dtype)
    with engine.exact_float32():
        one @ one.T
        _wait(cuda)
        now = clock(device)
        start = now()
        for _ in range(4):
            one @ one.T
        _wait(cuda)
    return 4 * 2.0 * size**3 / (now() - start)


def _wait(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()


def flop(objective: Objective) -> float:
    """Multiplications and additions per sample in convolutions and linear layers, padding included, as is common.

    Raises:
        Unrecordable: the model cannot be turned into a graph.
    """
    network = prepare(objective, ())
    total = 0.0
    for layer in network.layers:
        weight, shape = layer.weights[0] if layer.weights else None, network.shapes[layer.result]
        if layer.kind in ("convolution", "linear") and weight is not None and shape is not None:
            pixels = torch.Size(shape[1:]).numel() if layer.kind == "convolution" else 1
            total += 2.0 * weight.center.numel() * pixels
    return total


@contextmanager
def _logged(remarks: list[str]) -> Iterator[None]:
    """Collect what the engine logs while it plans."""
    logger, handler = logging.getLogger(engine.__name__), _Collector(remarks)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Collector(logging.Handler):
    def __init__(self, remarks: list[str]):
        super().__init__()
        self.remarks = remarks

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self.remarks:
            self.remarks.append(record.getMessage())
