"""From an objective and directions to a folded, fused network: what every back end starts from.

Imports record, layers, fold, moving and the objective.
"""

from collections.abc import Sequence

from torch import Tensor

from ..direction import Params
from ..objective import Objective
from .fold import fold, fuse
from .layers import Network, lower
from .moving import Moving, constant
from .record import record


def prepare(
    objective: Objective, directions: Sequence[Params], *, folding: bool = True, fusing: bool = True
) -> Network:
    """The layers of the model of `objective`, moving along `directions`; the two switches are for comparison.

    Raises:
        Unrecordable: the model cannot be turned into a graph.
    """
    images = objective.images
    graph = record(objective.model, tuple(images.shape[1:]), images.dtype)
    center = {**dict(objective.model.named_buffers()), **dict(objective.model.named_parameters())}
    tensors = {name: _moving(name, tensor, directions) for name, tensor in center.items()}
    constants = {index: constant(tensor, len(directions)) for index, tensor in graph.constants.items()}
    network = lower(graph, tensors, constants)
    network = fold(network) if folding else network
    return fuse(network) if fusing else network


def _moving(name: str, tensor: Tensor, directions: Sequence[Params]) -> Moving:
    return Moving(_double(tensor), tuple(_step(direction.get(name)) for direction in directions))


def _step(step: Tensor | None) -> Tensor | None:
    return _double(step) if step is not None and bool(step.any()) else None


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()
