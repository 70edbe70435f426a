"""Results as PNG and SVG for papers: contours as Li et al. draw them, or the line of a slice with its standard error.

Drawn with matplotlib's objects; the global state of pyplot is not used.
"""

import io
import threading
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..plots.figures import CONTOURS
from ..plots.heights import drawable, fitting, holds_losses
from ..results.arrays import Array, Arrays
from .picture import PictureOptions

INCHES, DPI = (6.4, 5.6), 150
_DRAWING = threading.Lock()  # matplotlib shares its fonts and settings between threads


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """A picture with caption and self-check below; equal results give equal bytes.

    Raises:
        UnknownNameError: the array is not known.
    """
    with _DRAWING, matplotlib.rc_context({"svg.hashsalt": "landscape", "svg.fonttype": "none"}):
        figure = Figure(figsize=INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        part = drawable(result)
        (_line if len(part.betas) == 1 else _contours)(figure.add_subplot(), part, picture)
        figure.supxlabel(_words(result), fontsize=7, wrap=True)
        file = io.BytesIO()
        figure.savefig(file, format=ending, dpi=DPI, metadata={"Date": None} if ending == "svg" else {"Software": None})
    return file.getvalue()


def _contours(axes: Any, result: Arrays, picture: PictureOptions) -> None:
    values = np.ma.masked_invalid(result.array(picture.array).T)  # rows are y for matplotlib
    levels = contour_levels(values.compressed(), picture.array)
    if len(levels):
        lines = axes.contour(result.alphas, result.betas, values, levels=levels, cmap="viridis", linewidths=1)
        axes.clabel(lines, fontsize=7, fmt="%.3g")
    _holes(axes, result)
    if result.path:
        x, y = zip(*result.path["coordinates"], strict=True)
        axes.plot(x, y, ".-", color="#c62828", linewidth=1, markersize=4, label="trajectory")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    axes.set(xlabel="α", ylabel="β", title=picture.array)
    axes.set_xlim(result.alphas[0], result.alphas[-1])
    axes.set_ylim(result.betas[0], result.betas[-1])


def contour_levels(finite: Array, array: str) -> Array:
    """(levels,): the paper's within the range of the values; if none is, or for other arrays, seven in that range.

    >>> contour_levels(np.array([0.3, 2.0]), "losses").round(6).tolist()
    [0.6, 1.1, 1.6]
    """
    if not len(finite) or np.ptp(finite) == 0:
        return np.array([])
    paper = np.arange(CONTOURS["start"], CONTOURS["end"] + 1e-9, CONTOURS["size"])
    crossing = paper[(paper > finite.min()) & (paper < finite.max())]
    if holds_losses(array) and len(crossing):
        return np.asarray(crossing)
    return np.asarray(np.linspace(finite.min(), finite.max(), 9)[1:-1])


def _holes(axes: Any, result: Arrays) -> None:
    odd = result.non_finite
    if odd:
        x, y = [result.alphas[one["i"]] for one in odd], [result.betas[one["j"]] for one in odd]
        axes.plot(x, y, "D", color="#c62828", markersize=3, label=f"{len(odd)} points NaN or infinite")


def _line(axes: Any, result: Arrays, picture: PictureOptions) -> None:
    values = np.ma.masked_invalid(result.array(picture.array)[:, 0])
    axes.plot(result.alphas, values, label=picture.array)
    if picture.array == "losses":
        errors, words = result.band
        error = errors[:, 0]
        axes.fill_between(result.alphas, values - error, values + error, alpha=0.3, label=words)
    if holds_losses(picture.array) and fitting([result], picture.height, picture.array) == "log":
        axes.set_yscale("log")
    axes.set(xlabel="α", ylabel=picture.array)
    axes.legend(fontsize=7)


def _words(result: Arrays) -> str:
    failed = [check.name for check in result.checks if not check.passed]
    passed = f"self-check: {len(result.checks)} of {len(result.checks)} passed" if result.checks else ""
    lines = [result.caption, f"self-check failed: {', '.join(failed)}" if failed else passed]
    return "\n".join(line for line in lines if line).replace("$", r"\$")
