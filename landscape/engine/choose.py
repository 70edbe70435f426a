"""Which back end computes a plan, and how: a small JSON object, chosen by a fixed rule or by measuring.

Imports layers and the back ends.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import UnknownNameError
from ..objective import Objective
from . import native
from .captured import CapturedPlan
from .cost import fused_time, lanes_time
from .fused import FusedPlan
from .lanes import LanesPlan
from .layers import Network
from .program import NotInLanes, Program, compile_network

# {"engine": "fused", "batch": 128, "precision": "float32"}
# {"engine": "lanes", "instruction_set": "avx512", "block": 96}
Choice = dict[str, Any]

ENGINES = ("plain", "fused", "lanes", "captured")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 512)
BATCH_NUMBERS = 4_194_304  # 16 MiB in float32: 128 images of CIFAR's shape with 32 channels
GPU_BATCHES = tuple(2**power for power in range(14))
GPU_BATCH_NUMBERS = 67_108_864  # 256 MiB in float32: 4096 images of CIFAR's shape with 16 channels; not measured
LANE_BLOCK = 96  # at most; wide layers take fewer (places.py)


def default_choice(objective: Objective, network: Network, precision: str | None = None) -> Choice:
    """The choice of the fixed rule: the same for the same network, data and directions on the same kind of machine."""
    if objective.images.device.type == "cuda":
        return {"engine": "captured", "batch": gpu_batch(network), "precision": precision or "float32"}
    if precision == "bfloat16":
        return {"engine": "fused", "batch": min(64, fused_batch(network)), "precision": "bfloat16"}
    instruction_set = native.best_instruction_set()
    program = _program(objective, network) if instruction_set else None
    if instruction_set and program and lanes_time(program, native.width(instruction_set)) <= fused_time(network):
        return {"engine": "lanes", "instruction_set": instruction_set, "block": LANE_BLOCK}
    return {"engine": "fused", "batch": fused_batch(network), "precision": "float32"}


def fused_batch(network: Network) -> int:
    """The largest of `BATCHES` whose largest value stays near the cache."""
    numbers = max(math.prod(shape) for shape in network.shapes.values() if shape is not None)
    return max((batch for batch in BATCHES if batch * numbers <= BATCH_NUMBERS), default=1)


def gpu_batch(network: Network) -> int:
    """The largest batch whose largest value stays within `GPU_BATCH_NUMBERS`: enough to fill a device."""
    numbers = max(math.prod(shape) for shape in network.shapes.values() if shape is not None)
    return max((batch for batch in GPU_BATCHES if batch * numbers <= GPU_BATCH_NUMBERS), default=1)


def _program(objective: Objective, network: Network) -> Program | None:
    """What the native kernels would run, or None: they take float32 on the CPU and layers they know."""
    images = objective.images
    if images.device.type != "cpu" or images.dtype != torch.float32 or objective.labels.ndim != 1:
        return None
    try:
        return compile_network(network, filters=4, block=LANE_BLOCK)
    except NotInLanes:
        return None


def build(objective: Objective, network: Network, directions: int, choice: Mapping[str, Any]) -> FusedPlan | LanesPlan:
    """The plan that `choice` describes.

    Raises:
        UnknownNameError: the engine is not known.
    """
    if choice["engine"] not in ENGINES:
        raise UnknownNameError("engine", choice["engine"], ENGINES)
    if choice["engine"] == "lanes":
        settings = {"instruction_set": str(choice["instruction_set"]), "block": int(choice["block"])}
        return LanesPlan(objective, network, directions, **settings)  # type: ignore[arg-type]
    precision = str(choice.get("precision", "float32"))
    if choice["engine"] == "captured":
        return CapturedPlan(objective, network, directions, batch=int(choice["batch"]), precision=precision)
    return FusedPlan(objective, network, directions, batch=int(choice["batch"]), precision=precision)
