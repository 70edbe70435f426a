"""Points of an earlier result in a new one, on a finer, wider or smaller grid, or as the mean over more seeds.

Nothing that was computed is computed again. Both results must have the same settings, down to the engine's choice and
the versions, so that every value is one that the new request computes by itself.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LandscapeError
from ..grid import Grid, overlap
from ..result import Result
from ..results.arrays import SEED_DEVIATIONS, VALUES

# The settings that the numbers depend on: their names in the provenance, and in messages.
SETTINGS = {
    "weights_sha256": "the checkpoint",
    "data_sha256": "the samples",
    "also": "further samples",
    "seed": "the seed",
    "repeated": "the seeds",
    "normalization": "the normalization",
    "directions": "the directions",
    "scales": "the scales without filters",
    "landmarks": "the checkpoints",
    "loss": "the loss",
    "batch_norm": "the BatchNorm policy",
    "calibration_samples": "the calibration",
    "precision": "the precision",
    "curvature": "the curvature",
    "engine": "the engine's choice",
    "device": "the device",
    "versions": "the versions",
}
_OF_SEEDS = ("seed", "repeated")
SPREAD = (SEED_DEVIATIONS, "lowest_losses", "highest_losses")  # of the losses over several seeds
Rows = NDArray[np.float64]  # (…, columns)


class DifferentSettingsError(LandscapeError):
    """An earlier result has other settings, so its points cannot be part of this one."""

    code = "different_settings"

    def __init__(self, what: str, then: str, now: str):
        self.difference = f"{what}: {then} then, {now} now"
        super().__init__(
            f"The earlier result differs in {self.difference}. Points are reused only with the same settings: "
            "use those of the earlier result, or compute every point again."
        )


def with_points_of(result: Result, earlier: Result) -> Result:
    """`result`, which has no points yet, filled with those of `earlier` that are on its grid.

    Coordinates may differ by rounding, see `grid.ROUNDING`: `provenance["reused"]` has the number of points and the
    largest difference. Between equal grids, as after an interruption, it is that of `earlier`.

    Raises:
        DifferentSettingsError: a setting differs; the message names it, with both values.
        GridError: the coordinates of `earlier` are not equally spaced.
    """
    require_same_settings(earlier, result)
    grids = [Grid.of(one.alphas.tolist(), one.betas.tolist()) for one in (earlier, result)]
    shared = overlap(*grids)
    old = np.ix_(_indices(shared.rows), _indices(shared.columns))
    new = np.ix_(_indices(shared.rows.values()), _indices(shared.columns.values()))
    known = earlier.computed[old]
    for name in result.columns:
        result.array(name)[new] = np.where(known, earlier.array(name)[old], np.nan)
    result.computed[new] = known
    note: Any = note_of(earlier.provenance, int(known.sum()), shared.difference)
    if same_points(earlier, result):
        note = earlier.provenance.get("reused")
    return replace(result, provenance={**result.provenance, **({"reused": note} if note else {})})


def with_more_seeds(earlier: Result, further: Result) -> Result:
    """The mean over the seeds of both results and the spread of the losses, at the points that both have.

    Equal to the mean over all seeds at once up to rounding, see `combined`.

    Raises:
        DifferentSettingsError: the grids, or settings other than the seeds, differ; or a seed is in both.
        LandscapeError: the directions are not random.
    """
    require_same_settings(earlier, further, but=_OF_SEEDS)
    seeds = [seeds_of(one) for one in (earlier, further)]
    if not same_points(earlier, further):
        raise DifferentSettingsError("the grid", _grid(earlier), _grid(further))
    if set(seeds[0]) & set(seeds[1]):
        raise DifferentSettingsError("the seeds, which must be others", str(seeds[0]), str(seeds[1]))
    table = combined(*((_table(one), len(of)) for one, of in zip((earlier, further), seeds, strict=True)))
    known = earlier.computed & further.computed
    columns = dict(zip((*VALUES, *SPREAD), np.moveaxis(np.where(known[..., None], table, np.nan), -1, 0), strict=True))
    cosines = [_cosine(one) for one in (earlier, further)]
    cosine = max((one for one in cosines if one is not None), default=None)
    facts: dict[str, Any] = {"repeated": {"seeds": [*seeds[0], *seeds[1]], "cosine_max": cosine}}
    facts["reused"] = note_of(earlier.provenance, int(known.sum()), 0.0, seeds=len(seeds[0]))
    if further.provenance.get("interrupted"):
        facts["interrupted"] = True
    if request := earlier.provenance.get("request"):
        facts["request"] = {**request, "options": {**request["options"], "repeats": len(seeds[0]) + len(seeds[1])}}
    facts["seconds"] = sum(one.provenance.get("seconds", 0.0) for one in (earlier, further))
    values = {name: columns.pop(name) for name in VALUES}
    return replace(earlier, **values, extra=columns, computed=known).closed(**facts)


def note_of(earlier: Mapping[str, Any], points: int, difference: float, *, seeds: int | None = None) -> dict[str, Any]:
    """What `provenance["reused"]` of a result says about the points of an earlier one.

    Args:
        earlier: its provenance.
        points: their number.
        difference: largest between the coordinates of the same point in both.
        seeds: of the earlier result, if the new one is the mean over more.

    Returns:
        These facts, and whether the result is `exact`: then all its values have the bits of one computed at once; else
        they may differ by rounding.
    """
    exact = (earlier.get("reused") or {}).get("exact", True) and difference == 0 and seeds is None
    note = {"points": points, "coordinate_difference": difference, "exact": exact}
    return note if seeds is None else {**note, "seeds": seeds}


def combined(first: tuple[Rows, int], second: tuple[Rows, int]) -> Rows:
    """Rows of means over n₁ + n₂ seeds, from the rows of n₁ and of n₂ seeds.

    Args:
        first, second: rows (…, columns) and their number of seeds. The columns are `VALUES`, then `SPREAD` unless
            there is one seed.

    Returns:
        (…, 6): `VALUES` and `SPREAD`; the spread is NaN where a loss is not finite.

    Source: sums and squares of deviations are merged as by Chan, Golub, LeVeque 1983, "Algorithms for computing the
    sample variance", equation 2.1.
    """
    (one, n), (other, m) = first, second
    with np.errstate(invalid="ignore", over="ignore"):
        means = (n * one[..., :3] + m * other[..., :3]) / (n + m)
        gap = one[..., 0] - other[..., 0]
        squares = (n - 1) * _deviations(one) ** 2 + (m - 1) * _deviations(other) ** 2 + gap**2 * (n * m / (n + m))
        deviations = np.sqrt(squares / (n + m - 1))
    low = np.minimum(one[..., 4 if n > 1 else 0], other[..., 4 if m > 1 else 0])
    high = np.maximum(one[..., 5 if n > 1 else 0], other[..., 5 if m > 1 else 0])
    spread = np.stack([deviations, low, high], axis=-1)
    finite = np.isfinite(means[..., :1])
    return np.concatenate([means, np.where(finite, spread, np.nan)], axis=-1)


def _deviations(rows: Rows) -> Rows:
    return rows[..., 3] if rows.shape[-1] > 3 else np.zeros(rows.shape[:-1])


def seeds_of(result: Result) -> list[int]:
    """The seeds that a result is the mean over; one for most.

    Raises:
        LandscapeError: its directions are not random.
    """
    repeated, seed = result.provenance.get("repeated"), result.provenance.get("seed")
    if repeated:
        return list(repeated["seeds"])
    if seed is None:
        raise LandscapeError("The directions of this result are not random, so there are no further seeds.")
    return [seed]


def require_same_settings(earlier: Result, now: Result, *, but: "tuple[str, ...]" = ()) -> None:
    """Refuse to reuse points computed with other settings.

    Args:
        but: names in `SETTINGS` that may differ; with "repeated", the arrays of the spread may be missing.

    Raises:
        DifferentSettingsError: a setting differs; the message names it, with both values.
    """
    if earlier.kind != now.kind:
        raise DifferentSettingsError("the kind", earlier.kind, now.kind)
    if difference := first_difference(earlier.provenance, now.provenance, but=but):
        raise DifferentSettingsError(*difference)
    names = [[name for name in one.columns if name not in SPREAD or "repeated" not in but] for one in (earlier, now)]
    if names[0] != names[1]:
        raise DifferentSettingsError("the arrays", *(", ".join(one) for one in names))


def first_difference(
    earlier: Mapping[str, Any], now: Mapping[str, Any], *, but: "tuple[str, ...]" = ()
) -> tuple[str, str, str] | None:
    """The first setting in which two provenances differ, in words, with both values; None if there is none."""
    for name, words in SETTINGS.items():
        old, new = (one.get(name) or None if name in ("also", "scales") else one.get(name) for one in (earlier, now))
        if name not in but and _plain(old) != _plain(new):
            then, current = _short(old, new)
            return words, then, current
    return None


def same_points(one: Result, other: Result) -> bool:
    """Whether two results have the same coordinates, bit for bit."""
    return np.array_equal(one.alphas, other.alphas) and np.array_equal(one.betas, other.betas)


def require_same_points(earlier: Result, grid: Grid) -> None:
    """Refuse an earlier result on another grid.

    Raises:
        DifferentSettingsError: it is.
    """
    now = Result.empty(grid)
    if not same_points(earlier, now):
        raise DifferentSettingsError("the grid", _grid(earlier), _grid(now))


def _grid(result: Result) -> str:
    spans = [
        f"{len(axis)} points on [{axis[0]:g}, {axis[-1]:g}]" for axis in (result.alphas, result.betas) if len(axis) > 1
    ]
    return " × ".join(spans)


def _table(result: Result) -> Rows:
    return np.stack([result.array(name) for name in result.columns], axis=-1)


def _cosine(result: Result) -> float | None:
    """The largest |cos(δ, η)| of any seed; None for a slice."""
    repeated, own = result.provenance.get("repeated"), result.provenance.get("cosine")
    if repeated:
        largest: float | None = repeated["cosine_max"]
        return largest
    return None if own is None else abs(own)


def _indices(values: Any) -> NDArray[np.intp]:
    return np.array(list(values), dtype=np.intp)


def _plain(value: Any) -> Any:
    """The value after a round trip through JSON, so that a tuple equals the list that JSON makes of it."""
    return json.loads(json.dumps(value))


def _short(old: Any, new: Any) -> Iterator[str]:
    """Both values as short text: of mappings, the entries that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [name for name in {**old, **new} if _plain(old.get(name)) != _plain(new.get(name))]
        old, new = ({name: one[name] for name in names if name in one} for one in (old, new))
    for value in (old, new):
        text = str(value)
        yield text if len(text) <= 60 else f"{text[:57]}…"
