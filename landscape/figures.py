"""Plotly figures of results: the surface, its contours, a slice, a trajectory; caption and self-check stand on each.

Imports plotly and numpy; no torch. Never computes a loss. The one place of the Python side where rows and columns
change roles: Plotly draws z[row][column] at (x[column], y[row]), ours is losses[i, j] at (alphas[i], betas[j]).
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import UnknownNameError
from .field import Array

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from .result import Result

CLIP = 10.0  # losses above it are cut off, as in Figure 1 of the paper
HEIGHTS = ("paper", "linear", "log")
CONTOURS = {"start": 0.1, "end": 10.0, "size": 0.5}  # the paper's
_PASSED, _FAILED = "#18794e", "#c62828"


def plotly_z(losses: Array) -> Array:
    """(n, m) indexed [alpha, beta] as Plotly wants it: (m, n), one row per beta."""
    return np.asarray(losses.T)


def heights(losses: Array, height: str = "paper", clip: float = CLIP) -> Array:
    """What is drawn upwards: ln(min(z, clip) + 0.1) as in Figure 1 ("paper"), z ("linear") or log10 z ("log").

    Infinite losses become holes, as NaN are.

    Raises:
        UnknownNameError: the height is not one of `HEIGHTS`.
    """
    if height not in HEIGHTS:
        raise UnknownNameError("height", height, HEIGHTS)
    finite = np.where(np.isfinite(losses), losses, np.nan)
    if height == "linear":
        return finite
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.log(np.minimum(finite, clip) + 0.1) if height == "paper" else np.log10(finite)
    return np.where(np.isfinite(drawn), drawn, np.nan)


def figure(result: "Result", *, height: str = "paper", array: str = "losses") -> "Figure":
    """A surface in 3-D, or the line of a slice with its standard error.

    Args:
        height: one of `HEIGHTS`; a slice takes "linear" for "paper".
        array: which numbers of the result, for example "test_losses" or "curvature_ratio".

    Raises:
        UnknownNameError: the height or the array is not known.
    """
    if len(result.betas) == 1:
        return _framed(_slice_traces(result, array), result, {"xaxis": {"title": "α"}, "yaxis": {"title": array}})
    z = plotly_z(heights(result.array(array), height if array.endswith("losses") else "linear"))
    surface = {
        "type": "surface",
        "x": result.alphas,
        "y": result.betas,
        "z": z,
        "colorscale": "Viridis",
        "contours": {"z": {"show": True, "usecolormap": True}},
    }
    titles = {"xaxis": {"title": "α"}, "yaxis": {"title": "β"}, "zaxis": {"title": _height_title(array, height)}}
    return _framed([surface, *_holes(result, z)], result, {"scene": titles})


def contour(result: "Result", *, array: str = "losses") -> "Figure":
    """Contours from 0.1 to 10 in steps of 0.5, as in the paper's figures; the path of a trajectory on them."""
    values = np.where(np.isfinite(result.array(array)), result.array(array), np.nan)
    lines = {
        "type": "contour",
        "x": result.alphas,
        "y": result.betas,
        "z": plotly_z(values),
        "contours": {**(CONTOURS if array.endswith("losses") else {}), "coloring": "lines"},
        "colorscale": "Viridis",
    }
    axes = {"xaxis": {"title": "α"}, "yaxis": {"title": "β", "scaleanchor": None}}
    return _framed([lines, *_path(result)], result, axes)


def _slice_traces(result: "Result", array: str) -> list[dict[str, Any]]:
    losses, x = result.array(array)[:, 0], result.alphas
    line = {"type": "scatter", "x": x, "y": losses, "name": array, "mode": "lines"}
    if array != "losses":
        return [line]
    error = result.standard_errors[:, 0]
    edges = np.concatenate([losses + error, (losses - error)[::-1]])
    band = {
        "type": "scatter",
        "x": np.concatenate([x, x[::-1]]),
        "y": edges,
        "fill": "toself",
        "line": {"width": 0},
        "opacity": 0.3,
        "name": "± standard error",
    }
    return [band, line]


def _holes(result: "Result", z: Array) -> list[dict[str, Any]]:
    """Points whose loss is NaN or infinite get a legend entry of their own, on the floor of the plot."""
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


def _path(result: "Result") -> list[dict[str, Any]]:
    if not result.path:
        return []
    x, y = zip(*result.path["coordinates"], strict=True)
    return [{"type": "scatter", "x": x, "y": y, "mode": "lines+markers", "name": "trajectory"}]


def _height_title(array: str, height: str) -> str:
    if not array.endswith("losses"):
        return array
    return {"paper": f"ln(min(loss, {CLIP:g}) + 0.1)", "linear": "loss", "log": "log10 loss"}[height]


def _framed(traces: Sequence[dict[str, Any]], result: "Result", axes: dict[str, Any]) -> "Figure":
    """The traces with caption and self-check; texts enter as text, since Plotly reads a subset of HTML."""
    from plotly.graph_objects import Figure

    line, color = _check_line(result)
    words = {"showarrow": False, "xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "align": "left"}
    annotations = [
        {**words, "y": 1.08, "text": escape(result.caption)},
        {**words, "y": 1.03, "text": escape(line), "font": {"color": color}},
    ]
    return Figure(data=list(traces), layout={**axes, "annotations": annotations, "template": "plotly_white"})


def _check_line(result: "Result") -> tuple[str, str]:
    failed = [check.name for check in result.checks if not check.passed]
    if failed:
        return f"✗ self-check: {', '.join(failed)}", _FAILED
    return (
        (f"✓ self-check: {len(result.checks)} of {len(result.checks)} passed", _PASSED) if result.checks else ("", "")
    )
