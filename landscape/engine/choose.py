"""Chooses the back end of a plan and its settings, a small JSON object, by a fixed rule."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import UnknownNameError
from ..objective.objective import Objective, depends_on_batch, double_batch
from . import native
from .cost import fused_time, lanes_time
from .fused import amx, batch_statistics, onednn, winograd
from .fused.amx import Amx
from .fused.batch_statistics import BatchStatistics
from .fused.conv_chains import ConvChains
from .fused.cuda_graph import CudaGraphPlan
from .fused.kernels import Kernel
from .fused.onednn import OneDnn
from .fused.plan import FusedPlan
from .fused.torch_layers import TorchLayers
from .fused.winograd import Winograd
from .graph.layers import Network
from .lanes.perceptron import NotAPerceptron, PerceptronPlan, pack
from .lanes.plan import LanesPlan
from .lanes.program import NotInLanes, compile_network
from .protocol import Choice, RecordedPlan, StatisticsPlan

ENGINES = ("plain", "fused", "lanes", "perceptron", "captured")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
BATCH_NUMBERS = 4_194_304  # 16 MiB in float32: 256 images of CIFAR's shape with 16 channels
SMALL_BATCH_NUMBERS = 1_048_576  # beyond `FEW` images
FEW = {
    "winograd": 64,
    "float32": 128,
    "bfloat16": 256,
}  # images; faster kernels need smaller batches to stay in the cache; 16-bit numbers are half as large
GPU_BATCHES = tuple(2**power for power in range(14))
GPU_BATCH_NUMBERS = 67_108_864  # 256 MiB in float32: 4096 images of CIFAR's shape with 16 channels; not measured
BATCH_BLOCK = 24  # images, for batch statistics: a batch of 256 is padded to 264
MOST_LINES = 1 << 21  # lines for the values of such a batch: 128 MiB
LANES_NUMBERS = 1 << 28  # weights of a perceptron for all lanes: 1 GiB
LANE_BLOCK = 96  # at most; wide layers take fewer (lanes/allocation.py)


def default_choice(
    objective: Objective, network: Network, precision: str | None = None, *, calibrated: bool = False
) -> Choice:
    """The choice of the fixed rule: the same for the same network, data and directions on the same kind of machine.

    Args:
        calibrated: BatchNorm is recalibrated at every point, so the first pass uses batch statistics.
    """
    if objective.images.device.type == "cuda":
        batch = objective.batch if depends_on_batch(objective.model) else gpu_batch(network)
        return {"engine": "captured", "batch": batch, "precision": precision or "float32"}
    vectors = native.best_instruction_set() if _native(objective) else None
    statistics = (
        {"normed": vectors} if vectors and (calibrated or batch_statistics.has_batch_statistics(network)) else {}
    )
    if precision == "bfloat16":
        batch = fused_batch(network, few=FEW["bfloat16"])
        groups = [part.group for part in amx.segments(network)] if native.has_amx() and _native(objective) else []
        choice = {"engine": "fused", "batch": max([batch, *groups]), "precision": "bfloat16"}
        return choice | statistics | ({"amx": True} if groups else {})
    if vectors in winograd.WIDE_SETS and _is_perceptron(objective, network, native.width(vectors)):
        return {"engine": "perceptron", "instruction_set": vectors}
    if vectors and _lanes_win(objective, network, native.width(vectors)):
        block = BATCH_BLOCK if batch_statistics.has_batch_statistics(network) else LANE_BLOCK
        return {"engine": "lanes", "instruction_set": vectors, "block": block}
    if vectors and winograd.pays_off(network, vectors):
        batch = _batch(objective, network, few=FEW["winograd"])
        return {"engine": "fused", "batch": batch, "precision": "float32", "winograd": vectors} | statistics
    return {
        "engine": "fused",
        "batch": _batch(objective, network, few=FEW["float32"]),
        "precision": "float32",
    } | statistics


def _batch(objective: Objective, network: Network, *, few: int) -> int:
    """A batch that suits the cache, or the objective's own if BatchNorm makes the values depend on it."""
    if depends_on_batch(objective.model):
        return objective.batch
    return double_batch(_largest(network)) if objective.dtype == torch.float64 else fused_batch(network, few=few)


def fused_batch(network: Network, *, few: int) -> int:
    """The largest of `BATCHES` whose largest activation fits the cache; above `few` images the limit is stricter."""
    numbers = _largest(network)
    fitting = (
        batch for batch in BATCHES if batch * numbers <= (BATCH_NUMBERS if batch <= few else SMALL_BATCH_NUMBERS)
    )
    return max(fitting, default=1)


def gpu_batch(network: Network) -> int:
    """The largest batch whose largest activation stays within `GPU_BATCH_NUMBERS`: enough to fill a device."""
    numbers = _largest(network)
    return max((batch for batch in GPU_BATCHES if batch * numbers <= GPU_BATCH_NUMBERS), default=1)


def _largest(network: Network) -> int:
    """Count of numbers per sample in the largest activation."""
    return max(math.prod(shape) for shape in network.shapes.values() if shape is not None)


def _native(objective: Objective) -> bool:
    """Whether the native kernels support the objective: float32 on the CPU."""
    return objective.images.device.type == "cpu" and objective.dtype == torch.float32


def _is_perceptron(objective: Objective, network: Network, lanes: int) -> bool:
    try:
        weights = pack(network, lanes).weights
    except NotAPerceptron:
        return False
    numbers = lanes * sum(weight.center.numel() for weight in weights)  # as many points are in memory at once
    return objective.labels.ndim == 1 and numbers <= LANES_NUMBERS


def _lanes_win(objective: Objective, network: Network, lanes: int) -> bool:
    """Whether the lanes are estimated faster and support every layer; compiles a program only if they are faster."""
    estimated = lanes_time(network, lanes) <= fused_time(network, lanes)
    return estimated and objective.labels.ndim == 1 and lanes_take(objective, network)


def lanes_take(objective: Objective, network: Network) -> bool:
    """Whether the lanes support every layer, and a batch with shared statistics fits into memory."""
    try:
        batch = min(objective.batch, len(objective.images))
        program = compile_network(network, filters=4, block=BATCH_BLOCK, batch=batch)
    except NotInLanes:
        return False
    return not program.states or program.outer_lines <= MOST_LINES


def build(objective: Objective, network: Network, directions: int, choice: Mapping[str, Any]) -> RecordedPlan:
    """The plan that `choice` describes.

    Raises:
        UnknownNameError: the engine is not known, or this machine lacks an instruction set that `choice` names.
        NotAPerceptron: the engine is "perceptron", and the network is none.
        NotInLanes: the engine is "lanes", and there is no kernel for a layer.
    """
    engine = choice["engine"]
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if engine == "lanes":
        vectors, block = str(choice["instruction_set"]), int(choice["block"])
        return LanesPlan(objective, network, directions, instruction_set=vectors, block=block)
    if engine == "perceptron":
        return PerceptronPlan(objective, network, directions, instruction_set=str(choice["instruction_set"]))
    batch, precision = int(choice["batch"]), str(choice.get("precision", "float32"))
    if engine == "captured":
        kernels = kernels_of(objective, network, batch=batch, precision=precision)
        return CudaGraphPlan(objective, network, directions, kernels, batch=batch, precision=precision)
    kernels = kernels_of(objective, network, batch=batch, precision=precision, choice=choice)
    return FusedPlan(objective, network, directions, kernels, batch=batch, precision=precision)


def statistics_plan(
    objective: Objective, network: Network, directions: int, choice: Mapping[str, Any]
) -> StatisticsPlan:
    """The plan that computes BatchNorm statistics for the plan of `choice`, with the same instruction set.

    Args:
        objective: has all samples in one batch.
        network: its BatchNorm uses batch statistics.

    Raises:
        UnknownNameError: this machine lacks an instruction set that `choice` names.
    """
    named = (choice.get(name) for name in ("normed", "winograd", "instruction_set"))
    vectors = next((str(name) for name in named if name), None)  # so that all processes agree
    native_statistics = batch_statistics.has_batch_statistics(network)
    if choice["engine"] == "lanes" and native_statistics and lanes_take(objective, network):
        return LanesPlan(objective, network, directions, instruction_set=str(vectors), block=BATCH_BLOCK)
    tiled = vectors is not None and winograd.pays_off(network, vectors)
    batch = objective.batch
    found = {"winograd": vectors if tiled else None, "normed": vectors if native_statistics else None}
    kernels = kernels_of(objective, network, batch=batch, precision="float32", choice=found)
    return FusedPlan(objective, network, directions, kernels, batch=batch)


def kernels_of(
    objective: Objective, network: Network, *, batch: int, precision: str, choice: Mapping[str, Any] | None = None
) -> list[Kernel]:
    """The kernels of a fused plan, in order of preference.

    oneDNN and the native kernels compute with float32 parameters on a CPU: Winograd and chains in float32, AMX in
    bfloat16. Torch computes the other layers.

    Args:
        choice: may name native kernels; none by default.

    Raises:
        UnknownNameError: this machine lacks a kernel that `choice` names.
    """
    named, half = choice or {}, precision == "bfloat16"
    dtype = objective.model_dtype  # samples may be integers
    usable = objective.images.device.type == "cpu" and dtype == torch.float32
    usable = usable and onednn.available(torch.bfloat16 if half else torch.float32)
    vectors = named.get("winograd") if usable and precision == "float32" else None
    tiled = [] if vectors is None else [Winograd(network, vectors)]
    statistics = BatchStatistics(network, named.get("normed"), tiled[0].lanes if tiled else 0, usable=usable)
    first: list[Kernel] = [Amx(network, usable=usable)] if half and named.get("amx") else []
    if tiled and not statistics.results:
        first.append(ConvChains(network, tiled[0].lanes))
    samples, alone = min(batch, len(objective.images)), not (first or tiled)
    last: list[Kernel] = [OneDnn(network, samples, half=half, alone=alone)] if usable else []
    return [*first, statistics, *tiled, *last, TorchLayers(network, half=half)]
