"""Compiles an objective and directions to a folded, fused network, the input of every back end."""

from collections.abc import Sequence

from torch import Tensor, nn

from ...directions.random import Params
from ...objective.objective import Objective
from .affine import Affine
from .fold import fold, fuse, norms_to_affine_layers
from .layers import Network, lower
from .record import record


def prepare(
    objective: Objective,
    directions: Sequence[Params],
    *,
    folding: bool = True,
    fusing: bool = True,
    recalibrated: bool = False,
) -> Network:
    """The layers of the model of `objective`, affine along `directions`.

    Args:
        folding: fold BatchNorm; False for comparison.
        fusing: attach additions and ReLUs to the layers before them; False for comparison.
        recalibrated: `FoldedWeights.statistics` computes the statistics of BatchNorm at every point.

    Raises:
        Unrecordable: the model cannot be turned into a graph.
    """
    center = _center(objective.model)
    graph = record(objective.model, tuple(objective.images.shape[1:]), objective.dtype)
    names = {index: name for name, index in {**graph.parameters, **graph.buffers}.items()}
    tensors = {index: center[name] for index, name in names.items()} | graph.constants
    dtype = objective.model_dtype
    weights = {
        index: _affine(names.get(index, ""), tensor, directions)
        for index, tensor in tensors.items()
        if tensor.dtype == dtype
    }
    network = lower(graph, weights, {index: tensor for index, tensor in tensors.items() if index not in weights})
    network = fold(network, recalibrated=recalibrated) if folding else network
    network = norms_to_affine_layers(network, recalibrated=recalibrated)
    return fuse(network) if fusing else network


def _center(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_buffers()), **dict(model.named_parameters())}


def _affine(name: str, tensor: Tensor, directions: Sequence[Params]) -> Affine:
    return Affine(_float64(tensor), tuple(_step(direction.get(name)) for direction in directions))


def _step(step: Tensor | None) -> Tensor | None:
    return _float64(step) if step is not None and bool(step.any()) else None


def _float64(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()
