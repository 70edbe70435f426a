"""How far the arrays of two results are apart, and how far rounding may carry them.

Rounding moves a loss by a share of itself, `self_check.tolerance` for the precision. The other values follow: the
standard error and the spread move by as much as the losses they are made of, a sample whose two largest scores are
equal up to rounding may be classified either way, and an eigenvalue is known up to the errors that both results state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import VALUES, Array, Arrays
from .self_check import tolerance

SMALLEST = 1e-3  # losses below count as this: the bound is then absolute, as in the self-check
FLIPPED = 1e-3  # share of the samples that rounding may classify otherwise; one sample at least
EIGENVALUE = 1e-3  # relative tolerance of the eigenvalue solver
COORDINATE = 2.0**-40  # of the range: far above rounding, far below the distance of two points


@dataclass(frozen=True)
class Deviation:
    """How far one array of a second result is from that of a first, at the points that both have computed."""

    name: str
    count: int  # numbers compared
    differing: int  # numbers with other bits; NaN is the same as NaN
    absolute: float  # largest |difference|; infinite where only one number is finite
    relative: float  # largest |difference| / |first|, where the first is not zero
    standard_errors: float | None  # largest |difference| / standard error, of losses
    bound_used: float | None  # largest |difference| / what rounding may do; None where that is not known

    @property
    def bitwise(self) -> bool:
        """Whether all numbers are equal, bit for bit."""
        return not self.differing

    @property
    def by_rounding(self) -> bool:
        """Whether rounding explains every difference, as far as a bound is known."""
        return self.bitwise or self.bound_used is None or self.bound_used <= 1


def deviations(first: Arrays, second: Arrays) -> Iterator[Deviation]:
    """One for the coordinates along each axis, for every array, and for the losses along a trajectory.

    Both results have the same grid and the same arrays.
    """
    for name in ("alphas", "betas"):
        one, other = getattr(first, name), getattr(second, name)
        yield deviation(name, one, other, np.full(one.shape, COORDINATE * float(np.ptp(one))))
    common = first.computed & second.computed
    for name in first.columns:
        allowed, errors = _allowed(name, first, second), _errors(name, first)
        pair = first.array(name)[common], second.array(name)[common]
        yield deviation(
            name, *pair, None if allowed is None else allowed[common], None if errors is None else errors[common]
        )
    if first.path and second.path and len(first.path["losses"]) == len(second.path["losses"]):
        for name in ("losses", "plane_losses"):
            one, other = (np.array(path[name], dtype=np.float64) for path in (first.path, second.path))
            yield deviation(f"path {name}".replace("_", " "), one, other, _of_losses(one, first))


def deviation(
    name: str, first: Array, second: Array, allowed: Array | None = None, errors: Array | None = None
) -> Deviation:
    """Compare two arrays (k,) of numbers.

    Args:
        allowed: (k,) the largest |difference| that rounding explains.
        errors: (k,) standard errors.
    """
    one, other = (np.ascontiguousarray(array, dtype=np.float64) for array in (first, second))
    same = (one.view(np.int64) == other.view(np.int64)) | (np.isnan(one) & np.isnan(other))
    with np.errstate(all="ignore"):  # of infinite and huge numbers
        apart = np.where(same, 0.0, np.abs(other - one))
        apart[np.isnan(apart)] = np.inf
        return Deviation(
            name,
            one.size,
            int((~same).sum()),
            float(apart.max(initial=0.0)),
            float((apart / np.abs(one))[(one != 0) & np.isfinite(one)].max(initial=0.0)),
            None if errors is None else _largest(apart, errors),
            None if allowed is None else _largest(apart, allowed),
        )


def _largest(apart: Array, unit: Array) -> float:
    """The largest difference in `unit`; where that is NaN or zero, any difference is infinite."""
    shares = np.divide(apart, unit, out=np.where(apart > 0, np.inf, 0.0), where=unit > 0)
    return float(shares.max(initial=0.0))


def _errors(name: str, first: Arrays) -> Array | None:
    errors = name.replace("losses", "standard_errors")
    return first.array(errors) if name.endswith("losses") and errors in first.columns else None


def _allowed(name: str, first: Arrays, second: Arrays) -> Array | None:
    """(n, m) what rounding may do to the array called `name`; None for one with its own error or without a bound."""
    view = next((name.removesuffix(value) for value in VALUES if name.endswith(value)), "")
    if name == "seed_deviations":
        return _of_losses(first.array("highest_losses"), first)
    if name.endswith(("losses", "standard_errors")):
        losses = name if name.endswith("losses") else f"{view}losses"
        return _of_losses(first.array(losses), first)
    if name.endswith("accuracies"):
        share = max(FLIPPED, 1 / first.provenance.get("samples", 1), _relative(first))
        return np.full(first.losses.shape, share)
    if name in ("lambda_min", "lambda_max"):
        return _of_eigenvalues(name, first, second)
    return None


def _of_losses(losses: Array, result: Arrays) -> Array:
    return _relative(result) * np.maximum(np.abs(losses), SMALLEST)


def _of_eigenvalues(name: str, first: Arrays, second: Arrays) -> Array:
    size = np.maximum(np.abs(first.array("lambda_min")), np.abs(first.array("lambda_max")))
    stated: Array = first.array(f"{name}_error") + second.array(f"{name}_error")
    return EIGENVALUE * size + stated


def _relative(result: Arrays) -> float:
    """Relative rounding error of a loss; 0 for a result without provenance, whose precision is unknown."""
    return tolerance(result.provenance) if "precision" in result.provenance else 0.0


def same_coordinates(first: Arrays, second: Arrays) -> bool:
    """Whether the grids are the same up to rounding of the coordinates."""
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    pairs = [(first.alphas, second.alphas), (first.betas, second.betas)]
    return all(
        one.shape == other.shape and bool((np.abs(one - other) <= COORDINATE * np.ptp(one)).all())
        for one, other in pairs
    )
