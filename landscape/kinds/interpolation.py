"""An interpolation: the loss on the line through two checkpoints."""

from typing import TYPE_CHECKING

from ..grid import Axis, Grid
from .definition import Kind, Role

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape along the difference of two checkpoints.

    Raises:
        GridError: the grid has two axes.
        DataError: see `along`.
        ShapeMismatchError, PlaneError, NotFiniteError: see `line_between`.
    """
    from ..directions.plane import line_between
    from ..evaluation import setup

    end = setup.state_of(call.others[0])
    line = line_between(call.state, end)
    assert call.grid
    return setup.along(call, call.grid, line, checkpoints={"end": end})


KIND = Kind(
    name="interpolation",
    label="Interpolation",
    summary="L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics as well.",
    prepare=prepare,
    axes=(1,),
    grid=Grid(Axis(-0.5, 1.5, 41)),
    roles=(
        Role("checkpoint", "The network at α = 0."),
        Role(
            "end",
            "The checkpoint at α = 1.",
            "The checkpoint at α = 1: a state dict or a module of the same architecture.",
            label="Checkpoint at the end",
        ),
    ),
    details="The self-check compares the far end with `end` evaluated alone.",
    raises={
        "GridError": "the grid has two axes.",
        "ShapeMismatchError": "`end` is another network's.",
        "PlaneError": "`end` is equal to `model`.",
    },
    example=">>> end = {name: 2 * tensor for name, tensor in model.state_dict().items()}\n"
    ">>> ls.interpolation(model, end, images, labels, progress=False).losses.shape\n(41, 1)",
    shell="landscape interpolation small-batch.pt large-batch.pt -o interpolation.npz",
)
