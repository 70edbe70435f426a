"""The original module of a packed network: what it answered when it was packed, compared where the network is used.

A graph is recorded from a module, and may compute something else: a number that `forward` takes from values in Python,
a weight kept from before, a type. Engine and independent value at the center both run the graph; neither would notice.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.graph.graph import Graph, Symbol
from ..engine.tf32 import exact_float32
from ..errors import CheckpointError, first_line
from ..objective.digest import state_digest
from ..objective.objective import copy_of, has_numbers, number_type, type_like
from ..objective.random_state import random_state_kept
from ..parsers.source import printable
from . import ORIGINAL
from .trials import LIMITS, TRIALS, Trial, Tried, batch_of, difference, kept, moved, sketch

EXAMPLE = f"{ORIGINAL}example"
MOST_WORK = 2 * 10**11  # multiply-adds of all trials: up to ten seconds on one core
Facts = dict[str, Any]


def output_name(at: int) -> str:
    """The name in a packed file of the outputs of trial number `at`."""
    return f"{ORIGINAL}outputs/{at}"


def names_of(tried: Tried | None) -> tuple[str, ...]:
    """The names of the tensors that a file keeps of the original module."""
    return () if tried is None else (EXAMPLE, *(output_name(at) for at in range(len(tried.trials))))


def trials_within(batch: int, work: int) -> tuple[Trial, ...]:
    """The trials of a network that computes `batch` samples together at most, with `work` multiply-adds for each."""
    chosen: list[Trial] = []
    total = 0
    for trial in TRIALS:
        total += trial.count * work
        if trial.count <= batch and (total <= MOST_WORK or not chosen):
            chosen.append(trial)
    return tuple(chosen)


def evaluated(
    model: nn.Module, example: Tensor, dtype: torch.dtype, trials: Sequence[Trial]
) -> tuple[Tried, dict[str, Tensor]]:
    """What a copy of `model` answers, in evaluation mode, in its own types, by plain torch.

    Args:
        example: (N, …), as given to `pack`.
        dtype: of the samples in the packed file.

    Returns:
        The trials that it could compute, with finite outputs; and the tensors that the file keeps.

    Raises:
        CheckpointError: the model fails on the example.
    """
    numbers = kept(example.to(dtype))
    own = copy_of(model).eval()
    kind = type_like(example, number_type(own))
    types = {one.dtype.to_real() for one in own.parameters() if has_numbers(one)}
    coarsest = max(types, key=lambda one: torch.finfo(one).eps)
    weights = {name: parameter.detach().clone() for name, parameter in own.named_parameters()}
    found: list[tuple[Trial, Tensor]] = []
    for trial in trials:
        for name, parameter in own.named_parameters():
            parameter.data.copy_(moved(name, weights[name], trial.point))
        x = batch_of(trial, numbers, tuple(example.shape[1:])).to(weights[name].device, kind)
        try:
            with _plainly(own):
                outputs = sketch(own(x), trial.count).float()
        except Exception as error:  # a module may raise anything; noise need not be possible for it
            if trial.samples == "example" and trial.point == 0 and trial.count > 1:
                said = printable(first_line(error), 200)
                raise CheckpointError(f"The model fails on example_input: {said}.") from error
            continue
        if bool(outputs.isfinite().all()):
            found.append((trial, outputs))
    tensors = {output_name(at): outputs for at, (_, outputs) in enumerate(found)}
    precision = str(coarsest).removeprefix("torch.")
    return Tried(precision, tuple(trial for trial, _ in found)), {EXAMPLE: numbers, **tensors}


@contextmanager
def _plainly(model: nn.Module) -> Iterator[None]:
    """Without gradients, autocast (with its copies of weights) and TensorFloat-32; random states are kept."""
    device = next(model.parameters()).device.type
    torch.clear_autocast_cache()
    with random_state_kept(), exact_float32(), torch.no_grad(), torch.autocast(device, enabled=False):
        yield
    torch.clear_autocast_cache()


@dataclass(frozen=True, eq=False)
class Original:
    """What a packed file keeps of the original module."""

    tried: Tried
    numbers: Tensor  # (n,), of the example
    outputs: tuple[Tensor, ...]  # (count, k) for each trial, see `trials.sketch`
    sample: tuple[int, ...]
    limit: float  # of the difference
    digest: str  # of the packed network's state

    def __deepcopy__(self, _: object) -> "Original":
        return self

    @classmethod
    def of(
        cls, module: nn.Module, graph: Graph, sample: tuple[int, ...], tried: Tried, tensors: Mapping[str, Tensor]
    ) -> "Original":
        """From the tensors of a file, for the network that it holds."""
        outputs = tuple(tensors[output_name(at)] for at in range(len(tried.trials)))
        limit = max(LIMITS[kind] for kind in (tried.precision, *_coarse_types(graph)))
        return cls(tried, tensors[EXAMPLE], outputs, sample, limit, state_digest(module))

    def compared(self, module: nn.Module) -> Facts:
        """How much a packed network and its original differ, computed now (JSON).

        Returns:
            "differences": of every trial, relative to its largest output, null where the network computes nothing
            finite; "limit" up to which they count as rounding; "precision" of the original; "trials". Or "unverified":
            why there is no comparison.
        """
        if state_digest(module) != self.digest:
            return unverified("its weights were changed after the file was read")
        largest = getattr(module, "largest_batch", math.inf)
        pairs = [pair for pair in zip(self.tried.trials, self.outputs, strict=True) if pair[0].count <= largest]
        if not pairs:
            return unverified("it gave no finite outputs for the example when it was packed")
        weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
        device = next(iter(weights.values())).device
        found = []
        for trial, expected in pairs:
            x = batch_of(trial, self.numbers, self.sample).to(device)
            at = {name: moved(name, weight, trial.point) for name, weight in weights.items()} if trial.point else {}
            with _plainly(module):
                found.append(_difference(module, at, x, expected))
        return {
            "trials": [[trial.samples, trial.count, trial.point] for trial, _ in pairs],
            "differences": [worst if math.isfinite(worst) else None for worst in found],
            "limit": self.limit,
            "precision": self.tried.precision,
        }


def unverified(reason: str) -> Facts:
    """The facts of a network that cannot be compared with its original."""
    return {"unverified": reason}


def _difference(module: nn.Module, at: Mapping[str, Tensor], x: Tensor, expected: Tensor) -> float:
    try:
        outputs = torch.func.functional_call(module, dict(at), (x,))
        return difference(sketch(outputs, len(x)), expected)
    except Exception:  # a lookup out of range, say: the original computed it, so the two differ
        return math.inf


def differs(facts: Facts) -> bool:
    """Whether the facts of `Original.compared` are those of two networks."""
    return any(worst is None or worst > facts["limit"] for worst in facts.get("differences", ()))


def _coarse_types(graph: Graph) -> set[str]:
    """Types of 16 bits in which a graph computes."""
    named = [part for node in graph.nodes for part in (*node.arguments, *node.options.values())]
    return {part.name for part in named if isinstance(part, Symbol) and part.name in ("float16", "bfloat16")}


def require_same(facts: Facts) -> None:
    """Refuse a graph that computes something else than its module, before it is written.

    Raises:
        CheckpointError: it does; the message says where, and what to change.
    """
    if not differs(facts):
        return
    limit = facts["limit"]
    wrong = [
        (trial, worst)
        for trial, worst in zip(facts["trials"], facts["differences"], strict=True)
        if worst is None or worst > limit
    ]
    (samples, count, _), worst = wrong[0]
    size = "is not finite" if worst is None else f"differs by {worst:.2g} of its largest output"
    if all(point for (_, _, point), _ in wrong):
        reason = "for other weights only: forward() uses numbers made from its weights earlier, or outside of torch"
    else:
        reason = "so forward() does more than call operators of torch on its samples"
    batch = f"a batch of {count} samples" if count > 1 else "one sample"
    raise CheckpointError(
        f"The recorded network is not the model: for {batch} ({samples}) it {size}, {reason}. Compute everything in "
        "forward() by operators of torch, from the samples and self's parameters: no .numpy(), .tolist(), or tensors "
        "kept from an earlier call."
    )
