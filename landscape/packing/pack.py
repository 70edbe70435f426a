"""`landscape.pack`: writes a custom network as one file without code, to be uploaded like any checkpoint."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..engine.graph.graph import Graph
from ..engine.graph.record import Unrecordable, record
from ..errors import CheckpointError
from ..keywords import checks_keywords
from ..objective.objective import frozen_copy
from ..parsers.source import FileError, printable
from . import CONSTANT, FORMAT
from .dry_run import dry_run
from .graph_json import from_text, to_text
from .module import PackedModule, as_saved
from .original import evaluated, require_same, trials_within

_TYPES = {torch.float32: "float32", torch.float64: "float32", torch.int64: "int64", torch.int32: "int64"}

# What torch notes on a view, to be computed where it is read, is computed at once.
_AT_ONCE = {"aten._conj.default": "aten.conj_physical.default", "aten._neg_view.default": "aten.neg.default"}


@checks_keywords
def pack(model: nn.Module, example_input: Tensor, path: str | Path = "network.safetensors") -> Path:
    """Write `model` as one safetensors file: its weights, and the network as a graph of ATen operators in JSON.

    The engine records the graph (engine/graph/record.py) of the model in evaluation mode; nothing in the file can run
    code. The file is checked as the service will check it, so that problems are reported here. Every size must be
    linear in the batch.

    The file also keeps what the model itself answers, in its own types, for a few batches, at its weights and at others
    near them: the graph must compute the same here, and again at every use. For that it holds up to 1 MiB of the
    numbers of `example_input`.

    Args:
        model: the network; it is not changed.
        example_input: a batch (N, …) of samples for the model: floating, or int64 tokens.
        path: of the file, which is replaced if there is one.

    Returns:
        The path written.

    Raises:
        CheckpointError: the model cannot be written as a graph, uses an operator that is not allowed, or computes
            something else than its graph.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = pack(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3), Path(folder) / "few.safetensors")
    ...     b"aten.relu.default" in path.read_bytes()
    True
    """
    if not isinstance(example_input, Tensor) or example_input.ndim < 2 or example_input.dtype not in _TYPES:
        raise CheckpointError("example_input must be a batch of samples: a tensor (N, …) of float32 or int64.")
    device = next(model.parameters(), example_input).device.type
    with torch.autocast(device, enabled=False):  # it would be recorded, too
        text, tensors = _checked(model, example_input)
    from safetensors.torch import save_file

    metadata = {"format": FORMAT, "graph": text, "name": printable(type(model).__name__, 40)}
    save_file(tensors, path, metadata)
    return Path(path)


def _checked(model: nn.Module, example: Tensor) -> tuple[str, dict[str, Tensor]]:
    """The graph as text, and every tensor the file must hold; read and compared with the model.

    Raises:
        CheckpointError: see `pack`.
    """
    dtype, sample = _TYPES[example.dtype], tuple(example.shape[1:])
    graph, tensors = _graph(model, sample, dtype)
    try:
        found = dry_run(from_text(to_text(graph, sample=sample, dtype=dtype)), tensors)
        trials = trials_within(found.batch, found.work)
        tried, kept = evaluated(model, example, getattr(torch, dtype), trials)
        text, tensors = to_text(graph, sample=sample, dtype=dtype, tried=tried), tensors | kept
        require_same(PackedModule(from_text(text), tensors, batch=found.batch).compared())
    except FileError as error:
        raise CheckpointError(str(error)) from None
    return text, tensors


def _graph(model: nn.Module, sample: tuple[int, ...], dtype: str) -> tuple[Graph, dict[str, Tensor]]:
    """The graph, and every tensor that it reads, by its name in the file."""
    given = model
    fast = torch.backends.mha.get_fastpath_enabled()
    model = frozen_copy(model, torch.float32)
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # it is one fused operator, which is not allowed
        graph = record(model, sample, getattr(torch, dtype))
    except Unrecordable as error:
        raise CheckpointError(f"The model cannot be written as a graph: {printable(str(error), 300)}.") from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    _require_own(graph, given)
    graph = replace(
        graph, nodes=tuple(replace(node, operator=_AT_ONCE.get(node.operator, node.operator)) for node in graph.nodes)
    )
    used = graph.uses()
    buffers = {name: index for name, index in graph.buffers.items() if used[index]}
    constants = {index: tensor for index, tensor in graph.constants.items() if used[index]}
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors = {name: as_saved(state[name]) for name in (*graph.parameters, *buffers)}
    tensors |= {f"{CONSTANT}{index}": as_saved(tensor) for index, tensor in constants.items()}
    return replace(graph, buffers=buffers, constants=constants), tensors


def _require_own(graph: Graph, model: nn.Module) -> None:
    """Refuse a graph that holds a parameter of `model` as a constant: its copy was recorded.

    Raises:
        CheckpointError: forward() reads the parameter otherwise than from its module.
    """
    storages = {tensor.untyped_storage().data_ptr() for tensor in graph.constants.values() if tensor.numel()}
    for name, parameter in model.named_parameters():
        if parameter.numel() and parameter.untyped_storage().data_ptr() in storages:
            raise CheckpointError(
                f"The model reads its parameter {printable(name)!r} from a function or list that holds it, so that its "
                "moves would not be seen. Read it from self in forward()."
            )
