"""A trial on a few samples, before the first point: whether model, samples, labels and loss fit together, and how."""

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError, first_line
from .digest import same_bits
from .objective import Objective, depends_on_batch
from .random_state import random_state_kept, seeded

WAYS = ("off", "on", "samples")  # of `Behaviour.autograd`, the cheapest first
FEW = 8  # samples that are evaluated together and apart
# Relative to the largest loss, two passes over the same samples may differ by this much, in the precision of the model:
AGAIN = {torch.float64: 1e-9, torch.float32: 1e-6}  # in the same batch, where a CPU gives the same bits
APART = {torch.float64: 1e-6, torch.float32: 2e-5}  # in other batches, for which other kernels may be chosen
COARSE = 1e-2  # in a coarser type


def tried(objective: Objective, *, whole: bool = True) -> Objective:
    """The objective with its behaviour, found on a few samples.

    A mismatch so is a clear error before the grid, not a traceback within it.

    Args:
        whole: whether losses that depend on each other are computed over one batch of all samples.

    Raises:
        DataError: the network cannot take the samples, or the loss cannot take its outputs or the labels.
    """
    if objective.loss.scores:
        _require_indices(objective)
    two = replace(objective, images=objective.images[:2].clone(), labels=objective.labels[:2].clone())
    errors: list[Exception] = []
    for autograd in WAYS:
        run = replace(objective.behaviour, autograd=autograd)
        try:
            writes = _run(replace(two, behaviour=run), objective.labels)
        except Exception as error:
            errors.append(error)
        else:
            return _observed(replace(objective, behaviour=replace(run, writes=writes)), whole)
    raise errors[-1] if _is_about_gradients(errors[0]) else errors[0]


def _run(few: Objective, every_label: Tensor) -> bool:
    """Run forward pass and loss; whether they write to samples or labels.

    The samples are converted first, so that those that are written to are those looked at: elsewhere, in another
    precision, the caller's own would be.
    """
    few = replace(few, images=few.images.to(few.dtype))
    before = replace(few, images=few.images.clone(), labels=few.labels.clone())
    with random_state_kept(), few.running():
        samples, labels = few.pair(0, None)
        outputs = _outputs(few, samples)
        if few.loss.scores:
            _require_scores(outputs, every_label)
        _require_losses(few, outputs, labels)
    pairs = zip((few.images, few.labels), (before.images, before.labels), strict=True)
    return any(_version(one) > 0 or not same_bits(one, other) for one, other in pairs)


def _version(tensor: Tensor) -> int:
    """How often it was written to; 0 if torch does not count that."""
    return 0 if tensor.is_inference() else tensor._version


def _outputs(few: Objective, samples: Tensor) -> Any:
    try:
        return few.model(samples)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = first_line(error)
        if _is_about_gradients(error):
            raise DataError(f"The network differentiates inside its forward pass, which failed: {said}") from error
        if few.model_dtype == torch.float64 and "float" in said.lower():
            raise DataError(f"The network cannot be computed in float64: {said}. Use precision='float32'.") from error
        if any(word in said for word in ("dtype", "scalar type", "weight type", "bias type")):
            name = str(few.model_dtype).removeprefix("torch.")
            raise DataError(
                f"The network cannot be computed in {name}: {said}. It names a type in its forward pass; take that of "
                "its weights instead, as x.to(self.weight.dtype) does."
            ) from error
        shape = tuple(few.images.shape[1:])
        raise DataError(f"The network cannot take samples of shape {shape}: {said}") from None


def _require_losses(few: Objective, outputs: Any, labels: Tensor) -> None:
    try:
        few.loss(outputs, labels)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"The loss {few.loss.name!r} failed on the first samples: {first_line(error)}") from error


def _is_about_gradients(error: Exception) -> bool:
    return "grad" in f"{error} {error.__cause__ or ''}".lower()


def _observed(objective: Objective, whole: bool) -> Objective:
    """The objective, with what two passes over the same few samples show, and one in which they are apart."""
    few = replace(objective.first(FEW), batch=FEW)
    kept = list(few.model.buffers())
    marks = [_version(buffer) for buffer in kept]
    first, again, other = (_losses(few, seed) for seed in (0, 0, 1))
    limits = AGAIN if objective.images.device.type == "cpu" else APART  # sums on a GPU have no fixed order
    same = limits.get(objective.model_dtype, COARSE)
    now = list(few.model.buffers())
    written = any(map(operator.is_not, kept, now)) or marks != [_version(buffer) for buffer in now]
    found = replace(objective.behaviour, keeps_state=_differ(first, again, 0.0 if written else same))
    if not found.keeps_state:
        found = replace(found, random=_differ(first, other, same))
    if not (found.keeps_state or found.random or depends_on_batch(objective.model)) and len(first) > 1:
        found = replace(found, together=_depend_on_each_other(few, first))
    count = len(objective.images)
    most = min(count, getattr(objective.model, "largest_batch", count))  # of a packed network
    batch = most if found.together and whole else objective.batch
    return replace(objective, behaviour=found, batch=batch)


def _depend_on_each_other(few: Objective, together: Tensor) -> bool:
    """Whether the losses of a few samples differ if they are evaluated in two halves."""
    try:
        apart = _losses(replace(few, batch=-(-len(together) // 2)), 0)
    except Exception:  # a batch of one sample is no batch for every network
        return False
    return _differ(together, apart, APART.get(few.model_dtype, COARSE))


def _losses(few: Objective, seed: int) -> Tensor:
    """(n,) float64: the losses of a few samples, with all generators seeded."""
    with seeded(seed):
        return few.sample_losses({})


def _differ(one: Tensor, other: Tensor, limit: float) -> bool:
    size = float(one.abs().nan_to_num(0.0, 0.0, 0.0).max())
    return not torch.allclose(one, other, rtol=0.0, atol=limit * size, equal_nan=True)


def _require_indices(objective: Objective) -> None:
    labels = objective.labels
    if labels.ndim != 1 or labels.is_floating_point():
        raise DataError(
            f"The labels have shape {tuple(labels.shape)} and type {labels.dtype}; the loss {objective.loss.name!r} "
            "takes class indices of shape (N,). Pass a callable as the loss for other targets."
        )


def _require_scores(scores: Any, labels: Tensor) -> None:
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise DataError(
            f"The network returns {found}; expected one row of class scores per sample. "
            "Pass a callable as the loss for other outputs."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise DataError(
            f"The data has labels from {low} to {high}; the network has {scores.shape[1]} classes "
            f"(0 to {scores.shape[1] - 1})."
        )
