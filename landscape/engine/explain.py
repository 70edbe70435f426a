"""Explains in one sentence why an engine was chosen for a network, for `landscape bench`.

Restates the comparison of the fixed rule in choose.py; decides nothing.
"""

from collections.abc import Sequence

import torch

from ..directions.random import Params
from ..objective.objective import Objective
from . import native
from .cost import fused_time, lanes_time
from .graph.compile import prepare
from .graph.layers import Network
from .graph.record import Unrecordable
from .lanes.program import NotInLanes, compile_network


def explain(objective: Objective, directions: Sequence[Params], engine: str) -> str:
    """Why `engine` computes the float32 values of `objective`."""
    try:
        network = prepare(objective, directions)
    except Unrecordable as reason:
        return f"plain: the network cannot be recorded as a graph: {reason}"
    if engine == "plain":
        return "plain: the engine's scores did not agree with the plain loop's, or the engine could not run the network"
    if engine == "captured":
        return "captured: the samples lie on a GPU"
    if engine == "perceptron":
        return "perceptron: linear layers one after another, with nothing but ReLUs between them"
    return f"{engine}: {_comparison(objective, network)}"


def _comparison(objective: Objective, network: Network) -> str:
    instruction_set = native.best_instruction_set()
    if instruction_set is None:
        return "the native module is not built, so grid points cannot lie in the vector lanes"
    if objective.images.device.type != "cpu" or objective.dtype != torch.float32:
        return "grid points lie in the vector lanes only for float32 samples on a CPU"
    try:
        compile_network(network, filters=4, block=96, batch=objective.batch)
    except NotInLanes as missing:
        return f"grid points cannot lie in the vector lanes, which have no kernel for {missing}"
    width = native.width(instruction_set)
    lanes, fused = lanes_time(network, width) / 1e3, fused_time(network, width) / 1e3
    return (
        f"by the fixed rule on shapes, a sample at one point takes {lanes:.3g} µs with {width} "
        f"points in the vector lanes ({instruction_set}) and {fused:.3g} µs through fused convolutions"
    )
