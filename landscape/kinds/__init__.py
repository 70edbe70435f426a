"""The kinds of results: a file for each, and a line here. Importable without torch.

The functions of the library (api.py), the methods of the client (client/kinds.py) and the definitions that the page
reads (frontend/js/kinds.js) are generated from these definitions by `make kinds`; the commands of the shell and the
schema of a job are made from them when they are loaded.
"""

from collections.abc import Mapping

from ..errors import UnknownNameError
from . import curvature, interpolation, plane, slice, surface, trajectory
from .definition import Kind

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        surface.KIND,
        slice.KIND,
        curvature.KIND,
        interpolation.KIND,
        plane.KIND,
        trajectory.KIND,
    )
}


def kind_of(name: str) -> Kind:
    """The definition of a kind.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in KINDS:
        raise UnknownNameError("kind of result", name, tuple(KINDS))
    return KINDS[name]
