"""Plotly figures of results: the surface, its contours, a slice, a trajectory; each with caption and self-check.

Plotly draws z[row][column] at (x[column], y[row]), while losses[i, j] is at (alphas[i], betas[j]): `heights.plotly_z`
transposes for all figures.
"""

import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results.arrays import Array, Arrays
from .heights import AUTO, drawable, fitting, height_of, height_title, heights, holds_losses, plotly_z

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CONTOURS = {"start": 0.1, "end": 10.0, "size": 0.5}  # the paper's
# The toolbar of plotly.js 4 offers to upload the chart to a cloud service: these buttons are removed.
MODEBAR = {"remove": ["sendChartToCloud", "sendDataToCloud", "editInChartStudio"]}
CAPTION_WIDTH = 110  # characters a line
_PASSED, _FAILED, _UNKNOWN = "#18794e", "#c62828", "#60646c"


def figure(result: Arrays, *, height: str = AUTO, array: str = "losses") -> "Figure":
    """A surface in 3-D, or the line of a slice with the band of its uncertainty.

    Args:
        height: one of `HEIGHTS`, or "auto": the paper's if the losses are of its kind, else linear or logarithmic; for
            a slice "paper" is "linear".
        array: which array of the result, for example "test_losses" or "curvature_ratio".

    Raises:
        UnknownNameError: the height or the array is not known.
    """
    part = drawable(result)
    height = fitting([part], height, array)
    height_of(part, height, array)  # raises on unknown names first
    if len(result.betas) == 1:
        scale = "log" if height == "log" and holds_losses(array) else "linear"
        axes = {"xaxis": {"title": "α"}, "yaxis": {"title": array, "type": scale}}
        return _framed(slice_traces(part, array), result, axes)
    titles = {"xaxis": {"title": "α"}, "yaxis": {"title": "β"}, "zaxis": {"title": height_title(array, height)}}
    return _framed(surface_traces(part, height, array), result, {"scene": titles})


def surface_traces(result: Arrays, height: str, array: str) -> list[dict[str, Any]]:
    """The surface and a legend entry for its holes; raises as `height_of`."""
    z = plotly_z(height_of(result, height, array))
    surface = {
        "type": "surface",
        "x": result.alphas,
        "y": result.betas,
        "z": z,
        "colorscale": "Viridis",
        "contours": {"z": {"show": True, "usecolormap": True}},
    }
    return [surface, *_holes(result, z)]


def contour(result: Arrays, *, array: str = "losses") -> "Figure":
    """Contours from 0.1 to 10 in steps of 0.5, as in the paper's figures, with the path of a trajectory.

    Raises:
        UnknownNameError: the array is not known.
    """
    if len(result.betas) == 1:
        return figure(result, array=array)  # a line has no contours
    axes = {"xaxis": {"title": "α"}, "yaxis": {"title": "β"}}
    return _framed(contour_traces(drawable(result), array), result, axes)


def contour_traces(result: Arrays, array: str) -> list[dict[str, Any]]:
    """Contour lines, and the path of a trajectory.

    Raises:
        UnknownNameError: the array is not known.
    """
    values = heights(result.array(array), "linear")
    lines = {
        "type": "contour",
        "x": result.alphas,
        "y": result.betas,
        "z": plotly_z(values),
        "contours": {**(CONTOURS if holds_losses(array) else {}), "coloring": "lines"},
        "colorscale": "Viridis",
    }
    return [lines, *_path(result)]


def slice_traces(result: Arrays, array: str) -> list[dict[str, Any]]:
    """The line, and for losses the band of their uncertainty around it; see `Arrays.band`.

    Raises:
        UnknownNameError: the array is not known.
    """
    losses, x = result.array(array)[:, 0], result.alphas
    line = {"type": "scatter", "x": x, "y": losses, "name": array, "mode": "lines"}
    if array != "losses":
        return [line]
    errors, words = result.band
    error = errors[:, 0]
    edges = np.concatenate([losses + error, (losses - error)[::-1]])
    band = {
        "type": "scatter",
        "x": np.concatenate([x, x[::-1]]),
        "y": edges,
        "fill": "toself",
        "line": {"width": 0},
        "opacity": 0.3,
        "name": words,
    }
    return [band, line]


def _holes(result: Arrays, z: Array) -> list[dict[str, Any]]:
    """Points whose loss is NaN or infinite, drawn at the bottom of the plot, with their own legend entry."""
    odd = result.non_finite
    if not odd:
        return []
    floor = float(np.nanmin(z)) if np.isfinite(z).any() else 0.0
    return [
        {
            "type": "scatter3d",
            "mode": "markers",
            "x": [result.alphas[point["i"]] for point in odd],
            "y": [result.betas[point["j"]] for point in odd],
            "z": [floor] * len(odd),
            "name": f"{len(odd)} points NaN or infinite",
            "showlegend": True,
            "marker": {"symbol": "diamond", "size": 4, "color": _FAILED},
        }
    ]


def _path(result: Arrays) -> list[dict[str, Any]]:
    if not result.path:
        return []
    x, y = zip(*result.path["coordinates"], strict=True)
    return [{"type": "scatter", "x": x, "y": y, "mode": "lines+markers", "name": "trajectory"}]


def _framed(traces: Sequence[dict[str, Any]], result: Arrays, axes: dict[str, Any]) -> "Figure":
    """The traces with caption and self-check; texts are escaped, since Plotly interprets a subset of HTML."""
    from plotly.graph_objects import Figure

    line, color = _check_line(result)
    words = {"showarrow": False, "xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "align": "left"}
    annotations = [
        {**words, "y": 1.08, "yanchor": "bottom", "text": _wrapped(result.caption)},
        {**words, "y": 1.03, "text": escape(line), "font": {"color": color}},
    ]
    layout = {"annotations": annotations, "template": "plotly_white", "modebar": MODEBAR, "margin": {"t": 110}}
    return Figure(data=list(traces), layout={**axes, **layout})


def _wrapped(text: str) -> str:
    return "<br>".join(escape(line) for line in textwrap.wrap(text, CAPTION_WIDTH))


def _check_line(result: Arrays) -> tuple[str, str]:
    failed = [check.name for check in result.checks if not check.passed]
    if failed:
        return f"✗ self-check: {', '.join(failed)}", _FAILED
    if not result.checks:
        return "no self-check: this result has no provenance", _UNKNOWN
    return f"✓ self-check: {len(result.checks)} of {len(result.checks)} passed", _PASSED
