"""Which back end computes a plan, and how: a small JSON object, chosen by a fixed rule.

Imports layers and the back ends.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import UnknownNameError
from ..objective.batch_norm import depends_on_batch
from ..objective.objective import Objective, double_batch
from . import native
from .cost import fused_time, lanes_time
from .fused import amx, batch_statistics, winograd
from .fused.cuda_graph import CapturedPlan
from .fused.plan import FusedPlan
from .graph.layers import Network
from .lanes.perceptron import NotAPerceptron, PerceptronPlan, pack
from .lanes.plan import LanesPlan
from .lanes.program import NotInLanes, compile_network

# {"engine": "fused", "batch": 64, "precision": "float32", "winograd": "avx512"}
# {"engine": "lanes", "instruction_set": "avx512", "block": 96}
# {"engine": "perceptron", "instruction_set": "avx512"}
Choice = dict[str, Any]

ENGINES = ("plain", "fused", "lanes", "perceptron", "captured")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
BATCH_NUMBERS = 4_194_304  # 16 MiB in float32: 256 images of CIFAR's shape with 16 channels
SMALL_BATCH_NUMBERS = 1_048_576  # beyond `FEW` images
FEW = {
    "winograd": 64,
    "float32": 128,
    "bfloat16": 256,
}  # faster kernels want their numbers nearer, 16-bit ones are half
GPU_BATCHES = tuple(2**power for power in range(14))
GPU_BATCH_NUMBERS = 67_108_864  # 256 MiB in float32: 4096 images of CIFAR's shape with 16 channels; not measured
BATCH_BLOCK = 24  # where the images of a batch share their statistics: 256 of them fill up 264
MOST_LINES = 1 << 21  # of the values of such a batch: 128 MiB
LANE_BLOCK = 96  # at most; wide layers take fewer (places.py)


def default_choice(
    objective: Objective, network: Network, precision: str | None = None, *, calibrated: bool = False
) -> Choice:
    """The choice of the fixed rule: the same for the same network, data and directions on the same kind of machine."""
    if objective.images.device.type == "cuda":
        batch = objective.batch if depends_on_batch(objective.model) else gpu_batch(network)
        return {"engine": "captured", "batch": batch, "precision": precision or "float32"}
    vectors = native.best_instruction_set() if _native(objective) else None
    fresh = {"normed": vectors} if vectors and (calibrated or batch_statistics.pays(network)) else {}
    if precision == "bfloat16":
        batch = fused_batch(network, few=FEW["bfloat16"])
        groups = [part.group for part in amx.segments(network)] if native.has_amx() and _native(objective) else []
        choice = {"engine": "fused", "batch": max([batch, *groups]), "precision": "bfloat16"}
        return choice | fresh | ({"amx": True} if groups else {})
    if vectors in winograd.PAYING and _is_perceptron(objective, network, native.width(vectors)):
        return {"engine": "perceptron", "instruction_set": vectors}
    if vectors and _lanes_win(objective, network, native.width(vectors)):
        block = BATCH_BLOCK if batch_statistics.pays(network) else LANE_BLOCK
        return {"engine": "lanes", "instruction_set": vectors, "block": block}
    if vectors and winograd.pays(network, vectors):
        batch = _batch(objective, network, few=FEW["winograd"])
        return {"engine": "fused", "batch": batch, "precision": "float32", "winograd": vectors} | fresh
    return {"engine": "fused", "batch": _batch(objective, network, few=FEW["float32"]), "precision": "float32"} | fresh


def _batch(objective: Objective, network: Network, *, few: int) -> int:
    """What suits the cache, unless BatchNorm takes its statistics from each batch: another batch is another value."""
    if depends_on_batch(objective.model):
        return objective.batch
    return double_batch(_largest(network)) if objective.dtype == torch.float64 else fused_batch(network, few=few)


def fused_batch(network: Network, *, few: int) -> int:
    """The largest of `BATCHES` whose largest value stays near the cache; more than `few` images must be small."""
    numbers = _largest(network)
    fitting = (
        batch for batch in BATCHES if batch * numbers <= (BATCH_NUMBERS if batch <= few else SMALL_BATCH_NUMBERS)
    )
    return max(fitting, default=1)


def gpu_batch(network: Network) -> int:
    """The largest batch whose largest value stays within `GPU_BATCH_NUMBERS`: enough to fill a device."""
    numbers = _largest(network)
    return max((batch for batch in GPU_BATCHES if batch * numbers <= GPU_BATCH_NUMBERS), default=1)


def _largest(network: Network) -> int:
    """Numbers of one sample in the largest value."""
    return max(math.prod(shape) for shape in network.shapes.values() if shape is not None)


def _native(objective: Objective) -> bool:
    """Whether the native kernels take these numbers: float32 on the CPU."""
    return objective.images.device.type == "cpu" and objective.dtype == torch.float32


def _is_perceptron(objective: Objective, network: Network, lanes: int) -> bool:
    try:
        pack(network, lanes)
    except NotAPerceptron:
        return False
    return objective.labels.ndim == 1


def _lanes_win(objective: Objective, network: Network, lanes: int) -> bool:
    """Whether the lanes are estimated faster and know every layer; a program is compiled only where it would be run."""
    estimated = lanes_time(network, lanes) <= fused_time(network, lanes)
    return estimated and objective.labels.ndim == 1 and lanes_take(objective, network)


def lanes_take(objective: Objective, network: Network) -> bool:
    """Whether the lanes know every layer, and a batch that shares its statistics fits into memory."""
    try:
        batch = min(objective.batch, len(objective.images))
        program = compile_network(network, filters=4, block=BATCH_BLOCK, batch=batch)
    except NotInLanes:
        return False
    return not program.states or program.outer_lines <= MOST_LINES


def build(
    objective: Objective, network: Network, directions: int, choice: Mapping[str, Any]
) -> FusedPlan | LanesPlan | PerceptronPlan:
    """The plan that `choice` describes.

    Raises:
        UnknownNameError: the engine is not known.
    """
    if choice["engine"] not in ENGINES:
        raise UnknownNameError("engine", choice["engine"], ENGINES)
    if choice["engine"] == "lanes":
        settings = {"instruction_set": str(choice["instruction_set"]), "block": int(choice["block"])}
        return LanesPlan(objective, network, directions, **settings)  # type: ignore[arg-type]
    if choice["engine"] == "perceptron":
        return PerceptronPlan(objective, network, directions, instruction_set=str(choice["instruction_set"]))
    precision = str(choice.get("precision", "float32"))
    if choice["engine"] == "captured":
        return CapturedPlan(objective, network, directions, batch=int(choice["batch"]), precision=precision)
    return FusedPlan(
        objective,
        network,
        directions,
        batch=int(choice["batch"]),
        precision=precision,
        instruction_set=choice.get("winograd"),
        tiles=bool(choice.get("amx")),
        normed=choice.get("normed"),
    )
