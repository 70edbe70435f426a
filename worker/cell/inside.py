"""What runs in a cell: it raises the walls, takes the weights and samples of one job, and computes what it is asked.

Nothing here can reach the database, the store, the broker or another job: a cell has one socket, to its worker.
"""

import os
import socket
from importlib import import_module
from typing import Any

import torch

from landscape.engine import native
from landscape.sandbox import Walls, die_with_parent, raise_walls

from . import messages
from .job import Job
from .samples import Samples
from .tasks import Tasks

LAZY = (
    "landscape.directions.trajectory",
    "landscape.evaluation.curvature_map",
    "landscape.evaluation.seeds",
    "landscape.evaluation.setup",
    "landscape.hessian.spectrum",
    "torch.fx.experimental.symbolic_shapes",
)


def load() -> None:
    """Load what is otherwise imported on first use, so that a fork finds it in memory."""
    for name in LAZY:
        import_module(name)


def run(channel: socket.socket, order: dict[str, Any]) -> int:
    """Serve one worker until it closes the socket.

    Args:
        order: "threads", "memory" (bytes, or null), "walls" (whether to raise those of the kernel), "samples"
            (whether it prepares samples instead of computing a job).

    Returns:
        The exit code.

    Raises:
        ClosedError: the worker has ended while it was answered.
    """
    torch.set_num_threads(int(order["threads"]))
    device = torch.device("cpu") if order["samples"] else _device()
    raised = _raise_walls(order, device)
    receiver = messages.Receiver(channel, files=True)
    tasks: Tasks = Samples() if order["samples"] else Job(channel, device)
    messages.send(channel, {"walls": raised, "kind": kind_of(device), "gpu": device.type == "cuda"})
    while True:
        try:
            message = receiver.receive()
        except messages.ClosedError:
            return 0
        answer = tasks.answer(message)
        messages.send(channel, *answer)
        messages.closed(answer.file)


def kind_of(device: torch.device) -> str:
    """The kind of device, which determines a result's bits: the name of the GPU, or the instruction set of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = [native.best_instruction_set(), "amx" if native.has_amx() else None]
    known = ", ".join(name for name in names if name)
    return f"CPU ({known})" if known else "CPU"


def _device() -> torch.device:
    """The device, with the libraries of a GPU loaded: they open files that the walls hide."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    one = torch.ones(1, 1, 8, 8, device="cuda")
    torch.nn.functional.conv2d(one, one[..., :3, :3]) @ one[0, 0, :6, :6]
    torch.cuda.synchronize()
    return torch.device("cuda")


def _raise_walls(order: dict[str, Any], device: torch.device) -> list[str]:
    gpu = device.type == "cuda"  # its driver reserves far more than it uses: the worker watches the resident size
    walls = Walls(memory=None if gpu else order["memory"], gpu=gpu)
    raised = raise_walls(walls) if order["walls"] else ()
    die_with_parent()  # after the user has changed, which would cancel it
    if os.getppid() == 1:
        os._exit(1)  # the fork server has ended in between
    return list(raised)
