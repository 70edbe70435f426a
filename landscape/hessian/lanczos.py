"""Eigenvalues of a symmetric matrix that is known by its products only: extremes, trace, density.

Imports torch and errors. Knows nothing of networks: an operator is a function from (n,) to (n,), linear and symmetric.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CurvatureError

Operator = Callable[[Tensor], Tensor]  # (n,) float64 -> (n,) float64

STEPS = 100
TOLERANCE = 1e-4
_BREAKDOWN = 1e-12


@dataclass(frozen=True)
class Tridiagonal:
    """What k products of Lanczos know of a matrix A: Q T Qᵀ, T symmetric and tridiagonal."""

    basis: Tensor  # Q, (k, n), orthonormal rows
    diagonal: Tensor  # (k,)
    below: Tensor  # (k,); the last is the norm of the residual, 0 where the space is exhausted

    def matrix(self) -> Tensor:
        """T, (k, k)."""
        inner = self.below[:-1]
        return torch.diag(self.diagonal) + torch.diag(inner, 1) + torch.diag(inner, -1)


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue found, its unit vector, and how far the true one can be: |λ − value| ≤ residual."""

    value: float
    vector: Tensor  # (n,)
    residual: float  # ‖A v − value · v‖, a bound on the error of `value`


@dataclass(frozen=True)
class Estimate:
    """A mean over random probes with its standard error."""

    value: float
    standard_error: float
    probes: int


@dataclass(frozen=True)
class Density:
    """The spectrum as a smoothed histogram: `density` integrates to 1 over the real line."""

    eigenvalues: Tensor  # (points,)
    density: Tensor  # (points,), share of eigenvalues per unit
    nodes: Tensor  # (probes, k) Ritz values
    weights: Tensor  # (probes, k), rows sum to 1
    width: float  # standard deviation of the smoothing Gaussian


class Lanczos:
    """Products of Lanczos from a start, as many as asked for so far; every new vector orthogonalised twice against all.

    Source: Golub & Van Loan, section 10.1, with full reorthogonalisation, without which copies of λ_max appear.
    """

    def __init__(self, operator: Operator, start: Tensor):
        self.operator, self.basis = operator, [start / start.norm()]
        self.diagonal: list[float] = []
        self.below: list[float] = []

    @property
    def exhausted(self) -> bool:
        """Whether the space is: the eigenvalues of T are then exact, and no further product adds any."""
        return bool(self.below) and not self.below[-1]

    def advance(self, steps: int) -> Tridiagonal:
        """What is known after `steps` products in all, or fewer where the space is exhausted.

        Raises:
            CurvatureError: a product is NaN or infinite.
        """
        while len(self.diagonal) < steps and not self.exhausted:
            self._next()
        basis = torch.stack(self.basis[: len(self.diagonal)])
        return Tridiagonal(basis, *(torch.tensor(given, dtype=torch.float64) for given in (self.diagonal, self.below)))

    def _next(self) -> None:
        vector = self.basis[-1]
        product = self.operator(vector)
        if not bool(torch.isfinite(product).all()):
            raise CurvatureError("A Hessian-vector product is not finite: the loss has no curvature there.")
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
    """At most `steps` products of Lanczos from `start`; see `Lanczos`."""
    return Lanczos(operator, start).advance(steps)


def extremes(
    operator: Operator, size: int, *, seed: int = 0, steps: int = STEPS, tolerance: float = TOLERANCE
) -> tuple[Eigenpair, Eigenpair]:
    """The smallest and the largest eigenvalue, from one run of Lanczos with a seeded Gaussian start.

    Goes on until both residuals are below `tolerance` times the larger magnitude, or `steps` products are spent; the
    residuals say how far it came. An eigenvector orthogonal to the start cannot be found: for a Gaussian start that has
    probability zero, but an eigenvalue close to the extreme one may be reported in its place.
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
    """All Ritz pairs, smallest value first."""
    values, vectors = torch.linalg.eigh(found.matrix())
    residuals = (found.below[-1] * vectors[-1]).abs()
    return [Eigenpair(float(values[k]), vectors[:, k] @ found.basis, float(residuals[k])) for k in range(len(values))]


def largest(operator: Operator, size: int, *, count: int, seed: int = 0, steps: int = STEPS) -> list[Eigenpair]:
    """The `count` eigenpairs of largest magnitude, largest first.

    Raises:
        CurvatureError: the matrix has fewer.
    """
    pairs = eigenpairs_of(lanczos(operator, gaussian(size, seed), steps))
    if len(pairs) < count:
        raise CurvatureError(f"The Hessian has {len(pairs)} different eigenvalues at this point; {count} are needed.")
    return sorted(pairs, key=lambda pair: -abs(pair.value))[:count]


def trace(operator: Operator, size: int, *, probes: int = 30, seed: int = 0) -> Estimate:
    """The trace as a mean of vᵀ A v over vectors v of random signs.

    Source: Hutchinson 1990; unbiased, with variance 2 (‖A‖² − Σ A_ii²) per probe.
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

    Every probe turns into a quadrature rule with `steps` nodes: its polynomial moments up to degree 2 · steps − 1 are
    those of the probe's own spectral measure, exactly.

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
    """(size,) standard Gaussian numbers of a generator of their own."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def signs(size: int, seed: int, probe: int) -> Tensor:
    """(size,) random signs, ±1."""
    generator = torch.Generator().manual_seed(seed * 100_003 + probe)
    return torch.randint(2, (size,), generator=generator).double() * 2 - 1
