"""Stretches of layers computed in one call: which of their values others read, and where the others live meanwhile.

Imports layers. Used by chained.py and amx.py. Knows nothing of how a value is laid out; allocates nothing.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from ..graph.layers import Network

Key = TypeVar("Key", bound=Hashable)
Layout = TypeVar("Layout", bound=Hashable)


def results_of(network: Network, stretch: range) -> list[int]:
    """What layers outside of the stretch read of what it makes."""
    inside = network.layers[stretch.start : stretch.stop]
    others = network.layers[: stretch.start] + network.layers[stretch.stop :]
    read = {network.output, *(index for layer in others for index in layer.reads())}
    return sorted(read & {layer.result for layer in inside})


def homes(wanted: Sequence[Mapping[Key, Layout]], last: Mapping[Key, int]) -> tuple[dict[Key, int], list[Layout]]:
    """A numbered home for every value, given to another of the same layout when nobody reads the first any more.

    Args:
        wanted: values and their layouts, in the order of the layers that read or make them.
        last: the place in `wanted` after which a value is not needed; without one it keeps its home.

    Returns:
        The home of every value, and the layout of every home.
    """
    found: dict[Key, int] = {}
    layouts: list[Layout] = []
    free: list[int] = []
    for at, values in enumerate(wanted):
        for key, layout in values.items():
            if key in found:
                continue
            home = next((home for home in free if layouts[home] == layout), len(layouts))
            if home == len(layouts):
                layouts.append(layout)
            else:
                free.remove(home)
            found[key] = home
        free += [found[key] for key, end in last.items() if end == at and key in found]
    return found, layouts
