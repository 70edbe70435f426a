"""Curvature over a plane: a landscape whose rows also hold the extreme Hessian eigenvalues."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import CurvatureError
from ..grid import Grid
from ..hessian.products import CHECKED, Hessian, names_over
from ..objective.objective import Objective
from ..results.arrays import finite_or_none
from ..stop import Stop
from .landscape import Landscape

CURVATURES = ("lambda_min", "lambda_max", "curvature_ratio", "lambda_min_error", "lambda_max_error")
TOLERANCE = 1e-3  # of an eigenvalue, relative to the larger magnitude: enough for the colors of a map


class CurvatureLandscape(Landscape):
    """L, λ_min, λ_max and |λ_min / λ_max| at any (α, β), with bounds on the errors of the eigenvalues.

    Raises:
        UnknownNameError: `over` is not known.
        CurvatureError: no parameter has filters.
        DataError, NotFiniteError, PlaneError, UnknownNameError: see `Landscape`.

    Source: Li et al. 2018, section 6 and Figure 7, where the ratio is shown from 0 to 0.5.
    """

    def __init__(self, *arguments: Any, over: str = "filters", steps: int = 60, **options: Any):
        """
        Args:
            over: "filters" or "all" parameters, see `Hessian`.
            steps: products of the Hessian with a vector per point, at most.
            arguments, options: those of `Landscape`.
        """
        super().__init__(*arguments, **options)
        self.over, self.steps = over, steps
        self.names: list[str] = names_over(self.objective, over, self.filters)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `Landscape`, then `CURVATURES`."""
        return (*super().columns, *CURVATURES)

    def rows(self, coordinates: Sequence[Sequence[float]], stop: Stop | None = None) -> list[tuple[float, ...]]:
        """One row per point; eigenvalues are NaN where the loss is not finite. Raises as `Landscape.rows`."""
        rows = super().rows(coordinates, stop)
        return [(*row, *self._curvature(point, stop)) for row, point in zip(rows, coordinates, strict=True)]

    def provenance(self, grid: Grid, stop: Stop | None = None) -> dict[str, Any]:
        """The provenance of `Landscape`, and how the eigenvalues are computed.

        Raises:
            CurvatureError: see `Hessian.product`.
            Stopped, MemoryExhaustedError: see `Landscape.values`.
        """
        size = sum(self.center[name].numel() for name in self.names)
        curvature = {
            "over": self.over,
            "steps": self.steps,
            "parameters": size,
            "start_seed": 0,
            "tolerance": TOLERANCE,
            "product_error": finite_or_none(self._product_error()),
        }
        return {**super().provenance(grid, stop), "curvature": curvature}

    def _product_error(self) -> float:
        """Error of a Hessian-vector product at the checkpoint against gradients, in float64 on the first samples."""
        samples = (self.objective.images[:CHECKED], self.objective.labels[:CHECKED])
        double = Objective.of(self.model, *samples, precision="float64", loss=self.loss)
        double = replace(double, behaviour=self.objective.behaviour)
        return Hessian(double, {}, over=self.names, weight_decay=self.weight_decay).product_error()

    def _curvature(self, point: Sequence[float], stop: Stop | None) -> tuple[float, ...]:
        objective, parameters = self.objective_at(point)
        hessian = Hessian(objective, parameters, over=self.names, weight_decay=self.weight_decay, stop=stop)
        try:
            low, high = hessian.extremes(steps=self.steps, tolerance=TOLERANCE)
        except CurvatureError:
            return (float("nan"),) * len(CURVATURES)
        least, most = low.value, high.value
        ratio = abs(least / most) if most else float("nan")
        return least, most, ratio, low.residual, high.residual
