"""Records any `nn.Module` as a graph of the ATen operators that it calls.

The module runs three times on a few blank samples, at three batch sizes; a number that is linear in the batch size
becomes a `Size`. The expensive operators are not computed (stand_ins.py). It never changes the module. Operators that
depend on values, draw random numbers or write through views are `Unrecordable`: such networks run plainly.

Measured: 0.1–0.3 s for ResNet-56, where torch.export with decompositions takes 3.9 s.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ...objective.watching import Watching
from .graph import Argument, Graph, Node, Ref, Size, Symbol
from .preconditions import require_safe
from .stand_ins import STAND_INS

BATCHES = (3, 5, 8)


class Unrecordable(Exception):
    """The module cannot be turned into a graph; the message says why."""


def record(model: nn.Module, sample_shape: tuple[int, ...], dtype: torch.dtype) -> Graph:
    """The graph of `model` on samples of `sample_shape` (without the batch) and type `dtype`, in its current mode.

    Raises:
        Unrecordable: its operators depend on values, on random numbers, or nonlinearly on the batch size.
    """
    try:
        return generalize([_trace(model, (batch, *sample_shape), dtype) for batch in BATCHES], BATCHES).pruned()
    except Unrecordable:
        raise
    except Exception as error:  # any error of a user's module; the plain loop will raise it too if it matters
        raise Unrecordable(f"{type(error).__name__}: {error}") from error


def _trace(model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> Graph:
    parameters = {name: tensor.detach() for name, tensor in model.named_parameters()}
    buffers = {name: tensor.detach() for name, tensor in model.named_buffers()}
    device = next(iter({**parameters, **buffers}.values()), torch.empty(0)).device
    x = torch.zeros(shape, dtype=dtype, device=device)
    recorder = _Recorder(x, parameters, buffers)
    attention = torch.nn.attention.sdpa_kernel(
        torch.nn.attention.SDPBackend.MATH
    )  # the other back ends are for one kind of device
    with torch.no_grad(), attention, recorder:
        output = torch.func.functional_call(model, {**parameters, **buffers}, (x,))
    return recorder.graph(output)


class _Recorder(Watching):  # type: ignore[no-untyped-call]
    def __init__(self, x: Tensor, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]):
        super().__init__()
        self.index: MutableMapping[Tensor, int] = WeakTensorKeyDictionary()
        self.shapes: list[tuple[int, ...]] = []
        self.nodes: list[Node] = []
        self.constants: dict[int, Tensor] = {}
        self.input = self._new(x)
        self.parameters = {name: self._new(tensor) for name, tensor in parameters.items()}
        self.buffers = {name: self._new(tensor) for name, tensor in buffers.items()}
        self.given = len(self.shapes)

    def graph(self, output: object) -> Graph:
        if not isinstance(output, Tensor) or output not in self.index:
            raise Unrecordable(f"the model returns {type(output).__name__}, not one tensor")
        shapes: dict[int, tuple[int | Size, ...]] = dict(enumerate(self.shapes))
        return Graph(
            self.input, self.parameters, self.buffers, self.constants, tuple(self.nodes), self.index[output], shapes
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Unrecordable(f"{func} draws random numbers")
        if func is torch.ops.aten.squeeze.default:  # would remove the batch of a single sample too
            func, args = (
                torch.ops.aten.squeeze.dims,
                (args[0], [at for at, size in enumerate(args[0].shape) if size == 1]),
            )
        arguments = tuple(self._encode(argument) for argument in args)
        options = {name: self._encode(argument) for name, argument in kwargs.items()}
        target = self._functional(func, args)
        require_safe(str(target), args, kwargs)  # the stand-ins do not look at their arguments
        results = STAND_INS.get(func, func)(*args, **kwargs)
        self.nodes.append(Node(str(target), arguments, options, self._results(results)))
        return results

    def _results(self, results: Any) -> tuple[int | None, ...]:
        every = results if isinstance(results, tuple | list) else (results,)
        for result in every:
            if result is not None and not isinstance(result, Tensor):
                raise Unrecordable(f"an operator returns {type(result).__name__}, which depends on values")
        return tuple(None if result is None else self._new(result) for result in every)

    def _functional(self, func: Any, args: tuple[Any, ...]) -> Any:
        """The operator, or the functional variant of one that writes into its first argument."""
        if not func._schema.is_mutable or func is torch.ops.aten.native_batch_norm.default:
            return func
        name = func._schema.name.removeprefix("aten::")
        if not name.endswith("_") or not isinstance(args[0], Tensor):
            raise Unrecordable(f"{func} writes into its arguments")
        self._require_alone(args[0], func)
        return getattr(getattr(torch.ops.aten, name[:-1]), func._overloadname)

    def _require_alone(self, tensor: Tensor, func: Any) -> None:
        storage = tensor.untyped_storage()._cdata
        shared = [other for other in self.index if other.untyped_storage()._cdata == storage]
        if self.index[tensor] < self.given or len(shared) > 1 or self.index[tensor] in self.constants:
            raise Unrecordable(f"{func} writes into a tensor that is used elsewhere")

    def _encode(self, argument: Any) -> Argument:
        if isinstance(argument, Tensor):
            return Ref(self._known(argument))
        if isinstance(argument, tuple | list):
            return tuple(self._encode(item) for item in argument)
        if isinstance(argument, torch.device):
            return Symbol("device")
        if isinstance(argument, torch.dtype | torch.layout | torch.memory_format):
            return Symbol(str(argument).removeprefix("torch."))
        if argument is None or type(argument) in (bool, int, float, str):
            return argument  # type: ignore[no-any-return]
        raise Unrecordable(f"an operator takes {type(argument).__name__}")

    def _known(self, tensor: Tensor) -> int:
        if tensor not in self.index:
            self.constants[self._new(tensor)] = tensor
        return self.index[tensor]

    def _new(self, tensor: Tensor) -> int:
        self.index[tensor] = len(self.shapes)
        self.shapes.append(tuple(tensor.shape))
        return self.index[tensor]


def generalize(graphs: list[Graph], batches: tuple[int, ...]) -> Graph:
    """One graph with a symbolic batch from the graphs of the same module at `batches`.

    Raises:
        Unrecordable: the graphs differ in more than numbers that are linear in the batch size.
    """
    first, merge = graphs[0], _Merge(batches)
    if len({tuple(node.operator for node in graph.nodes) for graph in graphs}) > 1:
        raise Unrecordable("the operators depend on the batch size")
    nodes = [
        Node(same[0].operator, merge([node.arguments for node in same]), merge_options(same, merge), same[0].results)
        for same in zip(*(graph.nodes for graph in graphs), strict=True)
    ]
    if any(graph.output != first.output or graph.constants.keys() != first.constants.keys() for graph in graphs):
        raise Unrecordable("the tensors depend on the batch size")
    shapes = {index: merge([graph.shapes[index] for graph in graphs]) for index in first.shapes}
    return Graph(
        first.input, first.parameters, first.buffers, _same_constants(graphs), tuple(nodes), first.output, shapes
    )


def merge_options(nodes: tuple[Node, ...], merge: Callable[[list[Any]], Any]) -> dict[str, Argument]:
    """The options of one node at several batch sizes, each made one by `merge`."""
    return {name: merge([node.options[name] for node in nodes]) for name in nodes[0].options}


def _same_constants(graphs: list[Graph]) -> dict[int, Tensor]:
    first = graphs[0].constants
    for graph in graphs[1:]:
        if any(not _equal(tensor, graph.constants[index]) for index, tensor in first.items()):
            raise Unrecordable("a constant depends on the batch size")
    return first


def _equal(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and torch.equal(one, other))


class _Merge:
    """Merges the values of one argument at several batch sizes."""

    def __init__(self, batches: tuple[int, ...]):
        self.batches = batches

    def __call__(self, versions: list[Any]) -> Any:
        first = versions[0]
        if all(type(version) is type(first) and version == first for version in versions):
            return first
        if all(isinstance(version, tuple) and len(version) == len(first) for version in versions):
            return tuple(self(list(same)) for same in zip(*versions, strict=True))
        if all(type(version) is int for version in versions):
            return self._size(versions)
        raise Unrecordable(f"an argument depends on the batch size: {versions}")

    def _size(self, versions: list[int]) -> Size:
        size = Size(slope := (versions[1] - versions[0]) // (self.batches[1] - self.batches[0]), 0)
        size = Size(slope, versions[0] - size.at(self.batches[0]))
        if [size.at(batch) for batch in self.batches] != versions:
            raise Unrecordable(f"a size is not linear in the batch size: {versions} at {self.batches}")
        return size
