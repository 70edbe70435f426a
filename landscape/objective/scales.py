"""Which parameters with several axes are scales or shifts rather than weights: what a forward pass does with them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from .objective import Objective, has_numbers
from .random_state import seeded
from .watching import Watching

NORMALIZATIONS = (
    *("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm", "group_norm", "native_group_norm"),
    *("batch_norm", "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit"),
    *("_native_batch_norm_legit_no_training", "_batch_norm_impl_index", "instance_norm"),
)
WEIGHT_NORMS = ("_weight_norm", "_weight_norm_interface")  # (v, g)
ELEMENTWISE = ("mul", "div", "add", "sub", "rsub", "addcmul", "addcdiv", "pow", "lerp", "where", "maximum", "minimum")


def scales(objective: Objective) -> tuple[str, ...]:
    """Names of the parameters with two axes or more that have no filters, sorted.

    These are the scales and shifts of a normalization (LayerNorm over two axes); and vectors, of several axes all but
    one of which have length one, that are used element by element only (a layer scale (C, 1, 1), weight norm's g). In
    a product of matrices or a convolution such a parameter is a weight: that of `Linear(1, 8)` has the shape (8, 1).
    So it is in an outer product, whose result is larger than both factors.

    One pass over two samples shows it. A parameter that it does not reach, or only by unknown operators, has filters.
    """
    named = objective.model.named_parameters()
    parameters = {name: one for name, one in named if one.ndim > 1 and has_numbers(one)}
    vectors = {name for name, one in parameters.items() if one.numel() == max(one.shape)}
    watch = _Uses(parameters, vectors)
    if len(objective.images) == 1:
        objective = replace(objective, images=objective.images.repeat(2, *[1] * (objective.images.ndim - 1)))
    try:
        _run(objective, watch)
    except Exception:
        _run(objective, nullcontext())  # memory may have run out; else a module that cannot be watched: compiled code
        return ()
    return tuple(sorted((watch.normalizing | watch.elementwise & vectors) - watch.otherwise))


def _run(objective: Objective, watch: AbstractContextManager[Any]) -> None:
    with seeded(0), objective.running():
        samples, _ = objective.pair(0, 2)
        with watch:
            objective.model(samples)


class _Uses(Watching):  # type: ignore[no-untyped-call]
    """Notes which operators take which parameters; of `vectors` also which take their views and functions of them."""

    def __init__(self, parameters: Mapping[str, Tensor], vectors: set[str]):
        super().__init__()
        self._names = {id(one): {name} for name, one in parameters.items()}
        self._alive = list(parameters.values())  # so that ids are not used again
        self._vectors = vectors
        self.normalizing: set[str] = set()
        self.elementwise: set[str] = set()
        self.otherwise: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operator = getattr(func, "overloadpacket", func).__name__.rstrip("_")
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        elementwise = operator in ELEMENTWISE and any(result.numel() == one.numel() for one in given)
        for position, tensor in enumerate(given):
            names = set(self._names.get(id(tensor), ()))
            alone = len(given) == 1 or (elementwise and result.numel() == tensor.numel())
            if position and operator in NORMALIZATIONS:
                self.normalizing |= names
            elif alone:
                self._follow(result, names & self._vectors)
            elif elementwise or (position and operator in WEIGHT_NORMS):
                self.elementwise |= names
            else:
                self.otherwise |= names
        return result

    def _follow(self, result: Any, names: set[str]) -> None:
        for made in tree_leaves(result) if names else ():
            if isinstance(made, Tensor):
                self._names.setdefault(id(made), set()).update(names)
                self._alive.append(made)
