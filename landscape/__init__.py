"""Loss landscapes of neural networks: tensors in, numbers out.

Names are loaded on first use, so that modules without torch (`landscape.grid`, `landscape.errors`) can be imported
where torch is not installed. Type checkers and editors read the imports below instead; tests/landscape/test_names.py
holds the lists together.
"""

from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .api import curvature as curvature
    from .api import interpolation as interpolation
    from .api import plane as plane
    from .api import slice as slice
    from .api import surface as surface
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
    from .options import DirectionOptions as DirectionOptions
    from .options import EngineOptions as EngineOptions
    from .options import ObjectiveOptions as ObjectiveOptions
    from .packing.pack import pack as pack
    from .plots.comparison import compare as compare
    from .pointwise import paired as paired
    from .pointwise import plane_along as plane_along
    from .pointwise import spectrum as spectrum
    from .result import Result as Result
    from .results.metrics import numbers as numbers
    from .training.recorder import Recorder as Recorder


__all__ = [
    "AsyncClient",
    "Axis",
    "Client",
    "DirectionOptions",
    "EngineOptions",
    "Grid",
    "Landscape",
    "LandscapeError",
    "Objective",
    "ObjectiveOptions",
    "Recorder",
    "Result",
    "__version__",
    "compare",
    "curvature",
    "inspect",
    "interpolation",
    "numbers",
    "pack",
    "paired",
    "plane",
    "plane_along",
    "shipped",
    "slice",
    "spectrum",
    "surface",
    "trajectory",
]

_HOME = {  # the module of each name
    "AsyncClient": "client",
    "Axis": "grid",
    "Client": "client",
    "DirectionOptions": "options",
    "EngineOptions": "options",
    "Grid": "grid",
    "Landscape": "evaluation.landscape",
    "LandscapeError": "errors",
    "Objective": "objective.objective",
    "ObjectiveOptions": "options",
    "Recorder": "training.recorder",
    "Result": "result",
    "compare": "plots.comparison",
    "curvature": "api",
    "inspect": "checkpoints.inspect",
    "interpolation": "api",
    "numbers": "results.metrics",
    "pack": "packing.pack",
    "paired": "pointwise",
    "plane": "api",
    "plane_along": "pointwise",
    "shipped": "gallery",
    "slice": "api",
    "spectrum": "pointwise",
    "surface": "api",
    "trajectory": "api",
}
_RENAMED = {  # a name of an earlier version -> what to use instead, as code
    "repeated": "surface(…, repeats=n) or slice(…, repeats=n)",
    "through": "plane(model, second, third, images, labels)",
}

if not TYPE_CHECKING:  # a type checker knows the names, and reports any other

    def __getattr__(name: str) -> object:
        from importlib import import_module  # here, so that editors do not offer it

        if name not in _HOME:
            raise AttributeError(_unknown(name))
        found = globals()[name] = getattr(import_module(f"landscape.{_HOME[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted(__all__)


def _unknown(name: str) -> str:
    from .errors import did_you_mean

    if name in _RENAMED:
        return f"module 'landscape' has no attribute {name!r} any more. Use {_RENAMED[name]}."
    known = ", ".join(sorted(_HOME))
    return f"module 'landscape' has no attribute {name!r}.{did_you_mean(name, _HOME)} It has: {known}."
