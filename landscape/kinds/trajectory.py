"""A trajectory: the path of a training run in the plane of its two principal components."""

from typing import TYPE_CHECKING

from ..options import TrajectoryOptions
from .definition import Kind, Role

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape around the last checkpoint, with the path of all.

    Raises:
        GridError: the grid, or the plane given, has one axis.
        PlaneError: no checkpoint, or see `principal`.
        DataError: see `along`.
        ShapeMismatchError, NotFiniteError: see `principal` and `project`.
        CheckpointError, MissingLibraryError: see `states_of`.
    """
    from dataclasses import replace

    from ..directions.trajectory import principal, principal_plane, project
    from ..errors import PlaneError
    from ..evaluation import setup
    from ..evaluation.run import with_state

    states = setup.states_of(call.others[0])
    if not states:
        raise PlaneError("A trajectory needs checkpoints, four or more; got none.")
    center, names = with_state(call.model, states[-1]), [name for name, _ in call.model.named_parameters()]
    plane = call.options["directions"] or principal_plane(principal(states, parameters=names))
    path = project(states, plane, parameters=names)
    grid = call.grid or setup.grid_around(path.coordinates)
    return setup.along(replace(call, model=center), grid, plane, path=path, epochs=states)


KIND = Kind(
    name="trajectory",
    label="Trajectory",
    summary="The path of a training run in the plane of its two principal components, and the loss around it.",
    prepare=prepare,
    axes=(2,),
    grid=None,
    roles=(
        Role(
            "epochs",
            "Checkpoints in the order of training, four or more.",
            "Checkpoints in the order of training, four or more: state dicts, modules, .safetensors files, or the "
            "folder that a `Recorder` or `landscape train` wrote.",
            many=True,
            least=4,
            label="Checkpoints, in the order of training",
        ),
    ),
    own=(TrajectoryOptions,),
    details="`result.path` holds for each epoch the coordinates, the true loss (with the epoch's own statistics), the "
    "loss of the plane at its projection, their difference, and the share of the distance that the plane misses; the "
    "provenance holds the share of variance of the two components. The parameters of `model` are not used.",
    raises={
        "GridError": "the grid has one axis.",
        "PlaneError, ShapeMismatchError, NotFiniteError": "see `directions.trajectory.principal`.",
        "CheckpointError": "a file cannot be read.",
    },
    example=">>> epochs = [torch.nn.Linear(4, 3) for _ in range(4)]\n"
    ">>> len(ls.trajectory(model, epochs, images, labels, progress=False).path['losses'])\n4",
    shell="landscape trajectory run -o trajectory.npz\n"
    "landscape trajectory epoch-*.safetensors --grid 51x51 --range=-20:20 -o trajectory.html",
)
