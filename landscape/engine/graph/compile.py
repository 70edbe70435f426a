"""From an objective and directions to a folded, fused network: what every back end starts from.

Imports record, layers, fold, moving and the objective.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ...directions.random import Params
from ...objective.objective import Objective
from .affine import Moving
from .fold import fold, fuse, settle
from .layers import Network, lower
from .record import record


def prepare(
    objective: Objective,
    directions: Sequence[Params],
    *,
    folding: bool = True,
    fusing: bool = True,
    fresh: bool = False,
) -> Network:
    """The layers of the model of `objective`, moving along `directions`; the first two switches are for comparison.

    Args:
        fresh: the statistics of BatchNorm are given anew at every point, by `PointwiseFlat.statistics`.

    Raises:
        Unrecordable: the model cannot be turned into a graph.
    """
    center = _center(objective.model)
    graph = record(objective.model, tuple(objective.images.shape[1:]), objective.dtype)
    names = {index: name for name, index in {**graph.parameters, **graph.buffers}.items()}
    tensors = {index: center[name] for index, name in names.items()} | graph.constants
    dtype = next(objective.model.parameters()).dtype
    weights = {
        index: _moving(names.get(index, ""), tensor, directions)
        for index, tensor in tensors.items()
        if tensor.dtype == dtype
    }
    network = lower(graph, weights, {index: tensor for index, tensor in tensors.items() if index not in weights})
    network = settle(fold(network, fresh=fresh) if folding else network, fresh=fresh)
    return fuse(network) if fusing else network


def _center(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_buffers()), **dict(model.named_parameters())}


def _moving(name: str, tensor: Tensor, directions: Sequence[Params]) -> Moving:
    return Moving(_double(tensor), tuple(_step(direction.get(name)) for direction in directions))


def _step(step: Tensor | None) -> Tensor | None:
    return _double(step) if step is not None and bool(step.any()) else None


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()
