"""Which back end computes a plan, and how: a small JSON object, chosen by a fixed rule or by measuring.

Imports layers and the back ends.
"""

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import UnknownNameError
from ..objective import Objective
from . import native
from .fused import FusedPlan
from .lanes import LanesPlan
from .layers import Network
from .program import NotInLanes, compile_network

# {"engine": "fused", "batch": 128} or {"engine": "lanes", "instruction_set": "avx512", "block": 24}
Choice = dict[str, Any]

ENGINES = ("plain", "fused", "lanes")
BATCH = 128  # measured: 16–128 images of CIFAR's shape stay in cache, 128 fills oneDNN's threads on small ones
LANE_BLOCK = 96  # at most; wide layers take fewer (places.py)
NARROW = 20.0  # channels; beyond them oneDNN fills its vectors


def default_choice(objective: Objective, network: Network) -> Choice:
    """The choice of the fixed rule: the same for the same network, data and directions on the same kind of machine."""
    instruction_set = native.best_instruction_set()
    if instruction_set and fits_lanes(objective, network) and mean_width(network) <= NARROW:
        return {"engine": "lanes", "instruction_set": instruction_set, "block": LANE_BLOCK}
    return {"engine": "fused", "batch": BATCH}


def fits_lanes(objective: Objective, network: Network) -> bool:
    """Whether the native kernels can compute this objective: float32 on the CPU, every layer known to them."""
    images = objective.images
    if images.device.type != "cpu" or images.dtype != torch.float32 or objective.labels.ndim != 1:
        return False
    try:
        compile_network(network, filters=4, block=LANE_BLOCK)
    except NotInLanes:
        return False
    return True


def mean_width(network: Network) -> float:
    """Filters per convolution, weighted by the work of the convolution."""
    total = weighted = 0.0
    for layer in network.layers:
        shape = network.shapes[layer.result] if layer.kind == "convolution" else None
        weight = layer.weights[0] if shape else None
        if shape and weight is not None:
            work = float(weight.center.numel() * shape[-1] * shape[-2])
            total, weighted = total + work, weighted + work * shape[0]
    return weighted / total if total else 0.0


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
    return FusedPlan(objective, network, directions, batch=int(choice["batch"]))
