"""Heights of losses in a plot (the paper's scale, linear, logarithmic), and the drawable part of a result."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UnknownNameError
from ..grid import Axis
from ..results.arrays import Array, Arrays

CLIP = 10.0  # losses above are clipped, as in Figure 1 of the paper
HEIGHTS = ("paper", "linear", "log")
AUTO = "auto"  # the one that fits the data: `fitting`
DECADES = 3  # losses that span more are drawn on a logarithmic scale, if they are not of the paper's kind


def plotly_z(losses: Array) -> Array:
    """(n, m) indexed [alpha, beta] -> (m, n) for Plotly: one row per beta.

    >>> plotly_z(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).tolist()
    [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    """
    return np.asarray(losses.T)


def heights(losses: Array, height: str = "paper", clip: float = CLIP) -> Array:
    """Heights of losses z, in their shape: ln(min(z, clip) + 0.1) ("paper"), z ("linear") or log10 z ("log").

    Infinite losses become holes, like NaN.

    Raises:
        UnknownNameError: the height is not one of `HEIGHTS`.

    Source: the authors' h52vtp.py (Li et al. 2018) with --log and --zmax, for "paper".

    >>> heights(np.array([[0.9, 100.0, np.inf]])).round(6).tolist()  # ln 1, ln 10.1, a hole
    [[0.0, 2.312535, nan]]
    """
    if height not in HEIGHTS:
        raise UnknownNameError("height", height, HEIGHTS)
    finite = np.where(np.isfinite(losses), losses, np.nan)
    if height == "linear":
        return finite
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.log(np.minimum(finite, clip) + 0.1) if height == "paper" else np.log10(finite)
    return np.where(np.isfinite(drawn), drawn, np.nan)


def fitting(results: Sequence[Arrays], height: str = AUTO, array: str = "losses") -> str:
    """`height`, or for `AUTO` the one that fits all of these results.

    The paper's for losses in nats that begin below its clipping at 10; a loss below 0 has no logarithm, and those above
    10 would be cut off. Others are linear, or logarithmic if they are positive and span more than `DECADES`.

    Raises:
        UnknownNameError: the height is neither `AUTO` nor one of `HEIGHTS`.
    """
    if height != AUTO:
        if height not in HEIGHTS:
            raise UnknownNameError("height", height, (AUTO, *HEIGHTS))
        return height
    values = np.concatenate([result.array(array).ravel() for result in results])
    finite = values[np.isfinite(values)]
    units = {(result.provenance.get("loss") or {}).get("unit", "nats") for result in results}
    least, most = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if units == {"nats"} and 0 <= least <= CLIP:
        return "paper"
    return "log" if least > 0 and most > 10**DECADES * least else "linear"


def holds_losses(array: str) -> bool:
    """Whether the array of this name holds losses, which are drawn with the paper's heights and contours."""
    return array.endswith("losses")


def height_of(result: Arrays, height: str, array: str) -> Array:
    """(n, m) heights of one array of a result: `heights` for losses, other arrays unchanged.

    Raises:
        UnknownNameError: the height or the array is not known.
    """
    drawn = heights(result.array(array), height)
    return drawn if holds_losses(array) else heights(result.array(array), "linear")


def drawable(result: Arrays) -> Arrays:
    """The finest complete grid within a partly computed result: a surface cannot be drawn through scattered points.

    Points are computed coarse to fine, so those of the finished levels form a grid. A result that is complete, or that
    lacks even the coarsest level, is returned unchanged.
    """
    if result.computed.all():
        return result
    levels = [np.array(_levels(len(axis))) for axis in (result.alphas, result.betas)]
    for level in range(max(int(one.max()) for one in levels), 1, -1):
        rows, columns = (np.flatnonzero(one <= level) for one in levels)
        if result.computed[np.ix_(rows, columns)].all():
            return _restricted(result, rows, columns)
    return result


def _levels(count: int) -> tuple[int, ...]:
    return Axis(0.0, 1.0, count).levels if count > 1 else (0,)


def _restricted(result: Arrays, rows: Any, columns: Any) -> Arrays:
    part = np.ix_(rows, columns)
    arrays = {name: getattr(result, name)[part] for name in ("losses", "accuracies", "standard_errors", "computed")}
    extra = {name: array[part] for name, array in result.extra.items()}
    return replace(result, alphas=result.alphas[rows], betas=result.betas[columns], extra=extra, **arrays)


def height_title(array: str, height: str) -> str:
    """Title of the vertical axis."""
    if not holds_losses(array):
        return array
    return {"paper": f"ln(min(loss, {CLIP:g}) + 0.1)", "linear": "loss", "log": "log10 loss"}[height]
