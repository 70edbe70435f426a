"""The shipped checkpoints: their training records (README.md), and their networks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNameError
from ..keywords import checks_keywords

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent


def records() -> dict[str, dict[str, Any]]:
    """Name -> how the shipped checkpoint was trained, and its accuracy and loss."""
    return {record["name"]: record for record in json.loads((FOLDER / "records.json").read_text())}


@checks_keywords
def shipped(name: str) -> "nn.Module":
    """A shipped network, in evaluation mode.

    Args:
        name: for example "resnet56-w8-skip"; README.md lists all.

    Raises:
        UnknownNameError: there is none; the message lists them.
        CheckpointError: the shipped file is damaged.
        KilledError: the process that read it was killed from outside.
        OSError: the shipped file is missing.

    >>> sum(parameter.numel() for parameter in shipped("resnet56-w8-skip").parameters())
    215138
    """
    from ..checkpoints.inspect import inspect

    known = records()
    if name not in known:
        raise UnknownNameError("shipped network", name, tuple(known))
    return inspect(FOLDER / known[name]["file"]).model()
