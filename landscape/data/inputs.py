"""Reads the data that a caller passes: tensors, arrays, a Dataset, a DataLoader, or batches of dictionaries.

No random state is changed (see objective/random_state.py), and the choice of samples is never random.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SubsetRandomSampler
from torch.utils.data import Dataset as TorchDataset

from ..errors import DataError
from ..objective.losses import Loss, PerSample, correct
from .dataset import Dataset

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Inputs:
    """A model, its samples and its loss, in the form that objectives take."""

    model: nn.Module
    images: Tensor  # (N, …); the indices of the samples, (N,), if batches are mappings
    labels: Tensor  # (N, …)
    loss: "str | PerSample | Loss"
    facts: dict[str, Any] = field(default_factory=dict)  # names of the data, for the provenance


def read_inputs(model: nn.Module, images: Any, labels: Any, loss: "str | PerSample | Loss") -> Inputs:
    """`images` and `labels` as two tensors, from any supported form.

    Args:
        images: a tensor or array; a mapping from names to tensors, for `model(**batch)`; with `labels` left out a
            DataLoader, a torch Dataset, one of ours, or any iterable of batches: (inputs, labels) or mappings.
        loss: for mappings without separate labels it is called with the whole batch, `loss(outputs, batch)`.

    A loader that shuffles is read in the order of its data set, every sample once, without dropping the last batch;
    any other iterable is read once, in its own order.

    Raises:
        DataError: something is missing, or batches do not fit together.
    """
    inputs, targets, facts = _inputs_and_targets(images, labels)
    if isinstance(inputs, Mapping):
        return _with_indices(model, _tensors(inputs), targets, loss, facts)
    return Inputs(model, _tensor(inputs, "images"), _tensor(targets, "labels"), loss, facts)


def _inputs_and_targets(images: Any, labels: Any) -> tuple[Any, Any, dict[str, Any]]:
    if isinstance(images, Dataset):
        if labels is not None:
            raise DataError("A data set brings its own labels. Leave them out, or pass its images as a tensor.")
        facts = {"dataset": images.name, "split": images.split, "samples_in_split": len(images)}
        return images.images, images.labels, facts
    if labels is not None or isinstance(images, Mapping):
        return images, labels, {}
    if isinstance(images, Tensor | np.ndarray) or not isinstance(images, Iterable | TorchDataset):
        raise DataError(
            f"Labels are missing: got {type(images).__name__} alone. Pass images and labels, or a DataLoader."
        )
    batches, facts = _ordered(images)
    return *_joined(batches), facts


def _ordered(source: Any) -> tuple[Iterable[Any], dict[str, Any]]:
    """Batches in a deterministic order, and the description of it for the provenance."""
    if isinstance(source, TorchDataset) and not isinstance(source, IterableDataset):
        source = DataLoader(source, batch_size=256)
    if (
        not isinstance(source, DataLoader)
        or source.batch_sampler is None
        or isinstance(source.dataset, IterableDataset)
    ):
        return source, {"dataset": "batches", "order": "as they came, once"}
    indices, order = _indices(source)
    size = source.batch_size or 256
    again: DataLoader[Any] = DataLoader(
        source.dataset,
        batch_sampler=[indices[start : start + size] for start in range(0, len(indices), size)],
        num_workers=source.num_workers,
        collate_fn=source.collate_fn,
        worker_init_fn=source.worker_init_fn,
        multiprocessing_context=source.multiprocessing_context,
        generator=torch.Generator().manual_seed(0),
    )
    return again, {"dataset": type(source.dataset).__name__, "order": order}


def _indices(loader: "DataLoader[Any]") -> tuple[list[int], str]:
    """The indices of the loader's samples in order, and a description of the order.

    Raises:
        DataError: the sampler is random and has no deterministic equivalent.
    """
    sampler, count = loader.sampler, len(loader.dataset)  # type: ignore[arg-type]
    if isinstance(sampler, RandomSampler) and not sampler.replacement and sampler.num_samples == count:
        return list(range(count)), "of the data set (the loader shuffles)"
    if isinstance(sampler, SubsetRandomSampler):
        return sorted(sampler.indices), "of the data set (the loader shuffles a subset)"
    found = [_flat(loader.batch_sampler if loader.batch_size is None else sampler) for _ in range(2)]
    if found[0] != found[1]:
        raise DataError(
            f"The loader draws its samples by chance ({type(sampler).__name__}): chance would decide what the plot "
            "is over. Pass DataLoader(dataset, shuffle=False), or the tensors."
        )
    return found[0], "of the loader"


def _flat(sampler: Any) -> list[int]:
    """Indices of samples, from a sampler of samples or of batches."""
    return [int(index) for one in sampler for index in (one if isinstance(one, Sequence) else [one])]


def _joined(batches: Iterable[Any]) -> tuple[Any, Any]:
    """All batches as one: inputs and labels, or a mapping and None."""
    kept = [_entries(batch) for batch in batches]
    if not kept:
        raise DataError("The loader gave no batch. Pass at least one sample.")
    names = kept[0].keys()
    if any(part.keys() != names for part in kept):
        raise DataError("The batches have different entries. Use one collate function that gives the same for all.")
    whole = {name: _cat([part[name] for part in kept], name) for name in names}
    labels = whole.pop(_LABELS, None)
    return whole.get(_INPUTS, whole), labels


_INDEXED = "_landscape_indexed_batch"
_INPUTS, _LABELS = "\0inputs", "\0labels"  # of batches that are pairs; not possible as keywords


def _entries(batch: Any) -> dict[str, Tensor]:
    if isinstance(batch, Mapping):
        return _tensors(batch)
    if not isinstance(batch, Sequence) or len(batch) != 2:
        found = f"{len(batch)} parts" if isinstance(batch, Sequence) else f"a {type(batch).__name__}"
        raise DataError(
            f"A batch must be (inputs, labels) or a mapping from names to tensors; got {found}. "
            "Give the loader a collate function that makes a mapping, for model(**batch)."
        )
    inputs, labels = batch
    first = _tensors(inputs) if isinstance(inputs, Mapping) else {_INPUTS: _tensor(inputs, "images")}
    return {**first, _LABELS: _tensor(labels, "labels")}


def _cat(parts: list[Tensor], name: str) -> Tensor:
    shapes = sorted({tuple(part.shape[1:]) for part in parts})
    if len(shapes) > 1:
        called = {_INPUTS: "the inputs", _LABELS: "the labels"}.get(name, repr(name))
        raise DataError(
            f"The batches have samples of shapes {shapes[0]} and {shapes[-1]} in {called}. "
            "Make all samples equal, for example by padding to one length."
        )
    return torch.cat(parts)


def _tensors(entries: Mapping[str, Any]) -> Batch:
    found = {str(name): _tensor(value, name) for name, value in entries.items()}
    counts = {len(tensor) if tensor.ndim else 0 for tensor in found.values()}
    if len(counts) != 1 or 0 in counts:
        raise DataError(
            f"The entries {', '.join(found)} have {sorted(counts)} samples. Give every entry one row a sample."
        )
    return found


def _tensor(value: Any, name: object) -> Tensor:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    if not isinstance(value, Tensor):
        raise DataError(f"{name!r} is of type {type(value).__name__}; expected a tensor with a row for every sample.")
    return value.detach()


class IndexedBatch:
    """Named tensors, indexed by sample: the "samples" of the model are the indices 0 … N − 1, in any batches."""

    def __init__(self, entries: Batch):
        self.entries = entries
        self._placed: dict[tuple[torch.device, torch.dtype], Batch] = {}

    def take(self, index: Tensor, dtype: torch.dtype) -> Batch:
        """The entries of these n samples, (n, …) each, on the device of `index`, floating ones in `dtype`."""
        key = (index.device, dtype)
        if key not in self._placed:
            self._placed[key] = {name: _placed(tensor, *key) for name, tensor in self.entries.items()}
        return {name: tensor[index] for name, tensor in self._placed[key].items()}

    def __deepcopy__(self, memo: Any) -> "IndexedBatch":
        return self  # a copy of a model shares its samples


def _placed(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)


class BatchLoss(Loss):
    """A loss of outputs and whole batches: the labels are indices, since only the caller knows the entries."""

    def correct(self, outputs: Any, labels: Tensor, losses: Tensor) -> Tensor | None:
        """(N,) whether the largest score is the label's; None if the batches do not say.

        Uses Hugging Face's names: the entry "labels" and the output `logits`.
        """
        batch: IndexedBatch = self.per_sample.batch  # type: ignore[attr-defined]
        scores, wanted = getattr(outputs, "logits", outputs), batch.entries.get("labels")
        return None if wanted is None else correct(scores, wanted.to(losses.device)[labels], losses)


def _with_indices(model: nn.Module, entries: Batch, targets: Any, loss: Any, facts: dict[str, Any]) -> Inputs:
    batch = IndexedBatch(entries)
    count = len(next(iter(entries.values())))
    index = torch.arange(count)
    if targets is not None:
        return Inputs(taking_indices(model, batch), index, _tensor(targets, "labels"), loss, facts)
    if not callable(loss):
        raise DataError(
            f"The batches are mappings with {', '.join(entries)}: say what their loss is, one number a sample, as "
            "loss=lambda outputs, batch: cross_entropy(outputs.logits, batch['labels'], reduction='none')."
        )
    return Inputs(taking_indices(model, batch), index, index, _loss_of_batches(loss, batch), facts)


def _loss_of_batches(loss: Callable[..., Tensor], batch: IndexedBatch) -> Loss:
    def of_batch(outputs: Any, index: Tensor) -> Tensor:
        return loss(outputs, batch.take(index, torch.get_default_dtype()))

    of_batch.batch = batch  # type: ignore[attr-defined]
    return BatchLoss(getattr(loss, "__name__", type(loss).__name__), "", of_batch, scores=False)


def taking_indices(model: nn.Module, batch: IndexedBatch) -> nn.Module:
    """A module that shares the parameters, names and hooks of `model`, and takes indices instead of samples.

    Calling it raises DataError if `model` does not take the entries of `batch`.
    """
    kind = type(model)

    def call(self: Any, index: Tensor) -> Any:
        first = next(self.parameters(), index)
        dtype = first.dtype if first.is_floating_point() else torch.float32
        try:
            return kind.__call__(self, **batch.take(index, dtype))
        except TypeError as error:
            names = ", ".join(batch.entries)
            raise DataError(f"The network cannot take batches with {names}: {str(error)[:200]}.") from error

    shared = kind.__new__(kind)
    shared.__dict__.update(vars(model))
    shared.__class__ = type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__})
    shared.__dict__[_INDEXED] = batch
    return shared


def sample_tensors(model: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The tensors behind the samples, (N, …) each: also the batch entries, for a model that takes indices."""
    batch = getattr(model, _INDEXED, None)
    return [*(batch.entries.values() if batch else ()), images, labels]
