"""The spectrum of the Hessian at one point, and the metrics reported from it."""

from dataclasses import dataclass
from typing import Any

from ..results.field import ROUNDING
from ..results.metrics import Number
from .lanczos import Density, Estimate


@dataclass(frozen=True)
class Spectrum:
    """Extreme eigenvalues, trace and density of the Hessian at one point."""

    lambda_min: float  # nats per squared unit of the parameters
    lambda_max: float
    residual_min: float  # bounds on the errors of both eigenvalues
    residual_max: float
    trace: Estimate
    density: Density
    parameters: int  # count of parameters the loss is differentiated with respect to

    @property
    def ratio(self) -> float:
        """|λ_min / λ_max|: near 0 where the surface is nearly convex.

        Source: Li et al. 2018, section 6.
        """
        return abs(self.lambda_min / self.lambda_max) if self.lambda_max else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        single = ("lambda_min", "lambda_max", "residual_min", "residual_max", "ratio", "parameters")
        return {
            **{name: getattr(self, name) for name in single},
            "trace": {**vars(self.trace), "error": self.trace.error},
            "density": {"eigenvalues": self.density.eigenvalues.tolist(), "density": self.density.density.tolist()},
        }


def numbers_of(found: Spectrum) -> list[Number]:
    """λ_max, λ_min and the trace at the checkpoint, for the table of metrics; an error is never below rounding."""
    unit = "loss per squared unit of the parameters"

    def extreme(name: str, value: float, residual: float, words: str) -> Number:
        return Number(name, value, unit, max(residual, ROUNDING * abs(value)), f"{words} eigenvalue of the Hessian")

    return [
        extreme("λ_max", found.lambda_max, found.residual_max, "largest"),
        extreme("λ_min", found.lambda_min, found.residual_min, "smallest"),
        Number(
            "trace",
            found.trace.value,
            unit,
            found.trace.error,
            "sum of all eigenvalues, by random probes, and half of its 95 % interval",
        ),
    ]
