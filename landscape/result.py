"""What a landscape is once computed: coordinates, values, provenance, self-check; one type, local or fetched.

Imports numpy and grid; no torch. Never computes a loss. `losses[i, j]` belongs to `(alphas[i], betas[j])` everywhere.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UnknownNameError
from .grid import Grid, Point

Array = NDArray[np.float64]
VALUES = ("losses", "accuracies", "standard_errors")
FORMATS = ("json", "npz", "csv")


@dataclass(frozen=True)
class Check:
    """One line of the self-check: what was looked at, whether it holds, and the numbers."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class Result:
    """A slice or a surface, whole or partly computed."""

    kind: str  # "slice" or "surface"
    alphas: Array  # (n,) unitless multiples of delta
    betas: Array  # (m,) unitless multiples of eta; [0] for a slice
    losses: Array  # (n, m) nats per sample, NaN where not computed; NaN and infinity where the loss is
    accuracies: Array  # (n, m) share of samples, NaN where not computed
    standard_errors: Array  # (n, m) of the losses over the samples, nats
    computed: NDArray[np.bool_]  # (n, m)
    provenance: dict[str, Any] = field(default_factory=dict)  # how it was made; empty until the center is known
    caption: str = ""  # every choice, in one line

    @classmethod
    def empty(cls, grid: Grid, provenance: dict[str, Any] | None = None) -> "Result":
        """A result of this grid with nothing computed yet."""
        nothing = {name: np.full(grid.shape, np.nan) for name in VALUES}
        return cls(
            kind="surface" if grid.beta else "slice",
            alphas=np.array(grid.alphas),
            betas=np.array(grid.betas),
            **nothing,
            computed=np.zeros(grid.shape, bool),
            provenance=provenance or {},
            caption=caption(grid, provenance or {}),
        )

    def put(self, points: Sequence[Point], values: "Array | Sequence[Sequence[float]]") -> None:
        """Write `values` (one row of loss, accuracy, standard error per point) at `points`."""
        rows, columns = np.array(points, dtype=np.intp).reshape(-1, 2).T
        for name, column in zip(VALUES, np.array(values, dtype=np.float64).reshape(-1, 3).T, strict=True):
            getattr(self, name)[rows, columns] = column
        self.computed[rows, columns] = True

    def closed(self, **facts: Any) -> "Result":
        """This result with what is known once every point is in: counts of NaN and infinities, and `facts`."""
        odd = [point["value"] for point in self.non_finite]
        counts = {"nan_count": odd.count("nan"), "infinite_count": len(odd) - odd.count("nan")}
        return replace(self, provenance={**self.provenance, **counts, **facts})

    @property
    def non_finite(self) -> list[dict[str, Any]]:
        """Computed points whose loss is NaN or infinite: [{"i", "j", "value": "nan" | "inf" | "-inf"}]."""
        where = np.argwhere(self.computed & ~np.isfinite(self.losses))
        return [{"i": int(i), "j": int(j), "value": name_of(self.losses[i, j])} for i, j in where]

    @property
    def checks(self) -> list[Check]:
        """The self-check: is this plot right? Empty until the center is known."""
        return self_check(self) if self.provenance else []

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: null where a value is not computed or not finite (the latter listed in `non_finite`)."""
        checks = [vars(check) for check in self.checks]
        return {
            "kind": self.kind,
            "alphas": self.alphas.tolist(),
            "betas": self.betas.tolist(),
            **{name: [[finite_or_none(x) for x in row] for row in getattr(self, name).tolist()] for name in VALUES},
            "non_finite": self.non_finite,
            "provenance": self.provenance or None,
            "self_check": {"passed": all(check["passed"] for check in checks), "checks": checks} if checks else None,
            "caption": self.caption,
        }

    def to_bytes(self, file_format: str) -> bytes:
        """The result as the content of a file.

        Raises:
            UnknownNameError: the format is not one of `FORMATS`.
        """
        writers = {"json": self._json_bytes, "npz": self._npz_bytes, "csv": self._csv_bytes}
        if file_format not in writers:
            raise UnknownNameError("format", file_format, FORMATS)
        return writers[file_format]()

    def save(self, path: "str | Path") -> None:
        """Write the result to `path`; its ending names the format."""
        path = Path(path)
        path.write_bytes(self.to_bytes(path.suffix.lstrip(".")))

    def _json_bytes(self) -> bytes:
        return json.dumps(self.to_json(), indent=1, allow_nan=False).encode()

    def _npz_bytes(self) -> bytes:
        file = io.BytesIO()
        arrays = {name: getattr(self, name) for name in ("alphas", "betas", *VALUES, "computed")}
        np.savez_compressed(
            file, **arrays, provenance=json.dumps(self.provenance), caption=self.caption, kind=self.kind
        )
        return file.getvalue()

    def _csv_bytes(self) -> bytes:
        lines = ["alpha,beta,loss,accuracy,standard_error"]
        for i, j in np.argwhere(self.computed).tolist():
            numbers = [self.alphas[i], self.betas[j], *(getattr(self, name)[i, j] for name in VALUES)]
            lines.append(",".join(repr(float(number)) for number in numbers))
        return ("\n".join(lines) + "\n").encode()


def finite_or_none(number: float) -> float | None:
    """JSON has neither NaN nor infinity: null stands for both."""
    return number if math.isfinite(number) else None


def name_of(number: float) -> str:
    """ "nan", "inf" or "-inf"."""
    return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"


def caption(grid: Grid, provenance: dict[str, Any]) -> str:
    """Every choice behind a picture, in one line; it stands on the page and on every export."""
    if not provenance:
        return ""
    alpha, beta = grid.alpha, grid.beta
    axes = [axis for axis in (alpha, beta) if axis]
    spans = [f"[{axis.min:g}, {axis.max:g}]" for axis in axes]
    span = f"{spans[0]}²" if len(spans) == 2 and spans[0] == spans[1] else " × ".join(spans)
    samples, of = provenance["samples"], provenance["samples_in_split"]
    parts = [
        provenance["architecture"]["label"],
        f"{provenance['dataset']}, {samples if samples == of else f'{samples} of {of}'} {provenance['split']} samples",
        f"{' × '.join(str(axis.count) for axis in axes)} points on {span}".replace("-", "−"),
        "filter-normalised" + (", orthogonal in every filter" if beta else ""),
        "BatchNorm frozen",
        f"seed {provenance['seed']}",
    ]
    if provenance["precision"] != "float32":
        parts.append(provenance["precision"])
    return " · ".join(parts)


def self_check(result: Result) -> list[Check]:
    """Hold a result against what must be true of it; every line states its numbers."""
    facts = result.provenance
    center = facts["center"]
    checks = [_center_check(center, facts["precision"])]
    if facts["cosine"] is not None:
        bound = 1e-6 if facts["parallel_filters"] == 0 else 0.1
        text = f"cos(δ, η) = {facts['cosine']:.1e}"
        if facts["parallel_filters"]:
            text += f"; {facts['parallel_filters']} one-element filters cannot be orthogonal"
        checks.append(Check("directions orthogonal", abs(facts["cosine"]) <= bound, text))
    low, high = facts["filter_ratio_min"], facts["filter_ratio_max"]
    close = low is not None and max(abs(low - 1), abs(high - 1)) <= 1e-6
    checks.append(
        Check("filter norms", close, f"‖direction filter‖ / ‖weight filter‖ from {low} to {high}, expected 1")
    )
    checks.append(
        Check("model unchanged", facts["model_unchanged"], "parameters and buffers compared before and after")
    )
    checks.append(
        Check(
            "evaluation mode", facts["mode"] == "evaluation", f"{facts['mode']} mode, BatchNorm {facts['batch_norm']}"
        )
    )
    odd = result.non_finite
    infinite = sum(1 for point in odd if point["value"] != "nan")
    checks.append(
        Check(
            "finite losses",
            not odd,
            f"{len(odd) - infinite} NaN, {infinite} infinite of {int(result.computed.sum())} points",
        )
    )
    return checks


def _center_check(center: dict[str, Any], precision: str) -> Check:
    loss, other = center["loss"], center["independent_loss"]
    bound = 1e-9 if precision == "float64" else 1e-5
    if loss is None or other is None:
        return Check("center loss", False, f"engine {loss}, {center['independent_method']} {other}: not finite")
    difference = abs(loss - other) / max(abs(other), 1e-3)
    text = f"engine {loss:.7g}, {center['independent_method']} {other:.7g}, relative difference {difference:.1e}"
    return Check("center loss", difference <= bound, text)
