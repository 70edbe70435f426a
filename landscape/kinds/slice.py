"""A slice: L(θ* + αδ) on a line."""

from typing import TYPE_CHECKING

from ..grid import Grid
from ..options import DirectionOptions, RepeatOptions
from .definition import Kind
from .surface import ONE_MEAN, SPREAD

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape along one direction; with `repeats`, for several seeds.

    Raises:
        GridError, DataError, PlaneError: see `around_one`.
    """
    from ..evaluation import setup

    return setup.around_one(call)


KIND = Kind(
    name="slice",
    label="Slice",
    summary="The slice L(θ* + αδ) on a line.",
    prepare=prepare,
    axes=(1,),
    grid=Grid.line(),
    own=(DirectionOptions, RepeatOptions),
    excludes=(ONE_MEAN,),
    columns=SPREAD,
    details="With `repeats`, the mean over several seeds; `seed_deviations`, `lowest_losses` and `highest_losses` "
    "hold the spread.",
    raises={"GridError": "the grid has two axes, or given directions are two."},
    example=">>> ls.slice(model, images, labels, grid=ls.Grid.line(5), repeats=2, progress=False).losses.shape\n(5, 1)",
    shell="landscape slice checkpoint.pt --dataset digits --grid 51 -o slice.csv",
)
