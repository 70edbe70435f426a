"""The plan for narrow networks and small images: one grid point per SIMD lane.

A convolution of eight channels leaves most of a vector register empty; sixteen points of the landscape fill it, for any
width of the network, with the same image in every lane.

Measured on 8×8 images, one thread, against the plain loop: 4.3× for ResNet-56 of width 8, 7× for ResNet-8, 2.8× for
an MLP (docs/performance.md, attempt 2). With batch statistics for BatchNorm, all images of a batch pass one convolution
before any passes the next: 4.2× and 5.5×, where it was 1.1× and 1.2× (attempt 14c).
Off: `choice={"engine": "fused", "batch": 128}`.
"""

import ctypes
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from ...errors import UnknownNameError
from ...objective.batch_norm import mean_over_runs
from ...objective.objective import Objective, Value
from ...stop import Stop, Stopped
from .. import native
from ..cost import total_work
from ..graph.affine import Affine
from ..graph.flat import Point, Statistics
from ..graph.fold_at_point import folded_lane_weights
from ..graph.layers import Layer, Network
from .loss_reduction import reduce_losses, sample_losses
from .program import compile_network

Workspaces = tuple[Tensor, Tensor, Tensor]  # inner and outer workspace, statistics

ALIGNMENT = 64  # bytes: one vector of AVX-512
CHUNK_WORK = 2e9  # floating-point operations between calls of `stop`: about 20 ms


class LanesPlan:
    """Whole networks at `group` points at once, `block` images at a time, in float32 on the CPU.

    Raises:
        UnknownNameError: this machine or this build lacks the instruction set.
        NotInLanes: there is no kernel for a layer or a shape.
    """

    name = "lanes"

    def __init__(self, objective: Objective, network: Network, directions: int, *, instruction_set: str, block: int):
        loaded = native.library()
        self.group = native.width(instruction_set)
        if loaded is None or not self.group:
            raise UnknownNameError("instruction set on this machine", instruction_set, native.instruction_sets())
        self.native: ctypes.CDLL = loaded
        self.objective = objective
        self.choice = {"engine": "lanes", "instruction_set": instruction_set, "block": block}
        filters = int(loaded.lanes_filters(self.group))
        batch = min(objective.batch, len(objective.images))
        compiled = partial(compile_network, filters=filters, block=block, batch=batch)
        self.program = compiled(network)
        self.folded = folded_lane_weights(network, lambda numbered: compiled(numbered).weights, directions)
        self.norms = [layer for layer in network.layers if layer.kind == "normalize"]
        self.pixels = {layer.result: math.prod((network.shapes[layer.result] or ())[1:]) for layer in self.norms}
        self.directions = directions
        self.center, self.steps = _vectors(self.program.weights, directions)
        self.weights = _aligned(self.program.weight_lines * self.group)
        self.workspaces: list[Workspaces] = []  # one per thread
        work = max(1.0, total_work(network)) * self.group * self.program.block
        self.whole_batches = bool(self.program.states)  # BatchNorm uses batch statistics
        self.chunk = objective.batch if self.whole_batches else self.program.block * max(1, int(CHUNK_WORK / work))

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point; `group` points cost as much as one.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
        """
        groups = [points[start : start + self.group] for start in range(0, len(points), self.group)]
        return [value for group in groups for value in self._group(group, stop)]

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the running statistics of BatchNorm at every point from `statistics`."""
        if self.folded is not None:
            self.folded.flat.use_statistics(statistics)

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at `point` for n images, (n, classes), in float64."""
        self._set_weights([point])
        [outputs] = self._outputs(_channels_last(images), threads=1)
        return outputs[..., 0].t().double()

    def statistics(self, points: Sequence[Point]) -> list[dict[str, Tensor]]:
        """For every point: name -> mean or unbiased variance (channels,) of every BatchNorm that keeps them.

        Args:
            points: at most `group`. All samples must be one batch.
        """
        self._set_weights(points)
        self._outputs(_channels_last(self.objective.images), threads=1)
        runs = [dict(zip(layer.settings["buffers"], self._last_statistics(layer), strict=True)) for layer in self.norms]
        found = mean_over_runs(runs)
        return [{name: both[:, lane] for name, both in found.items()} for lane in range(len(points))]

    def release(self) -> None:
        """Does nothing: the workspaces are needed for the next points."""
        return

    def _last_statistics(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Mean and unbiased variance (channels, lanes) of the last run."""
        start, channels = self.program.states[layer.result]
        states = self.workspaces[0][2].view(-1, self.group)[start + 3 * channels : start + 7 * channels]
        mean, squares = states.flatten().view(torch.float64).view(2, channels, self.group)
        variance = squares / (len(self.objective.images) * self.pixels[layer.result] - 1)
        return mean.float(), variance.masked_fill(variance.isinf(), torch.nan).float()

    def _group(self, points: Sequence[Sequence[float]], stop: Stop | None) -> list[Value]:
        self._set_weights(points)
        loss = self.objective.loss
        parts = [sample_losses(outputs, labels, loss) for outputs, labels in self._chunks(stop)]
        return reduce_losses(parts)[: len(points)]  # all lanes: for fewer, torch uses other instructions

    def _set_weights(self, points: Sequence[Point]) -> None:
        """Compute the weights of every lane; lanes without a point repeat the last one."""
        if self.folded is not None:
            found = self.folded.at(points)
            lanes = [min(lane, len(points) - 1) for lane in range(self.group)]
            self.weights.view(-1, self.group).copy_(found[:, lanes])
            return
        coefficients = _aligned(max(1, self.directions) * self.group).view(-1, self.group)
        for lane in range(self.group):
            for k, coefficient in enumerate(points[min(lane, len(points) - 1)]):
                coefficients[k, lane] = coefficient
        self.native.lanes_weights(
            self.group, self.center.data_ptr(), self.steps.data_ptr(), self.directions, len(self.center),
            coefficients.data_ptr(), self.weights.data_ptr(),
        )  # fmt: skip

    def _chunks(self, stop: Stop | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores (classes, images, lanes) with their labels, a few blocks at a time."""
        threads = torch.get_num_threads()
        size = self.chunk * threads
        for start in range(0, len(self.objective.images), size):
            if stop is not None and stop():
                raise Stopped
            outputs = self._outputs(_channels_last(self.objective.samples(start, start + size)), threads)
            labels = self.objective.labels[start : start + size]
            yield from zip(outputs, torch.split(labels, outputs[0].shape[1]), strict=True)

    def _outputs(self, images: Tensor, threads: int) -> list[Tensor]:
        """Scores of `images`, divided among `threads`; every image is computed alone, so the bits stay the same."""
        self._grow_workspaces(threads)
        blocks = -(-len(images) // self.program.block)
        shares = torch.split(images, self.chunk if self.whole_batches else self.program.block * -(-blocks // threads))
        if len(shares) == 1:
            return [self._run(shares[0], self.workspaces[0])]
        with ThreadPoolExecutor(len(shares)) as pool:
            return list(pool.map(self._run, shares, self.workspaces[: len(shares)]))

    def _grow_workspaces(self, threads: int) -> None:
        program = self.program
        while len(self.workspaces) < threads:
            sizes = (program.lines, program.outer_lines, program.state_lines)
            inner, outer, states = (_aligned(lines * self.group) for lines in sizes)
            self.workspaces.append((inner, outer, states))

    def _run(self, images: Tensor, workspaces: Workspaces) -> Tensor:
        """Scores (classes, images, lanes), computed natively; the GIL is released meanwhile."""
        program = self.program
        outputs = _aligned(program.scores * len(images) * self.group)
        given = native.Run(
            program=program.instructions.data_ptr(),
            stretches=program.stretches.data_ptr(),
            stretch_count=len(program.stretches),
            weights=self.weights.data_ptr(),
            tables=program.tables.data_ptr(),
            images=images.data_ptr(),
            count=len(images),
            numbers=images[0].numel(),
            input=program.input,
            outer_block=program.block,
            workspace=workspaces[0].data_ptr(),
            outer=workspaces[1].data_ptr(),
            outputs=outputs.data_ptr(),
            scores=program.scores,
            output=program.output,
            statistics=workspaces[2].data_ptr(),
        )
        self.native.lanes_run(self.group, ctypes.byref(given))
        return outputs.view(program.scores, len(images), self.group)


def _channels_last(images: Tensor) -> Tensor:
    """(N, height, width, channels) or (N, numbers), contiguous, as the kernels read them."""
    return (images.permute(0, 2, 3, 1) if images.ndim == 4 else images).contiguous()


def _vectors(weights: Sequence[Affine], directions: int) -> tuple[Tensor, Tensor]:
    """Center and steps of all packed weights, rounded once: (P,) and (directions, P)."""
    center = torch.cat([weight.center for weight in weights]).float()
    steps = torch.zeros(directions, len(center))
    start = 0
    for weight in weights:
        for k, step in enumerate(weight.steps):
            if step is not None:
                steps[k, start : start + len(step)] = step
        start += len(weight.center)
    return center, steps


def _aligned(count: int) -> Tensor:
    """Uninitialized float32 numbers at an address aligned for vectors."""
    padded = torch.empty(count + ALIGNMENT // 4)
    skip = -padded.data_ptr() % ALIGNMENT // 4
    return padded[skip : skip + count]
