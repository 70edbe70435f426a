"""Loss landscapes of neural networks: tensors in, numbers out.

Names are loaded on first use, so that modules without torch (`landscape.grid`, `landscape.errors`) can be imported
where torch is not installed. Type checkers and editors read the imports below instead; tests/packaging/test_visible.py
holds the two lists together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import did_you_mean

if TYPE_CHECKING:
    from .api import curvature as curvature
    from .api import interpolation as interpolation
    from .api import paired as paired
    from .api import plane_along as plane_along
    from .api import repeated as repeated
    from .api import slice as slice
    from .api import spectrum as spectrum
    from .api import surface as surface
    from .api import through as through
    from .api import trajectory as trajectory
    from .checkpoints.inspect import inspect as inspect
    from .client import AsyncClient as AsyncClient
    from .client import Client as Client
    from .errors import LandscapeError as LandscapeError
    from .evaluation.landscape import Landscape as Landscape
    from .gallery import shipped as shipped
    from .grid import Axis as Axis
    from .grid import Grid as Grid
    from .objective.objective import Objective as Objective
    from .packing.pack import pack as pack
    from .plots.comparison import compare as compare
    from .result import Result as Result
    from .results.metrics import numbers as numbers
    from .training.recorder import Recorder as Recorder

__version__ = "0.1.0"

_HOME = {
    "AsyncClient": "client",
    "Axis": "grid",
    "Client": "client",
    "Grid": "grid",
    "Landscape": "evaluation.landscape",
    "LandscapeError": "errors",
    "Objective": "objective.objective",
    "Recorder": "training.recorder",
    "Result": "result",
    "compare": "plots.comparison",
    "curvature": "api",
    "inspect": "checkpoints.inspect",
    "interpolation": "api",
    "numbers": "results.metrics",
    "pack": "packing.pack",
    "paired": "api",
    "plane_along": "api",
    "repeated": "api",
    "shipped": "gallery",
    "slice": "api",
    "spectrum": "api",
    "surface": "api",
    "through": "api",
    "trajectory": "api",
}
_RENAMED: dict[str, str] = {}  # a name of an earlier version -> what to use instead, as code
__all__ = [*_HOME, "__version__"]

if not TYPE_CHECKING:  # a type checker knows the names, and reports any other

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(_unknown(name))
        found = globals()[name] = getattr(import_module(f"landscape.{_HOME[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted(__all__)


def _unknown(name: str) -> str:
    if name in _RENAMED:
        return f"module 'landscape' has no attribute {name!r} any more. Use {_RENAMED[name]}."
    known = ", ".join(sorted(_HOME))
    return f"module 'landscape' has no attribute {name!r}.{did_you_mean(name, _HOME)} It has: {known}."
