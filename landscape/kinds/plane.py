"""A plane: the loss on the plane through three checkpoints."""

from typing import TYPE_CHECKING

from .definition import Kind, Role

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape along two orthonormal directions that span the plane.

    Raises:
        GridError: the grid has one axis.
        DataError: see `along`.
        ShapeMismatchError, PlaneError, NotFiniteError: see `plane_through`.
    """
    from ..directions.plane import plane_through
    from ..evaluation import setup

    second, third = (setup.state_of(one) for one in call.others)
    names = [name for name, _ in call.model.named_parameters()]
    spanned = plane_through(call.state, second, third, parameters=names)
    grid = call.grid or setup.grid_around([at for _, at in spanned.landmarks])
    return setup.along(call, grid, spanned, checkpoints={"second": second, "third": third})


KIND = Kind(
    name="plane",
    label="Plane",
    summary="L on the plane through three checkpoints; coordinates are distances in parameter space.",
    prepare=prepare,
    axes=(2,),
    grid=None,
    roles=(
        Role("checkpoint", "The network at (0, 0)."),
        Role(
            "second",
            "The checkpoint on the first axis.",
            "The checkpoint on the first axis: a state dict or a module of the same architecture.",
            label="Second checkpoint",
        ),
        Role("third", "The third checkpoint.", "The third checkpoint, like the second.", label="Third checkpoint"),
    ),
    details="The self-check compares the loss at the other two with the checkpoints evaluated alone. See "
    "`directions.plane.plane_through`.",
    raises={
        "GridError": "the grid has one axis.",
        "ShapeMismatchError": "a checkpoint is another network's.",
        "PlaneError": "the three are equal, or on one line.",
    },
    example=">>> second, third = (torch.nn.Linear(4, 3) for _ in range(2))\n"
    ">>> ls.plane(model, second, third, images, labels, progress=False).losses.shape\n(25, 25)",
    shell="landscape plane seed-0.pt seed-1.pt seed-2.pt -o plane.npz",
)
