"""A map of the curvature: extreme eigenvalues of the Hessian over a grid."""

from typing import TYPE_CHECKING

from ..grid import Grid
from ..options import CurvatureOptions, DirectionOptions
from .definition import Column, Kind

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape, with the extreme eigenvalues of the Hessian at every point.

    Raises:
        GridError, DataError, PlaneError: see `around_one`.
        UnknownNameError, CurvatureError: see `CurvatureLandscape`.
    """
    from ..evaluation import setup
    from ..evaluation.curvature_map import CurvatureLandscape

    over, most = call.options["over"], call.options["steps"]
    return setup.around_one(call, make=CurvatureLandscape, over=over, steps=most)


KIND = Kind(
    name="curvature",
    label="Curvature map",
    summary="λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid, and the loss, as in Li et al. 2018.",
    prepare=prepare,
    axes=(2, 1),
    grid=Grid.square(11),
    own=(DirectionOptions, CurvatureOptions),
    columns=(
        Column("lambda_min", "Smallest eigenvalue of the Hessian.", "of the loss"),
        Column("lambda_max", "Largest eigenvalue of the Hessian.", "of the loss"),
        Column("curvature_ratio", "|λ_min / λ_max|: 0 where the loss is convex."),
        Column("lambda_min_error", "Bound on the error of the smallest eigenvalue.", "of the loss"),
        Column("lambda_max_error", "Bound on the error of the largest eigenvalue.", "of the loss"),
    ),
    details="Every point costs up to `steps` products of the Hessian with a vector, each about six passes over the "
    "data: hundreds of times as long as a surface.",
    raises={"GridError": "given directions are not as many as the axes of the grid."},
    example=">>> found = ls.curvature(model, images, labels, grid=ls.Grid.line(3), steps=8, progress=False)\n"
    ">>> found.array('lambda_max').shape\n(3, 1)",
    shell="landscape curvature checkpoint.pt --grid 7x7 --subset 200 -o curvature.npz",
)
