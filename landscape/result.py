"""What a landscape is once computed: coordinates, values, provenance, self-check; one type, local or fetched.

Imports numpy, grid, check, caption; no torch. Never computes a loss.
`losses[i, j]` belongs to `(alphas[i], betas[j])` everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .caption import caption
from .check import Check, self_check
from .errors import UnknownNameError
from .grid import Axis, Grid, Point

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Array = NDArray[np.float64]
VALUES = ("losses", "accuracies", "standard_errors")
FORMATS = ("json", "npz", "csv", "h5")


@dataclass(frozen=True)
class Result:
    """A slice, a surface, or another grid of numbers around a network, whole or partly computed.

    `put` fills the arrays of a result that is being computed; those of a `closed` one can only be read.
    """

    kind: str  # "slice", "surface", "interpolation", "plane", "trajectory", "curvature"
    alphas: Array  # (n,) unitless multiples of delta
    betas: Array  # (m,) unitless multiples of eta; [0] for a slice
    losses: Array  # (n, m) mean per sample, nats for the cross-entropy; NaN where not computed, and where the loss is
    accuracies: Array  # (n, m) share of samples, NaN where not computed
    standard_errors: Array  # (n, m) of the losses over the samples, in their unit
    computed: NDArray[np.bool_]  # (n, m)
    provenance: dict[str, Any] = field(default_factory=dict)  # how it was made; empty until the center is known
    caption: str = ""  # every choice, in one line
    extra: dict[str, Array] = field(default_factory=dict)  # more arrays (n, m) by name: "test_losses", "lambda_min", …
    path: dict[str, Any] | None = None  # the trajectory in this plane, as JSON: see pca.Path.to_json

    @classmethod
    def empty(
        cls,
        grid: Grid,
        provenance: dict[str, Any] | None = None,
        *,
        kind: str | None = None,
        columns: Sequence[str] = VALUES,
    ) -> "Result":
        """A result of this grid with nothing computed yet; `columns` are `VALUES` and the names of extra arrays."""
        nothing: dict[str, Any] = {name: np.full(grid.shape, np.nan) for name in columns}
        assert tuple(columns[: len(VALUES)]) == VALUES
        return cls(
            kind=kind or ("surface" if grid.beta else "slice"),
            alphas=np.array(grid.alphas),
            betas=np.array(grid.betas),
            **{name: nothing.pop(name) for name in VALUES},
            computed=np.zeros(grid.shape, bool),
            provenance=provenance or {},
            caption=caption(grid, provenance or {}),
            extra=nothing,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of a row of `put`."""
        return (*VALUES, *self.extra)

    def array(self, name: str) -> Array:
        """The array called `name`, (n, m).

        Raises:
            UnknownNameError: there is none; the message lists the known.
        """
        if name not in self.columns:
            raise UnknownNameError("array", name, self.columns)
        found: Array = self.extra[name] if name in self.extra else getattr(self, name)
        return found

    def put(self, points: Sequence[Point], values: "Array | Sequence[Sequence[float]]") -> None:
        """Write `values` (one row of numbers per point, in the order of `columns`) at `points`."""
        rows, columns = np.array(points, dtype=np.intp).reshape(-1, 2).T
        numbers = np.array(values, dtype=np.float64).reshape(-1, len(self.columns)).T
        for name, column in zip(self.columns, numbers, strict=True):
            self.array(name)[rows, columns] = column
        self.computed[rows, columns] = True

    def closed(self, **facts: Any) -> "Result":
        """This result with what is known once every point is in: counts of NaN and infinities, and `facts`."""
        odd = [point["value"] for point in self.non_finite]
        counts = {"nan_count": odd.count("nan"), "infinite_count": len(odd) - odd.count("nan")}
        read_only = {name: _read_only(getattr(self, name)) for name in ("alphas", "betas", "computed", *VALUES)}
        extra = {name: _read_only(array) for name, array in self.extra.items()}
        return replace(self, **read_only, extra=extra, provenance={**self.provenance, **counts, **facts})

    def described(self, **facts: Any) -> "Result":
        """This result with names that tensors do not carry: dataset, split, samples_in_split, architecture."""
        provenance = {**self.provenance, **facts}
        axes = [Axis(float(one[0]), float(one[-1]), len(one)) for one in (self.alphas, self.betas) if len(one) > 1]
        return replace(self, provenance=provenance, caption=caption(Grid(*axes), provenance))

    @property
    def non_finite(self) -> list[dict[str, Any]]:
        """Computed points whose loss is NaN or infinite: [{"i", "j", "value": "nan" | "inf" | "-inf"}]."""
        where = np.argwhere(self.computed & ~np.isfinite(self.losses))
        return [{"i": int(i), "j": int(j), "value": name_of(self.losses[i, j])} for i, j in where]

    @property
    def checks(self) -> list[Check]:
        """The self-check: is this plot right? Empty until the center is known."""
        return self_check(self.provenance, self.losses, self.computed) if self.provenance else []

    def figure(self, *, height: str = "paper", array: str = "losses") -> "Figure":
        """A Plotly figure with caption and self-check on it; see figures.figure."""
        from .figures import figure

        return figure(self, height=height, array=array)

    def contour(self, *, array: str = "losses") -> "Figure":
        """Contours as in the paper, a Plotly figure; see figures.contour."""
        from .figures import contour

        return contour(self, array=array)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: null where a value is not computed or not finite (the latter listed in `non_finite`)."""
        checks = [vars(check) for check in self.checks]
        return {
            "kind": self.kind,
            "alphas": self.alphas.tolist(),
            "betas": self.betas.tolist(),
            **{name: nested(self.array(name)) for name in VALUES},
            "extra": {name: nested(array) for name, array in self.extra.items()},
            "non_finite": self.non_finite,
            "trajectory": self.path,
            "provenance": self.provenance or None,
            "self_check": {"passed": all(check["passed"] for check in checks), "checks": checks} if checks else None,
            "caption": self.caption,
        }

    def to_bytes(self, file_format: str) -> bytes:
        """The result as the content of a file.

        Raises:
            UnknownNameError: the format is not one of `FORMATS`.
        """
        from .formats import tables

        if file_format == "h5":
            from .formats.paper import surface_bytes

            return surface_bytes(self)
        writers = {"json": tables.json_bytes, "npz": tables.npz_bytes, "csv": tables.csv_bytes}
        if file_format not in writers:
            raise UnknownNameError("format", file_format, FORMATS)
        return writers[file_format](self)

    def save(self, path: "str | Path") -> None:
        """Write the result to `path`; its ending names the format."""
        path = Path(path)
        path.write_bytes(self.to_bytes(path.suffix.lstrip(".")))

    @classmethod
    def load(cls, path: "str | Path") -> "Result":
        """Read a result from an .npz file that `save` wrote, or an .h5 surface of the authors' layout.

        Raises:
            FormatError: the file cannot be read or holds something else.
        """
        from .formats import tables

        path = Path(path)
        if path.suffix == ".h5":
            from .formats.paper import read_surface

            return read_surface(path)
        return tables.read_npz(path)


def _read_only(array: Any) -> Any:
    copied = array.copy()
    copied.setflags(write=False)
    return copied


def nested(array: Array) -> list[list[float | None]]:
    """The rows of (n, m) as lists, null where not finite."""
    return [[finite_or_none(number) for number in row] for row in array.tolist()]


def finite_or_none(number: float) -> float | None:
    """JSON has neither NaN nor infinity: null stands for both."""
    return number if math.isfinite(number) else None


def name_of(number: float) -> str:
    """ "nan", "inf" or "-inf"."""
    return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
