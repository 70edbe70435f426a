"""Random small networks against an obvious float64 loop: no line of the self-check is green over a wrong value.

`make fuzz` runs more seeds; LANDSCAPE_FUZZ=N runs N of them, LANDSCAPE_SEED=S the one.
"""

import contextlib
import os
from dataclasses import dataclass

import numpy as np
import pytest

from landscape import api
from landscape.errors import LandscapeError
from landscape.result import Result
from tests.support.random_networks import Case, case
from tests.support.random_reference import WAYS, Array, obvious_losses

SEEDS = int(os.environ.get("LANDSCAPE_FUZZ", "200"))
STATED = {"float32": 1e-5, "float64": 1e-9}  # relative: the rounding that the self-check allows
COARSE = {"coarse": 5e-5, "bfloat16": 0.02}
UNCERTAIN = {"random", "state", "kept"}  # no value of such a network is certain


@dataclass(frozen=True)
class Outcome:
    """What became of a case: "right", "red" or "refused"; or a fault, in capitals."""

    verdict: str
    text: str = ""


def landscape_of(given: Case) -> Result:
    sample, options = (given.images.clone(), given.target.labels.clone()), dict(given.options)
    options |= {"loss": given.target.loss, "progress": False, "grid": given.grid}
    if given.kind == "interpolation":
        for name in ("seed", "normalization", "biases", "orthogonality", "drawn"):
            options.pop(name, None)
        return api.interpolation(given.model, given.other, *sample, **options)
    return (api.surface if given.kind == "surface" else api.slice)(given.model, *sample, **options)


def errors(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Relative differences, absolute ones of values below 0.001; infinite where only one is finite."""
    with np.errstate(invalid="ignore"):
        relative = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.where(same, 0.0, np.where(np.isfinite(relative), relative, np.inf))


def _skew(result: Result) -> bool:
    """Whether directions that should be orthogonal are not, which a red line says rightly."""
    return abs(result.provenance["cosine"] or 0.0) > 1e-6


def _expected(given: Case) -> tuple[Array, Array, str]:
    for way in WAYS:
        try:
            return *obvious_losses(given, way), way
        except Exception as error:  # the network cannot be computed in these types
            last = error
    raise last


def _rounding_of(given: Case, expected: Array) -> float:
    """Ten times the error of the obvious loop itself in the types of the network."""
    for way in WAYS[1:]:
        with contextlib.suppress(Exception):
            return 10 * float(errors(obvious_losses(given, way)[0], expected).max())
    return 0.0


def outcome(given: Case) -> Outcome:
    try:
        result = landscape_of(given)
    except LandscapeError as error:
        return Outcome("refused", f"{type(error).__name__}: {error}")
    red = [f"{check.name}: {check.text}" for check in result.checks if not check.passed]
    limit = max(5 * STATED[given.options["precision"]], *(COARSE.get(tag, 0.0) for tag in given.tags), 0.0)
    expected, spread, way = _expected(given)
    if way != "float64":
        limit = max(limit, COARSE["coarse"])
    elif limit > 1e-7 and not given.tags & UNCERTAIN:
        limit = max(limit, _rounding_of(given, expected))
    wrong = float(errors(result.losses, expected).max())
    spreads = errors(result.standard_errors, spread) * np.minimum(1.0, spread / np.maximum(np.abs(expected), 1e-3))
    if len(given.images) > 1:
        wrong = max(wrong, float(np.nan_to_num(spreads, nan=0.0).max()) / 10)
    text = f"largest error {wrong:.2g}, limit {limit:.2g} in {way}; red: {red}; {result.provenance['engine']}"
    infinite = not np.isfinite(expected).all()
    right = wrong <= limit
    if not red:
        if "kept" in given.tags:
            return Outcome("FALSE GREEN, kept weights", text)
        return Outcome("right" if right else "FALSE GREEN", text)
    if (
        wrong <= STATED[given.options["precision"]]
        and not given.tags & UNCERTAIN
        and not infinite
        and not _skew(result)
    ):
        return Outcome("FALSE RED", text)
    return Outcome("red", text)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_line_is_green_over_a_wrong_value(seed: int) -> None:
    given = case(seed)
    found = outcome(given)
    assert found.verdict in ("right", "red", "refused"), f"{found.verdict}: {found.text}\n{given}"
