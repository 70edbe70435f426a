"""Random small networks against an obvious float64 loop: no line of the self-check is green over a wrong value.

`make fuzz` runs more: LANDSCAPE_FUZZ=N runs N seeds; LANDSCAPE_SEED=S begins with another.
"""

import contextlib
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape import api
from landscape.errors import LandscapeError
from landscape.result import Result
from tests.support.random_networks import Case, case
from tests.support.random_reference import WAYS, Array, obvious_losses

FIRST = int(os.environ.get("LANDSCAPE_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("LANDSCAPE_FUZZ", "200")))
STATED = {"float32": 1e-5, "float64": 1e-9}  # relative: the rounding that the self-check allows
COARSE = {"coarse": 5e-5, "bfloat16": 0.02}
UNCERTAIN = {"random", "state", "kept"}  # no value of such a network is certain


@dataclass(frozen=True)
class Outcome:
    """What became of a case: "right", "red" or "refused"; or a fault, in capitals."""

    verdict: str
    text: str = ""


def landscape_of(given: Case, images: Tensor) -> Result:
    sample, options = (images, given.target.labels.clone()), dict(given.options)
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
    images = given.images.clone()
    try:
        result = landscape_of(given, images)
    except LandscapeError as error:
        return Outcome("refused", f"{type(error).__name__}: {error}")
    if not torch.equal(images, given.images):
        return Outcome("SAMPLES CHANGED")
    given = replace(given, scales=tuple(result.provenance["scales"]))
    stated = STATED[given.options["precision"]]
    limit = max(5 * stated, *(COARSE.get(tag, 0.0) for tag in given.tags), 0.0)
    expected, spread, way = _expected(given)
    if way != "float64":
        limit = max(limit, COARSE["coarse"])
    elif limit > 1e-7 and not given.tags & UNCERTAIN:
        limit = max(limit, _rounding_of(given, expected))
    wrong = max(float(errors(result.losses, expected).max()), _of_the_errors(result, expected, spread))
    red = [f"{check.name}: {check.text}" for check in result.checks if not check.passed]
    text = f"largest error {wrong:.2g}, limit {limit:.2g} in {way}; red: {red}; {result.provenance['engine']}"
    if not red and "kept" in given.tags:
        return Outcome("FALSE GREEN, kept weights", text)
    if not red:
        return Outcome("right" if wrong <= limit else "FALSE GREEN", text)
    certain = not given.tags & UNCERTAIN and np.isfinite(expected).all() and not _skew(result)
    return Outcome("FALSE RED" if certain and wrong <= stated else "red", text)


def _of_the_errors(result: Result, expected: Array, spread: Array) -> float:
    """The largest difference of the standard errors, relative to the losses; a tenth, as they are differences."""
    if np.isnan(spread).any():  # of one sample, or of a loss that is not finite
        return 0.0
    size = np.minimum(1.0, spread / np.maximum(np.abs(expected), 1e-3))
    return float((errors(result.standard_errors, spread) * size).max()) / 10


@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_is_green_over_a_wrong_value(seed: int) -> None:
    given = case(seed)
    found = outcome(given)
    assert found.verdict in ("right", "red", "refused"), f"{found.verdict}: {found.text}\n{given}"


def test_most_networks_are_neither_refused_nor_red() -> None:
    assert [outcome(case(seed)).verdict for seed in range(30)].count("right") >= 20
