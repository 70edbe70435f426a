"""Lanczos for a symmetric matrix known only by its products: extreme eigenvalues, trace, density.

Independent of networks: an operator is a function from (n,) to (n,), linear and symmetric.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CurvatureError
from ..objective.interval import student
from ..results.content import ComparedByContent

Operator = Callable[[Tensor], Tensor]  # (n,) float64 -> (n,) float64

STEPS = 100
TOLERANCE = 1e-4
_BREAKDOWN = 1e-12


@dataclass(frozen=True)
class Tridiagonal:
    """The result of k steps of Lanczos on a matrix A: Q A Qᵀ = T, symmetric and tridiagonal."""

    basis: Tensor  # Q, (k, n), orthonormal rows
    diagonal: Tensor  # (k,)
    below: Tensor  # (k,); the last is the norm of the residual, 0 if the space is exhausted

    def matrix(self) -> Tensor:
        """T, (k, k)."""
        inner = self.below[:-1]
        return torch.diag(self.diagonal) + torch.diag(inner, 1) + torch.diag(inner, -1)


@dataclass(frozen=True, eq=False)
class Eigenpair(ComparedByContent):
    """An approximate eigenvalue, its unit vector and an error bound: |λ − value| ≤ residual for an eigenvalue λ."""

    value: float
    vector: Tensor  # (n,)
    residual: float  # ‖A v − value · v‖


@dataclass(frozen=True)
class Estimate:
    """A mean over random probes with its standard error."""

    value: float
    standard_error: float
    probes: int

    @property
    def error(self) -> float:
        """Half of the 95 % confidence interval, by Student's t for so few probes: 2.4 standard errors for 8.

        Source: Student 1908, doi:10.2307/2331554.
        """
        return student(self.probes - 1) * self.standard_error if self.probes > 1 else math.nan


@dataclass(frozen=True, eq=False)
class Density(ComparedByContent):
    """The spectrum as a smoothed histogram: `density` integrates to 1 over the real line."""

    eigenvalues: Tensor  # (points,)
    density: Tensor  # (points,), share of eigenvalues per unit
    nodes: Tensor  # (probes, k) Ritz values
    weights: Tensor  # (probes, k), rows sum to 1
    width: float  # standard deviation of the smoothing Gaussian


class Lanczos:
    """A run of Lanczos that can be continued; every new vector is orthogonalized twice against all before it.

    Source: Golub & Van Loan 2013, section 10.1, with full reorthogonalization, without which copies of λ_max appear.
    """

    def __init__(self, operator: Operator, start: Tensor):
        self.operator: Operator = operator
        self.basis: list[Tensor] = [start / start.norm()]
        self.diagonal: list[float] = []
        self.below: list[float] = []

    @property
    def exhausted(self) -> bool:
        """Whether the Krylov space is exhausted: the eigenvalues of T are then exact, and further steps add none."""
        return bool(self.below) and not self.below[-1]

    def advance(self, steps: int) -> Tridiagonal:
        """The tridiagonal form after `steps` products in all, or fewer if the space is exhausted.

        Raises:
            CurvatureError: a product is NaN or infinite.
        """
        while len(self.diagonal) < steps and not self.exhausted:
            self._next()
        basis = torch.stack(self.basis[: len(self.diagonal)])
        diagonal, below = (torch.tensor(found, dtype=torch.float64) for found in (self.diagonal, self.below))
        return Tridiagonal(basis, diagonal, below)

    def _next(self) -> None:
        vector = self.basis[-1]
        product = self.operator(vector)
        if not bool(torch.isfinite(product).all()):
            raise CurvatureError("A Hessian-vector product is not finite: the loss has no curvature at this point.")
        self.diagonal.append(float(vector @ product))
        size, known = float(product.norm()), torch.stack(self.basis)
        for _ in range(2):
            product = product - known.T @ (known @ product)
        rest = float(product.norm())
        over = rest <= _BREAKDOWN * max(size, _BREAKDOWN) or len(self.basis) == len(vector)
        self.below.append(0.0 if over else rest)
        if not over:
            self.basis.append(product / rest)


def lanczos(operator: Operator, start: Tensor, steps: int) -> Tridiagonal:
    """At most `steps` steps of Lanczos from `start`, (n,); raises as `Lanczos.advance`.

    For a diagonal matrix of size 2, two steps give its trace and determinant, 5 and 6:

    >>> scales = torch.tensor([2.0, 3.0], dtype=torch.float64)
    >>> form = lanczos(lambda vector: scales * vector, torch.ones(2, dtype=torch.float64), 2).matrix()
    >>> round(float(form.trace()), 9), round(float(torch.linalg.det(form)), 9)
    (5.0, 6.0)
    """
    return Lanczos(operator, start).advance(steps)


def extremes(
    operator: Operator, size: int, *, seed: int = 0, steps: int = STEPS, tolerance: float = TOLERANCE
) -> tuple[Eigenpair, Eigenpair]:
    """The smallest and the largest eigenvalue, from one run of Lanczos with a seeded Gaussian start.

    Stops once both residuals are below `tolerance` times the larger magnitude, or after `steps` products; the residuals
    show how accurate the result is. An eigenvector orthogonal to the start cannot be found: for a Gaussian start that
    has probability zero, but an eigenvalue close to the extreme one may be reported instead.

    Raises:
        CurvatureError: a product is NaN or infinite.

    Source: Golub & Van Loan 2013, section 10.1.

    >>> scales = torch.tensor([-1.0, 2.0, 5.0], dtype=torch.float64)
    >>> low, high = extremes(lambda vector: scales * vector, 3)
    >>> round(low.value, 9), round(high.value, 9)
    (-1.0, 5.0)
    """
    run = Lanczos(operator, gaussian(size, seed))
    for length in [*range(10, steps, 5), steps]:
        pairs = eigenpairs_of(run.advance(length))
        low, high = pairs[0], pairs[-1]
        scale = max(abs(low.value), abs(high.value))
        if max(low.residual, high.residual) <= tolerance * scale or run.exhausted:
            break
    return low, high


def eigenpairs_of(found: Tridiagonal) -> list[Eigenpair]:
    """All Ritz pairs, smallest value first; the residual is the last off-diagonal times the last entry of the vector.

    Source: Golub & Van Loan 2013, section 10.1.
    """
    values, vectors = torch.linalg.eigh(found.matrix())
    residuals = (found.below[-1] * vectors[-1]).abs()
    return [Eigenpair(float(values[k]), vectors[:, k] @ found.basis, float(residuals[k])) for k in range(len(values))]


def largest(operator: Operator, size: int, *, count: int, seed: int = 0, steps: int = STEPS) -> list[Eigenpair]:
    """The `count` eigenpairs of largest magnitude, largest first.

    Raises:
        CurvatureError: the matrix has fewer eigenpairs, or a product is NaN or infinite.
    """
    pairs = eigenpairs_of(lanczos(operator, gaussian(size, seed), steps))
    if len(pairs) < count:
        raise CurvatureError(f"The Hessian has {len(pairs)} different eigenvalues at this point; {count} are needed.")
    return sorted(pairs, key=lambda pair: -abs(pair.value))[:count]


def trace(operator: Operator, size: int, *, probes: int = 30, seed: int = 0) -> Estimate:
    """The trace, estimated as the mean of vᵀ A v over vectors v of random signs.

    Source: Hutchinson 1990; unbiased, with variance 2 (‖A‖² − Σ A_ii²) per probe, so exact for a diagonal matrix:

    >>> scales = torch.tensor([-1.0, 2.0, 5.0], dtype=torch.float64)
    >>> trace(lambda vector: scales * vector, 3, probes=2)
    Estimate(value=6.0, standard_error=0.0, probes=2)
    """
    values = [float(probe @ operator(probe)) for probe in (signs(size, seed, k) for k in range(probes))]
    return _mean(values)


def _mean(values: list[float]) -> Estimate:
    count, mean = len(values), sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1)) if count > 1 else math.nan
    return Estimate(mean, spread / count**0.5, count)


def density(
    operator: Operator, size: int, *, probes: int = 8, steps: int = 40, points: int = 400, seed: int = 0
) -> Density:
    """The density of eigenvalues by stochastic Lanczos quadrature, smoothed by Gaussians (width: 1 % of the range).

    Every probe gives a quadrature rule with `steps` nodes, whose polynomial moments up to degree 2 · steps − 1 equal
    those of the probe's spectral measure.

    Raises:
        CurvatureError: a product is NaN or infinite.

    Source: Lin, Saad & Yang 2016; Ghorbani, Krishnan & Xiao 2019.
    """
    rules = [_rule(lanczos(operator, signs(size, seed, probe), steps)) for probe in range(probes)]
    longest = max(len(nodes) for nodes, _ in rules)
    nodes = torch.stack([torch.cat([n, n[-1:].expand(longest - len(n))]) for n, _ in rules])
    weights = torch.stack([torch.cat([w, w.new_zeros(longest - len(w))]) for _, w in rules])
    low, high = float(nodes.min()), float(nodes.max())
    width = 0.01 * (high - low) or 1e-3 * max(abs(high), 1e-3)
    at = torch.linspace(low - 5 * width, high + 5 * width, points, dtype=torch.float64)
    bells = torch.exp(-0.5 * ((at[:, None, None] - nodes) / width) ** 2) / (width * math.sqrt(2 * math.pi))
    return Density(at, (bells * weights).sum((1, 2)) / probes, nodes, weights, width)


def _rule(found: Tridiagonal) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(found.matrix())
    return values, vectors[0].square()


def gaussian(size: int, seed: int) -> Tensor:
    """(size,) standard Gaussian numbers from a generator seeded by `seed`."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def signs(size: int, seed: int, probe: int) -> Tensor:
    """(size,) random signs, ±1."""
    generator = torch.Generator().manual_seed(seed * 100_003 + probe)
    return torch.randint(2, (size,), generator=generator).double() * 2 - 1
