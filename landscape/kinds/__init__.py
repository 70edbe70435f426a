"""The kinds of results: a file for each, and a line here. Importable without torch.

The functions of the library (api.py), the methods of the client (client/kinds.py) and the definitions that the page
reads (frontend/js/kinds.js) are generated from these definitions by `make kinds`; the commands of the shell and the
schema of a job are made from them when they are loaded. A new kind is a file here, with its `KIND`, and a line below.
"""

from collections.abc import Mapping
from importlib import import_module

from ..errors import UnknownNameError
from .definition import Kind

MODULES = (
    "surface",
    "slice",
    "curvature",
    "interpolation",
    "plane",
    "trajectory",
)
KINDS: Mapping[str, Kind] = {name: import_module(f"{__name__}.{name}").KIND for name in MODULES}


def kind_of(name: str) -> Kind:
    """The definition of a kind.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in KINDS:
        raise UnknownNameError("kind of result", name, tuple(KINDS))
    return KINDS[name]
