"""Buffer allocation for layers computed in one call: which values outlive the call, and which share memory.

Used by conv_chains.py and amx.py. Independent of the layout of values; allocates no memory.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from ..graph.layers import Network

Key = TypeVar("Key", bound=Hashable)
Layout = TypeVar("Layout", bound=Hashable)


def results_of(network: Network, stretch: range) -> list[int]:
    """The results of the layers in `stretch` that other layers read."""
    inside = network.layers[stretch.start : stretch.stop]
    others = network.layers[: stretch.start] + network.layers[stretch.stop :]
    read = {network.output, *(index for layer in others for index in layer.reads())}
    return sorted(read & {layer.result for layer in inside})


def assign_buffers(
    wanted: Sequence[Mapping[Key, Layout]], last: Mapping[Key, int]
) -> tuple[dict[Key, int], list[Layout]]:
    """A numbered buffer for every value, reused for another of the same layout once it is not read again.

    Args:
        wanted: values and their layouts, in the order of the layers that read or make them.
        last: the position in `wanted` after which a value is not needed; a value without one keeps its buffer.

    Returns:
        The buffer of every value, and the layout of every buffer.
    """
    found: dict[Key, int] = {}
    layouts: list[Layout] = []
    free: list[int] = []
    for at, values in enumerate(wanted):
        for key, layout in values.items():
            if key in found:
                continue
            buffer = next((buffer for buffer in free if layouts[buffer] == layout), len(layouts))
            if buffer == len(layouts):
                layouts.append(layout)
            else:
                free.remove(buffer)
            found[key] = buffer
        free += [found[key] for key, end in last.items() if end == at and key in found]
    return found, layouts
