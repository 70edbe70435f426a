"""The data of a result: coordinates and values as NumPy arrays, provenance, and what is derived from them."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnknownNameError
from ..grid import Axis, Grid, Point
from .caption import caption
from .content import ComparedByContent
from .self_check import Check, self_check

Array = NDArray[np.float64]
VALUES = ("losses", "accuracies", "standard_errors")
SEED_DEVIATIONS = "seed_deviations"  # of the losses over several seeds: the standard deviation of single ones
PLURAL = {"loss": "losses", "accuracy": "accuracies", "standard_error": "standard_errors"}  # table column -> array
_SINGULAR = {array: column for column, array in PLURAL.items()}
_DIGEST = "values_sha256"  # in the provenance of a file
# Entries of the provenance that say how it was asked for and run, and not what was computed.
NOT_COMPARED = ("request", "reused", "seconds", "threads", "memory")


@dataclass(frozen=True, eq=False)
class Arrays(ComparedByContent):
    """A slice, a surface, or another grid of numbers around a network, completely or partly computed.

    `put` fills the arrays of a result that is being computed; those of a `closed` one are read-only.

    Two results are equal if kind, coordinates, computed points, all values, path and provenance are, bit for bit;
    `NOT_COMPARED` and the caption are left out. `difference` says what differs.
    """

    kind: str  # "slice", "surface", "interpolation", "plane", "trajectory", "curvature"
    alphas: Array  # (n,) unitless multiples of delta
    betas: Array  # (m,) unitless multiples of eta; [0] for a slice
    losses: Array  # (n, m) mean per sample, nats for the cross-entropy; NaN where not computed or the loss is NaN
    accuracies: Array  # (n, m) share of samples, NaN where not computed
    standard_errors: Array  # (n, m) of the losses over the samples, in their unit
    computed: NDArray[np.bool_]  # (n, m)
    provenance: dict[str, Any] = field(default_factory=dict)  # how it was computed; empty until the center is known
    caption: str = field(default="", compare=False)  # every setting, in one line
    extra: dict[str, Array] = field(default_factory=dict)  # more arrays (n, m) by name: "test_losses", "lambda_min", …
    path: dict[str, Any] | None = None  # the trajectory in this plane, as JSON: see directions.trajectory.Path.to_json
    # What it was computed from, for `reproduce`: the caller's own model and samples; neither saved nor pickled.
    source: Any = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "source": None}

    def compared(self) -> dict[str, Any]:
        """Name -> value of all that `==` and `hash` depend on."""
        provenance = {name: value for name, value in self.provenance.items() if name not in NOT_COMPARED}
        return {**super().compared(), "provenance": provenance}

    def __hash__(self) -> int:
        if any(array.flags.writeable for array in (self.losses, self.computed)):
            raise TypeError("The arrays of this result can still change, so it has no hash. Use result.frozen().")
        return super().__hash__()

    @classmethod
    def empty(
        cls,
        grid: Grid,
        provenance: dict[str, Any] | None = None,
        *,
        kind: str | None = None,
        columns: Sequence[str] = VALUES,
    ) -> Self:
        """An empty result on `grid`; `columns` are `VALUES` and the names of extra arrays."""
        nothing: dict[str, Any] = {name: np.full(grid.shape, np.nan) for name in columns}
        assert tuple(columns[: len(VALUES)]) == VALUES
        return cls(
            kind=kind or ("surface" if grid.beta else "slice"),
            alphas=np.array(grid.alphas, dtype=np.float64),
            betas=np.array(grid.betas, dtype=np.float64),
            **{name: nothing.pop(name) for name in VALUES},
            computed=np.zeros(grid.shape, bool),
            provenance=provenance or {},
            caption=caption(grid, provenance or {}),
            extra=nothing,
        )

    @property
    def grid(self) -> Grid:
        """The grid of its points.

        Raises:
            GridError: an axis has one coordinate, as in a file of a single point.
        """
        return Grid(_axis(self.alphas), _axis(self.betas) if len(self.betas) > 1 else None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of a row of `put`."""
        return (*VALUES, *self.extra)

    def array(self, name: str) -> Array:
        """The array called `name`, (n, m).

        Raises:
            UnknownNameError: there is none; the message lists the names.
        """
        if name not in self.columns:
            raise UnknownNameError("array", name, self.columns)
        found: Array = self.extra[name] if name in self.extra else getattr(self, name)
        return found

    @property
    def band(self) -> tuple[Array, str]:
        """(n, m) by how much the losses are uncertain, and in words what that is.

        Of a mean over seeds, the spread of the seeds, which is what another plane would show; else the standard error
        over the samples.
        """
        if SEED_DEVIATIONS in self.extra:
            seeds = (self.provenance.get("repeated") or {}).get("seeds", ())
            of = f"{len(seeds)} seeds" if seeds else "the seeds"
            return self.extra[SEED_DEVIATIONS], f"± standard deviation over {of}"
        return self.standard_errors, "± standard error of the mean over the samples"

    def put(self, points: Sequence[Point], values: "Array | Sequence[Sequence[float]]") -> None:
        """Write `values` (one row of numbers per point, in the order of `columns`) at `points`."""
        rows, columns = np.array(points, dtype=np.intp).reshape(-1, 2).T
        numbers = np.array(values, dtype=np.float64).reshape(-1, len(self.columns)).T
        for name, column in zip(self.columns, numbers, strict=True):
            self.array(name)[rows, columns] = column
        self.computed[rows, columns] = True

    def closed(self, **facts: Any) -> Self:
        """This result, read-only, with the counts of NaN and infinite losses and `facts` in its provenance."""
        odd = [point["value"] for point in self.non_finite]
        counts = {"nan_count": odd.count("nan"), "infinite_count": len(odd) - odd.count("nan")}
        return replace(self, provenance={**self.provenance, **counts, **facts}).frozen()

    def frozen(self) -> Self:
        """This result with read-only arrays."""
        read_only = {name: _read_only(getattr(self, name)) for name in ("alphas", "betas", "computed", *VALUES)}
        return replace(self, **read_only, extra={name: _read_only(array) for name, array in self.extra.items()})

    def described(self, **facts: Any) -> Self:
        """This result with `facts` in its provenance and caption: dataset, split, samples_in_split, architecture."""
        provenance = {**self.provenance, **facts}
        return replace(self, provenance=provenance, caption=caption(self.grid, provenance))

    @property
    def non_finite(self) -> list[dict[str, Any]]:
        """Computed points whose loss is NaN or infinite: [{"i", "j", "value": "nan" | "inf" | "-inf"}]."""
        where = np.argwhere(self.computed & ~np.isfinite(self.losses))
        return [{"i": int(i), "j": int(j), "value": name_of(self.losses[i, j])} for i, j in where]

    @property
    def checks(self) -> list[Check]:
        """The self-check: is this plot correct? Empty until the center is known."""
        return self_check(self.provenance, self.losses, self.computed) if self.provenance else []

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: null where a value is not computed or not finite (`non_finite` lists the latter)."""
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

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The result from the JSON of `to_json` or the service; other keys are ignored.

        A null loss was computed if and only if `non_finite` lists its point; elsewhere null is NaN.

        Raises:
            FormatError: it is not the JSON of a result.
        """
        try:
            return cls(**vars(by_digest(Arrays(**_fields_of(found))))).frozen()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise FormatError(f"This is not the JSON of a result: {type(error).__name__}, {error}.") from error

    def table(self) -> dict[str, Array]:
        """Columns (k,), one number for each of the k computed points: alpha, beta, loss, accuracy, …, extra arrays."""
        rows, columns = np.nonzero(self.computed)
        values = {_SINGULAR.get(name, name): self.array(name)[rows, columns] for name in self.columns}
        return {"alpha": self.alphas[rows], "beta": self.betas[columns], **values}


def _fields_of(found: Mapping[str, Any]) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: _numbers(found[name]) for name in VALUES}
    odd = {(point["i"], point["j"]): float(point["value"]) for point in found["non_finite"]}
    computed = np.isfinite(arrays["losses"])
    for point, value in odd.items():
        arrays["losses"][point], computed[point] = value, True
    alphas, betas = (np.array(found[name], dtype=np.float64) for name in ("alphas", "betas"))
    extra = {str(name): _numbers(array) for name, array in found["extra"].items()}
    for array in (*arrays.values(), *extra.values()):
        if array.shape != (len(alphas), len(betas)):
            raise ValueError(f"an array has shape {array.shape} for {len(alphas)} × {len(betas)} coordinates")
    return {
        "kind": str(found["kind"]),
        "alphas": alphas,
        "betas": betas,
        **arrays,
        "computed": computed,
        "extra": extra,
        "provenance": dict(found["provenance"] or {}),
        "caption": str(found["caption"]),
        "path": found["trajectory"],
    }


def _numbers(rows: Sequence[Sequence[float | None]]) -> Array:
    """Nested lists with null for NaN as an array of float64: NumPy reads None as NaN."""
    return np.array(rows, dtype=np.float64)


def _axis(coordinates: Array) -> Axis:
    return Axis(float(coordinates[0]), float(coordinates[-1]), len(coordinates))


def _read_only(array: Any) -> Any:
    copied = array.copy()
    copied.setflags(write=False)
    return copied


def nested(array: Array) -> list[list[float | None]]:
    """The rows of (n, m) as lists, null where not finite."""
    return [[finite_or_none(number) for number in row] for row in array.tolist()]


def finite_or_none(number: float) -> float | None:
    """The number, or None for NaN and infinity, which JSON lacks."""
    return number if math.isfinite(number) else None


def name_of(number: float) -> str:
    """ "nan", "inf" or "-inf"."""
    return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"


def with_digest(result: Arrays) -> Arrays:
    """The result with the digest of its values in its provenance, for a file."""
    return replace(result, provenance={**result.provenance, _DIGEST: values_digest(result)})


def by_digest(result: Arrays) -> Arrays:
    """A result as it is read, without the digest; its self-check fails if the values are not those of the digest."""
    facts = dict(result.provenance)
    digest = facts.pop(_DIGEST, None)
    if digest is not None and digest != values_digest(result):
        facts["values_changed"] = True
    return replace(result, provenance=facts)


def values_digest(result: Arrays) -> str:
    """SHA-256 (hex) of the coordinates and all values; other values than losses that are not finite count as equal."""
    digest = hashlib.sha256()
    for name in ("alphas", "betas", "computed", *sorted(result.columns)):
        array = np.asarray(result.array(name) if name in result.columns else getattr(result, name), dtype=np.float64)
        odd = np.isnan(array) if name == "losses" else ~np.isfinite(array)
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(np.where(odd, np.nan, array)).tobytes())
    return digest.hexdigest()
