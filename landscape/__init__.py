"""Loss landscapes of neural networks: tensors in, numbers out.

Names are loaded on first use, so that modules without torch (`landscape.grid`, `landscape.errors`) can be imported
where torch is not installed.
"""

from importlib import import_module
from typing import Any

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
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    found = globals()[name] = getattr(import_module(f"landscape.{_HOME[name]}"), name)
    return found
