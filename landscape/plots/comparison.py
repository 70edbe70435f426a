"""Several results in one figure, like the paper's grids of plots: one camera, one scale, a label for each."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LandscapeError, UnknownNameError
from ..keywords import checks_keywords
from ..results.arrays import Arrays
from .figures import MODEBAR, contour_traces, slice_traces, surface_traces
from .heights import AUTO, drawable, fitting, height_of, height_title

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

VIEWS = ("surface", "contour")
CAMERA = {"eye": {"x": 1.6, "y": -1.8, "z": 1.1}, "center": {"x": 0, "y": 0, "z": -0.12}}
CELL = 330  # pixels, the side of one picture

Rows = Sequence[Sequence[Arrays]]


@checks_keywords
def compare(
    results: "Mapping[str, Arrays] | Sequence[Arrays] | Rows",
    *,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    view: str = "surface",
    height: str = AUTO,
    array: str = "losses",
) -> "Figure":
    """Results side by side, a Plotly figure: every picture has the same camera, ranges, colors and contour levels.

    Rotating one surface rotates all, in a notebook (as the last value of a cell) and in a saved page.

    Args:
        results: a list, laid out in `columns` (three at most by default); a list of rows; or a mapping from labels.
        labels: shown above each picture, in the order of `results`; by default the name of its network.
        columns: pictures in a row, for a list of results.
        view: "surface" or "contour"; slices are lines in both.
        height, array: see `Result.figure`.

    Raises:
        LandscapeError: nothing to compare, slices mixed with surfaces, or the numbers of labels and results differ.
        UnknownNameError: view, height or array is not known.

    >>> from landscape.grid import Grid
    >>> figure = compare([Arrays.empty(Grid.square(3)), Arrays.empty(Grid.square(5))], labels=["ResNet-56", "VGG-9"])
    >>> [title.text for title in figure.layout.annotations]
    ['ResNet-56', 'VGG-9']
    """
    if view not in VIEWS:
        raise UnknownNameError("view", view, VIEWS)
    if isinstance(results, Mapping):
        labels, results = list(results), list(results.values())
    rows = _rows(results, columns)
    every = [result for row in rows for result in row]
    named = _labels(every, labels)
    _require_alike(every)
    line = len(every[0].betas) == 1
    parts = [drawable(result) for result in every]
    height = fitting(parts, height, array)
    scenes = view == "surface" and not line
    figure = _empty(rows, named, scenes=scenes)
    places = [(i, j) for i, row in enumerate(rows, 1) for j in range(1, len(row) + 1)]
    for part, (i, j) in zip(parts, places, strict=True):
        figure.add_traces(_traces(part, view, height, array), rows=i, cols=j)
    _one_scale(figure, parts, view, height, array)
    return _linked(figure, every) if scenes and len(every) > 1 else figure


def _rows(results: Any, columns: int | None) -> Rows:
    if not results:
        raise LandscapeError("There is nothing to compare. Pass one result or more.")
    if not isinstance(results[0], Arrays):
        return [list(row) for row in results]
    wide = columns or min(3, len(results))
    return [results[start : start + wide] for start in range(0, len(results), wide)]


def _labels(results: Sequence[Arrays], labels: Sequence[str] | None) -> list[str]:
    if labels is not None and len(labels) != len(results):
        raise LandscapeError(f"Got {len(labels)} labels for {len(results)} results. Pass one for each.")
    names = [(result.provenance.get("architecture") or {}).get("label", result.kind) for result in results]
    marks = ["" if all(check.passed for check in result.checks) else " ✗ self-check" for result in results]
    return [escape(f"{label}{mark}") for label, mark in zip(labels or names, marks, strict=True)]


def _require_alike(results: Sequence[Arrays]) -> None:
    if len({len(result.betas) == 1 for result in results}) > 1:
        raise LandscapeError("Slices and surfaces have no common scale. Compare results of one kind.")


def _empty(rows: Rows, labels: Sequence[str], *, scenes: bool) -> "Figure":
    from plotly.subplots import make_subplots

    wide = max(len(row) for row in rows)
    kind = {"type": "scene" if scenes else "xy"}
    specs = [[kind if j < len(row) else None for j in range(wide)] for row in rows]
    gap = {"horizontal_spacing": 0.02 if scenes else 0.3 / wide / 2, "vertical_spacing": 0.3 / len(rows) / 2}
    figure = make_subplots(len(rows), wide, specs=specs, subplot_titles=labels, **gap)
    size = {"width": CELL * wide + 90, "height": CELL * len(rows) + 40}
    margin = {"l": 10, "r": 10, "t": 40, "b": 10} if scenes else {"l": 60, "r": 20, "t": 40, "b": 50}
    return figure.update_layout(template="plotly_white", modebar=MODEBAR, showlegend=False, margin=margin, **size)


def _traces(result: Arrays, view: str, height: str, array: str) -> list[dict[str, Any]]:
    if len(result.betas) == 1:
        return slice_traces(result, array)
    return contour_traces(result, array) if view == "contour" else surface_traces(result, height, array)


def _one_scale(figure: "Figure", parts: Sequence[Arrays], view: str, height: str, array: str) -> None:
    """The same ranges, colors and camera for all; one color bar."""
    line, flat = len(parts[0].betas) == 1, view == "contour"
    drawn = [height_of(part, "linear" if line or flat else height, array) for part in parts]
    low, high = _extremes(drawn)
    spans = {
        name: _extremes([getattr(part, axis) for part in parts]) for name, axis in (("x", "alphas"), ("y", "betas"))
    }
    for trace in figure.data:
        if trace.type == "surface":
            trace.update(cmin=low, cmax=high, showscale=trace is figure.data[0])
        if trace.type == "contour":
            trace.update(zmin=low, zmax=high, zauto=False, showscale=trace is figure.data[0])
    if line:
        margin = 0.05 * (high - low) or 1.0
        bounds = [low - margin, high + margin]
        scale = {"type": "log", "range": None} if height == "log" else {"range": bounds}
        figure.update_xaxes(title="α", range=spans["x"]).update_yaxes(title=array, **scale)
    elif flat:
        figure.update_xaxes(title="α", range=spans["x"]).update_yaxes(title="β", range=spans["y"])
    else:
        axes = {name: {"title": symbol, "range": spans[name[0]]} for name, symbol in (("xaxis", "α"), ("yaxis", "β"))}
        figure.data[0].update(colorbar={"title": {"text": height_title(array, height), "side": "right"}})
        vertical = {"title": "", "range": [low, high]}  # the title is on the color bar; a scene would clip it
        figure.update_scenes(**axes, zaxis=vertical, camera=CAMERA, aspectmode="cube")


def _linked(figure: "Figure", results: Sequence[Arrays]) -> "Figure":
    from .linked_figure import Comparison

    linked = Comparison(figure)
    linked._results = results
    return linked


def _extremes(arrays: Sequence[Any]) -> list[float]:
    """Smallest and largest finite number in all arrays; 0 and 1 if there is none."""
    finite = np.concatenate([array[np.isfinite(array)] for array in arrays])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return [low, high if high > low else low + 1]
