"""A surface: L(θ* + αδ + βη) on a grid."""

from typing import TYPE_CHECKING

from ..grid import Grid
from ..options import DirectionOptions, RepeatOptions
from .definition import Column, Exclusion, Kind

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call

ONE_MEAN = Exclusion(
    "repeats",
    ("directions", "also", "compare_batch_norm"),
    "repeats above 1 take random directions, one split and one BatchNorm policy.",
)
SPREAD = (
    Column("seed_deviations", "Standard deviation of the loss over the seeds, with `repeats`.", "of the loss"),
    Column("lowest_losses", "Smallest loss of any seed, with `repeats`.", "of the loss"),
    Column("highest_losses", "Largest loss of any seed, with `repeats`.", "of the loss"),
)


def prepare(call: "Call") -> "Prepared":
    """The landscape along one or two directions; with `repeats`, for several seeds.

    Raises:
        GridError, DataError, PlaneError: see `around_one`.
    """
    from ..evaluation import setup

    return setup.around_one(call)


KIND = Kind(
    name="surface",
    label="Surface",
    summary="The surface L(θ* + αδ + βη) on a grid, as in Li et al. 2018.",
    prepare=prepare,
    axes=(2,),
    grid=Grid.square(),
    own=(DirectionOptions, RepeatOptions),
    excludes=(ONE_MEAN,),
    columns=SPREAD,
    details="With `repeats`, the mean over several seeds; `seed_deviations`, `lowest_losses` and `highest_losses` "
    "hold the spread.",
    raises={"GridError": "the grid has one axis, or given directions are not two."},
    example=">>> ls.surface(model, images, labels, grid=ls.Grid.square(3), seed=1, progress=False).losses.shape\n"
    "(3, 3)",
    shell="landscape surface checkpoint.pt --dataset digits --grid 25x25 --range=-1:1 -o surface.npz\n"
    "landscape surface checkpoint.pt --subset 1000 --seed 3 -o surface.html --workers 4",
)
