"""What a packed file says of its original has possible sizes, types and numbers, and takes little work."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..parsers.source import FileError
from .dry_run import Found
from .original import EXAMPLE, MOST_WORK, output_name
from .trials import MOST_BYTES, Tried, widths_of


def require_possible(tried: Tried, tensors: Mapping[str, Tensor], found: Found, dtype: str) -> None:
    """Refuse what a file says of its original if `pack` cannot have written it.

    Args:
        tensors: those of `names_of` among them, as the reader cleaned them.
        found: by the dry run.
        dtype: of the samples.

    Raises:
        FileError: a shape, type or number is not possible.
    """
    numbers = tensors[EXAMPLE]
    integers, vocabulary = dtype == "int64", found.vocabulary
    if numbers.ndim != 1 or not 1 <= numbers.numel() * numbers.element_size() <= MOST_BYTES:
        raise _impossible("its example has an impossible length")
    if numbers.dtype != getattr(torch, dtype) or not bool(numbers.isfinite().all()):
        raise _impossible("its example is not finite, or of another type than its samples")
    if integers and vocabulary and not 0 <= int(numbers.min()) <= int(numbers.max()) < vocabulary:
        raise _impossible("its example holds tokens that it does not know")
    counts = [trial.count for trial in tried.trials]
    if counts[1:] and (sum(counts) * found.work > MOST_WORK or max(counts) > found.batch):
        raise _impossible("its original was tried on more samples than such a network is")
    for at, count in enumerate(counts):
        outputs = tensors[output_name(at)]
        if outputs.shape not in [(count, width) for width in widths_of(found.output)]:
            raise _impossible("outputs of its original have an impossible shape")
        if outputs.dtype != torch.float32 or not bool(outputs.isfinite().all()):
            raise _impossible("outputs of its original are not finite real numbers")


def _impossible(how: str) -> FileError:
    return FileError(f"The packed network is damaged: {how}. Write it again with landscape.pack(model, example_input).")
