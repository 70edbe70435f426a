"""The plan for multilayer perceptrons: twelve samples pass through all layers while in the first-level cache.

One point at a time with its filters in the SIMD lanes, weights packed once per plan, bias and ReLU part of a layer; the
losses of sixteen points are one call. The first layer is affine in the coefficients, so it is computed at the center
and along the directions only, not at every point.

Measured on digits, 64-128-128-10, one thread, in turns: 1.5× the lanes, 4× the plain loop (docs/performance.md,
attempt 11). Off: `choice={"engine": "lanes", …}` or `{"engine": "fused", …}`.
"""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...errors import UnknownNameError
from ...objective.objective import Objective, Value
from ...stop import Stop, Stopped
from .. import native
from ..graph.affine import Affine
from ..graph.flat import FlatWeights, Statistics
from ..graph.fold_at_point import folded_lane_weights
from ..graph.layers import Layer, Network
from .loss_reduction import reduce_losses, sample_losses

MULTIPLE = 16  # channels and filters are padded to a multiple, so that the vector width does not change the bits
CHUNK = 3072  # samples between calls of `stop`
CACHED_NUMBERS = 8_388_608  # numbers of the first layer that are kept from call to call: 32 MiB


class NotAPerceptron(Exception):
    """The network is not a sequence of linear layers with ReLUs between them."""


@dataclass(frozen=True)
class Packed:
    """Input of the native module: layers as (channels, filters, relu, weight, bias), and the list of weights."""

    layers: Tensor  # (n, 5) int64
    weights: tuple[Affine, ...]
    scores: int


def pack(network: Network, lanes: int) -> Packed:
    """The layers of `network` for vectors of `lanes` numbers.

    Raises:
        NotAPerceptron: it has other layers, or is not a chain.
    """
    current, offset, scores = network.input, 0, 0
    layers: list[list[int]] = []
    weights: list[Affine] = []
    for layer in network.layers:
        if layer.inputs != (current,) or layer.kind not in ("linear", "flatten"):
            raise NotAPerceptron(layer.kind)
        current = layer.result
        if layer.kind == "flatten" and (layers or len(layer.settings["shape"]) != 1):
            raise NotAPerceptron("a shape in between")
        if layer.kind == "linear":
            weight, bias = _padded(layer, lanes)
            filters, channels = (_rounded_up(size) for size in _matrix(layer).center.shape)
            layers.append([channels, filters, int(layer.relu), offset, offset + filters * channels])
            weights += [weight, bias]
            offset, scores = offset + filters * (channels + 1), len(_matrix(layer).center)
    if current != network.output or not layers:
        raise NotAPerceptron("no linear layer")
    return Packed(torch.tensor(layers, dtype=torch.int64), tuple(weights), scores)


def _matrix(layer: Layer) -> Affine:
    weight = layer.weights[0]
    assert weight is not None
    return weight


def _padded(layer: Layer, lanes: int) -> tuple[Affine, Affine]:
    """Weight as (block of filters, channel, filter in the block) and bias, both padded with zeros and flattened."""
    weight, bias = _matrix(layer), layer.weights[1]
    if weight.center.ndim != 2:
        raise NotAPerceptron("a weight that is not a matrix")
    bias = bias or weight.map(lambda tensor: torch.zeros_like(tensor[:, 0]))
    filters, channels = (_rounded_up(size) for size in weight.center.shape)
    width = lanes if filters % (2 * lanes) else 2 * lanes

    def blocks(tensor: Tensor) -> Tensor:
        filled = pad(tensor, (0, channels - tensor.shape[1], 0, filters - len(tensor)))
        return filled.view(-1, width, channels).transpose(1, 2).flatten()

    return weight.map(blocks), bias.map(lambda tensor: pad(tensor, (0, filters - len(tensor))))


def _rounded_up(size: int) -> int:
    return size + -size % MULTIPLE


class PerceptronPlan:
    """Linear layers with ReLUs in float32 on the CPU; best called with `group` points at a time.

    Raises:
        UnknownNameError: this machine or this build lacks the instruction set.
        NotAPerceptron: the network has other layers, or is not a chain.
    """

    name = "perceptron"
    group = 16

    def __init__(self, objective: Objective, network: Network, directions: int, *, instruction_set: str):
        loaded = native.library()
        self.lanes = native.width(instruction_set)
        if loaded is None or not self.lanes:
            raise UnknownNameError("instruction set on this machine", instruction_set, native.instruction_sets())
        self.native: ctypes.CDLL = loaded
        self.rows = int(loaded.perceptron_rows(self.lanes))
        self.objective, self.directions = objective, directions
        self.choice = {"engine": "perceptron", "instruction_set": instruction_set}
        self.packed = pack(network, self.lanes)
        self.flat = FlatWeights(self.packed.weights, directions, dtype=torch.float32, device=torch.device("cpu"))
        self.steps = torch.stack(self.flat.steps) if directions else torch.zeros(0, len(self.flat.center))
        self.buffer = torch.empty(self.group, len(self.flat.center))
        self.folded = folded_lane_weights(network, lambda numbered: pack(numbered, self.lanes).weights, directions)
        self.first = None if self.folded else _first_layer_terms(network, directions)
        self.cache: dict[int, Tensor] = {}

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            MemoryError: an allocation failed.
        """
        groups = [points[start : start + self.group] for start in range(0, len(points), self.group)]
        with torch.inference_mode():
            return [value for group in groups for value in self._group(group, stop)]

    def use_statistics(self, statistics: Statistics) -> None:
        """Take the running statistics of BatchNorm at every point from `statistics`."""
        if self.folded is not None:
            self.folded.flat.use_statistics(statistics)

    def scores(self, point: Sequence[float], images: Tensor) -> Tensor:
        """The outputs of the network at `point` for n images, (n, classes), in float64.

        Raises:
            MemoryError: an allocation failed.
        """
        with torch.inference_mode():
            return (
                self._outputs([point], self._weights([point]), self._numbers(images), len(images))[..., 0].t().double()
            )

    def _group(self, points: Sequence[Sequence[float]], stop: Stop | None) -> list[Value]:
        given, weights, parts = self.objective, self._weights(points), []
        for start in range(0, len(given.images), CHUNK):
            if stop is not None and stop():
                raise Stopped
            labels = given.labels[start : start + CHUNK]
            outputs = self._outputs(points, weights, self._chunk(start), len(labels))
            parts.append(sample_losses(outputs, labels, given.loss))
        return reduce_losses(parts)[: len(points)]  # all 16: for fewer, torch uses other instructions

    def _weights(self, points: Sequence[Sequence[float]]) -> Tensor:
        """The packed weights at each of `points`."""
        if self.folded is not None:
            return self.folded.at(points).t().contiguous()
        coefficients = torch.zeros(
            self.group, self.directions
        )  # always 16: a product of fewer may be rounded differently
        coefficients[: len(points)] = _coefficients(points)
        return torch.addmm(self.flat.center, coefficients, self.steps, out=self.buffer)

    def _chunk(self, start: int) -> Tensor:
        """The input of the native module for the samples from `start` on, cached if it is small."""
        found = self.cache.get(start)
        if found is None:
            found = self._numbers(self.objective.samples(start, start + CHUNK))
            if found.numel() * -(-len(self.objective.images) // CHUNK) <= CACHED_NUMBERS:
                self.cache[start] = found
        return found

    def _numbers(self, images: Tensor) -> Tensor:
        """The samples, or the results of the first layer along (center, directions), in groups of rows."""
        rows = images.flatten(1)
        if self.first is None:
            return self._in_blocks(rows)
        weight, bias = self.first
        made = torch.addmm(bias, rows, weight).view(len(rows), 1 + self.directions, -1)
        return torch.stack([self._in_blocks(part) for part in made.unbind(1)])

    def _in_blocks(self, rows: Tensor) -> Tensor:
        """(group of rows, block of channels, row, channel in the block), padded with zeros."""
        filled = pad(rows, (0, -rows.shape[1] % MULTIPLE, 0, -len(rows) % self.rows))
        return filled.view(-1, self.rows, filled.shape[1] // self.lanes, self.lanes).transpose(1, 2).contiguous()

    def _outputs(self, points: Sequence[Sequence[float]], weights: Tensor, numbers: Tensor, samples: int) -> Tensor:
        """Scores (classes, samples, group); those beyond `points` are zero. The points are divided among threads."""
        outputs = torch.zeros(self.packed.scores, samples, self.group)
        share = -(-len(points) // min(torch.get_num_threads(), len(points)))

        def run(first: int) -> None:
            self._run(points[first : first + share], weights[first:], numbers, outputs[:, :, first:])

        if share == len(points):
            run(0)
        else:
            with ThreadPoolExecutor() as pool:
                list(pool.map(run, range(0, len(points), share)))
        return outputs

    def _run(self, points: Sequence[Sequence[float]], weights: Tensor, numbers: Tensor, outputs: Tensor) -> None:
        """Write the scores of a few points; the GIL is released meanwhile."""
        packed, coefficients = self.packed, _coefficients(points)
        given = native.Perceptron(
            numbers=numbers.data_ptr(),
            weights=weights.data_ptr(),
            coefficients=coefficients.data_ptr(),
            layers=packed.layers.data_ptr(),
            layer_count=len(packed.layers),
            terms=0 if self.first is None else 1 + self.directions,
            samples=outputs.shape[1],
            scores=packed.scores,
            points=self.group,
            count=len(points),
            weight_stride=weights.stride(0),
            outputs=outputs.data_ptr(),
        )
        if self.native.perceptron_run(self.lanes, ctypes.byref(given)):
            raise MemoryError


def _first_layer_terms(network: Network, directions: int) -> tuple[Tensor, Tensor]:
    """Weight (channels, filters of all terms) and bias of the first layer at the center and along every direction."""
    layer = next(layer for layer in network.layers if layer.kind == "linear")
    weight, bias = _matrix(layer), layer.weights[1]
    biases = [torch.zeros(len(weight.center))] * (1 + directions) if bias is None else _terms(bias)
    return torch.cat(_terms(weight)).t().float().contiguous(), torch.cat(biases).float()


def _terms(weight: Affine) -> list[Tensor]:
    return [weight.center, *(torch.zeros_like(weight.center) if step is None else step for step in weight.steps)]


def _coefficients(points: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor([list(point) for point in points], dtype=torch.float32)
