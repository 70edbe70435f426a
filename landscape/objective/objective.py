"""The objective: mean loss and accuracy of a model on fixed samples, as a function of its parameters.

This is the plain evaluator, the reference for everything in engine/: evaluation mode, no gradients, running statistics
unchanged. The caller's model is never changed.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import DataError, UnknownNameError
from ..keywords import checks_keywords
from ..stop import Stop, Stopped
from .losses import CROSS_ENTROPY, Loss
from .random_state import keeps_random_state

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
BATCH = 256
DOUBLES = 65_536  # numbers in a float64 batch on a CPU: torch unfolds it to nine times its size for a 3 × 3 kernel


class Value(NamedTuple):
    """The value at one point of a landscape; infinities and NaN are results and are kept."""

    loss: float  # mean over the samples, in the unit of the loss: nats for the cross-entropy
    accuracy: float  # share of samples whose largest output is the label, 0 to 1; NaN without class scores
    standard_error: float  # of the mean loss over the samples, same unit; NaN for one sample


def double_batch(numbers: int) -> int:
    """Batch size in float64 on a CPU, where the largest activation has `numbers` numbers per sample.

    Measured: with CIFAR's shape at 16 channels a sample takes 0.28 to 0.33 times as long in batches of 4 as of 256.
    """
    return max(4, min(BATCH, DOUBLES // max(numbers, 1)))


def dtype_of(precision: str) -> torch.dtype:
    """The floating-point type named by `precision`.

    Raises:
        UnknownNameError: the name is not known; the message lists the known ones.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, list(PRECISIONS))
    return PRECISIONS[precision]


def frozen_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `model` in evaluation mode with its numbers in `dtype`; the original is not changed."""
    return converted(copy_of(model).eval(), dtype)


def converted(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """`model` itself, with its numbers in `dtype`, and none of them to be trained.

    Complex numbers get the complex type of that precision: `Module.to` would drop their imaginary parts.
    """
    model._apply(lambda tensor: tensor.to(type_like(tensor, dtype)))  # type: ignore[no-untyped-call]
    return model.requires_grad_(False)


def type_like(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    """The type of `tensor` in the precision of `dtype`: real, complex, or unchanged if its numbers are integers."""
    if tensor.is_complex():
        return dtype.to_complex()
    return dtype if tensor.is_floating_point() else tensor.dtype


def has_numbers(tensor: Tensor) -> bool:
    """Whether its numbers are real or complex, so that they can be moved along a direction; not if integers."""
    return tensor.is_floating_point() or tensor.is_complex()


def number_type(model: nn.Module) -> torch.dtype:
    """Type of the real numbers of `model`: of the first parameter that can be moved, since others may be integers."""
    return next(one.dtype.to_real() for one in model.parameters() if has_numbers(one))


def copy_of(model: nn.Module) -> nn.Module:
    """A deep copy of `model`. Tensors kept from its last forward pass are detached: torch does not copy them."""
    kept = [tensor for part in model.modules() for tensor in vars(part).values() if isinstance(tensor, Tensor)]
    return copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in kept if not tensor.is_leaf})


@dataclass(frozen=True)
class Behaviour:
    """How a forward pass and its loss treat what they are given, as a trial on a few samples showed.

    Attributes:
        autograd: "off"; "on" if they differentiate; "samples" if with respect to the samples.
        writes: they write to samples or labels, so that each batch is a copy.
        together: the loss of a sample depends on the others in its batch, so that the batch is part of the objective.
        random: they draw random numbers, so that a value belongs to one draw.
        keeps_state: a second pass over the same samples gives other losses.
    """

    autograd: str = "off"
    writes: bool = False
    together: bool = False
    random: bool = False
    keeps_state: bool = False


@checks_keywords
@dataclass(frozen=True)
class Objective:
    """Mean loss of `model` on `images` and `labels` as a function of its parameters.

    Args:
        model: the network, in evaluation mode (see `frozen_copy`).
        images: (N, …), floating, or integers where the model takes them (an embedding). They keep their type and are
            converted to the model's batch by batch, since a data set may be large.
        labels: (N, …); class indices (N,) for the losses by name.
        batch: samples per forward pass.
        loss: of each sample, see `objective.losses.loss_of`.
        behaviour: how forward pass and loss treat what they are given; see `objective.trial.tried`.
        same: samples and labels are one tensor, and reach a loss that differentiates as one.
        as_given: samples keep the type of `images`.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    batch: int = BATCH
    loss: Loss = CROSS_ENTROPY
    behaviour: Behaviour = Behaviour()
    same: bool = False
    as_given: bool = False

    @classmethod
    def of(
        cls,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        precision: str = "float32",
        loss: Loss = CROSS_ENTROPY,
        batch: int = BATCH,
    ) -> "Objective":
        """Build the objective in `precision` on the device of the model; a packed network may lower `batch`.

        Raises:
            DataError: no samples, images and labels of different lengths, or a model without parameters.
            UnknownNameError: the precision is not known.
        """
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(
                f"Got {len(images)} images and {len(labels)} labels. Use one label per image, at least one."
            )
        dtype = dtype_of(precision)
        first = next((one for one in model.parameters() if has_numbers(one)), None)
        if first is None:
            raise DataError(f"The model {type(model).__name__} has no parameters: there is nothing to move along.")
        batch = min(batch, getattr(model, "largest_batch", batch))  # of a packed network
        same = images.data_ptr() == labels.data_ptr() and images.shape == labels.shape
        labels = labels.detach().to(type_like(labels, dtype) if has_numbers(labels) else torch.int64).to(first.device)
        return cls(frozen_copy(model, dtype), images.detach().to(first.device), labels, batch, loss, same=same)

    @property
    def dtype(self) -> torch.dtype:
        """Type in which the model takes the samples."""
        return self.images.dtype if self.as_given else type_like(self.images, self.model_dtype)

    @property
    def model_dtype(self) -> torch.dtype:
        """Type of the real numbers of the model."""
        return number_type(self.model)

    def first(self, count: int) -> "Objective":
        """The same objective on the first `count` samples."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def in_double(self) -> "Objective":
        """The same objective with a copy of the model, and labels that are not integers, in float64."""
        labels = self.labels.to(type_like(self.labels, torch.float64))
        return replace(self, model=frozen_copy(self.model, torch.float64), labels=labels)

    @property
    def divisible(self) -> bool:
        """Whether batches of any size give the same values."""
        return not (self.behaviour.together or depends_on_batch(self.model))

    @property
    def ends_in_one(self) -> bool:
        """Whether the last batch would be a single sample, with BatchNorm that takes the statistics of each batch."""
        return len(self.images) % self.batch == 1 and len(self.images) > 1 and depends_on_batch(self.model)

    def batches(self) -> Iterator[slice]:
        """The samples of every batch; a last one of a single sample, which has no variance, joins the one before."""
        count = len(self.images)
        last = count - 1 if self.ends_in_one else count
        for start in range(0, last, self.batch):
            yield slice(start, count if start + self.batch >= last else start + self.batch)

    def samples(self, start: int, stop: int | None) -> Tensor:
        """`images[start:stop]`, (stop − start, …), as the model takes them."""
        return _own(self.images[start:stop].to(self.dtype), self.behaviour.writes)

    def pair(self, start: int, stop: int | None) -> tuple[Tensor, Tensor]:
        """The same samples and their labels, (n, …) each, as forward pass and loss take them."""
        samples = self.samples(start, stop)
        if self.behaviour.autograd == "samples" and samples.is_floating_point():
            samples.requires_grad_()
            if self.same:
                return samples, samples
        return samples, _own(self.labels[start:stop], self.behaviour.writes)

    def running(self) -> AbstractContextManager[object]:
        """The context of a forward pass and its loss: gradients are recorded only if they differentiate."""
        return torch.inference_mode() if self.behaviour.autograd == "off" else torch.enable_grad()

    def parameters(self) -> dict[str, Tensor]:
        """Everything a direction may move: names, shapes and values of `movable`, detached."""
        return {name: tensor.detach() for name, tensor in movable(self.model).items()}

    @keeps_random_state
    def evaluate(self, parameters: Mapping[str, Tensor], *, stop: Stop | None = None) -> Value:
        """The value at `parameters` (names and shapes of the model's; those left out keep the model's values).

        Raises:
            Stopped: `stop`, called before every batch, returned true.
        """
        return evaluate(self.forward(parameters), self, stop=stop)

    @keeps_random_state
    def sample_losses(self, parameters: Mapping[str, Tensor], *, stop: Stop | None = None) -> Tensor:
        """(N,) float64: the loss of every sample at `parameters`.

        Raises:
            Stopped: see `evaluate`.
        """
        return losses_and_hits(self.forward(parameters), self, stop=stop)[0]

    def forward(self, parameters: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
        """The model as a function of a batch, at `parameters`."""
        fixed = dict(parameters)
        return lambda images: torch.func.functional_call(self.model, fixed, (images,))


def depends_on_batch(model: nn.Module) -> bool:
    """Whether any BatchNorm uses batch statistics, so that values depend on the batches."""
    return any(isinstance(layer, _BatchNorm) and layer.running_mean is None for layer in model.modules())


def movable(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of real or complex numbers, by name and in their shapes; a tied parameter has one name."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor for name, tensor in named.items() if has_numbers(tensor)}


def _own(tensor: Tensor, copied: bool) -> Tensor:
    return tensor.clone() if copied else tensor


def evaluate(forward: Callable[[Tensor], Any], objective: Objective, *, stop: Stop | None = None) -> Value:
    """The value of `forward(images)` over all samples of `objective`, summed in float64, sample by sample.

    Raises:
        Stopped: `stop`, called before every batch, returned true.

    Source: Altman & Bland 2005, BMJ 331:903, for the standard error of a mean: std / √N, std with N − 1.
    """
    losses, hits = losses_and_hits(forward, objective, stop=stop)
    count = len(losses)
    error = losses.std() / count**0.5 if count > 1 else torch.tensor(torch.nan)
    accuracy = float("nan") if hits is None else float(hits.sum()) / count
    return Value(float(losses.mean()), accuracy, float(error))


def losses_and_hits(
    forward: Callable[[Tensor], Any], objective: Objective, *, stop: Stop | None = None
) -> tuple[Tensor, Tensor | None]:
    """The loss of every sample, (N,) float64, and whether it is classified correctly, (N,) (see `losses.correct`).

    Both are allocated before the first batch: results per batch would fragment the heap, which then grows with the data
    (by 150 MB at 12 000 images of CIFAR's shape).

    Raises:
        Stopped: `stop`, called before every batch, returned true.
    """
    count, device = len(objective.images), objective.images.device
    losses = torch.empty(count, dtype=torch.float64, device=device)
    hits: Tensor | None = torch.empty(count, dtype=torch.bool, device=device)
    for part in objective.batches():
        if stop is not None and stop():
            raise Stopped
        with objective.running():
            samples, labels = objective.pair(part.start, part.stop)
            outputs = forward(samples)
            losses[part] = objective.loss(outputs, labels).detach()
            right = objective.loss.correct(outputs, labels, losses[part])
            if right is None or hits is None:
                hits = None
            else:
                hits[part] = right
    return losses, hits
