"""Loads the tensors of a sanitized checkpoint into the module of their network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .. import sanitized
from ..errors import UnknownNetworkError
from ..models import build
from ..models.base import COUNTER
from ..models.recognize import from_json
from ..objective.objective import BATCH
from ..packing.graph_json import from_text
from ..packing.module import PackedModule


def load(description: Mapping[str, Any], state: Mapping[str, Tensor], graph: str | None = None) -> nn.Module:
    """The module that `Architecture.described` described, with the weights of a sanitized file, in evaluation mode.

    Args:
        description: as the reader returns it; its `copy` selects one of the copies in `state`.
        graph: of a packed network, as `clean_file` returns it.

    Raises:
        UnknownNetworkError: the description fits no module, or `state` lacks a parameter.
        FileError: the graph of a packed network is damaged.
    """
    if description.get("family") == "packed":
        batch = int(description.get("batch", BATCH))
        return PackedModule(from_text(graph or ""), state, batch=batch).eval()
    module = build(from_json(description))
    named = own_copy(description, state)
    missing = [name for name in module.load_state_dict(named, strict=False).missing_keys if not name.endswith(COUNTER)]
    if missing:
        raise UnknownNetworkError(f"The weights lack {missing[0][:100]!r}. Upload the checkpoint again.")
    return module.eval()


def clean_file(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Name -> tensor of a sanitized file, with the shapes of the checkpoint, and its graph if it has one.

    Raises:
        FileError: the file is not what the reading process writes.
    """
    with path.open("rb") as file:
        tensors, metadata = sanitized.tensors(file, writable=True)
    return tensors, metadata.get("graph")


def own_copy(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `state` in the copy that `description` selects, by bare name, in the same shapes as there."""
    if description.get("family") == "packed":
        return dict(state)
    copy = description.get("copy", "")
    chosen = {name: tensor for name, tensor in state.items() if name.startswith("@") == bool(copy)}
    return {name.removeprefix(copy): tensor for name, tensor in chosen.items()}
