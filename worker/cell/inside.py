"""What runs in a cell: it raises the walls, takes the weights and samples of one job, and computes what it is asked.

Nothing here can reach the database, the store, the broker or another job: a cell has one socket, to its worker.
"""

import ctypes
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any

import numpy as np
import torch

from landscape import sanitized
from landscape.data import Dataset
from landscape.engine import native
from landscape.engine.fused.onednn import EMULATED, emulated
from landscape.engine.out_of_memory import is_out_of_memory
from landscape.errors import LandscapeError
from landscape.evaluation.run import coordinates
from landscape.results.arrays import VALUES
from landscape.sandbox import Walls, raise_walls
from service.jobs.spec import job_spec

from ..gpu import is_gpu_lost
from ..subject import Subject
from . import messages

REPORT_SECONDS = 0.5  # between two reports of progress
LAZY = (
    "landscape.directions.trajectory",
    "landscape.evaluation.curvature_map",
    "landscape.evaluation.seeds",
    "landscape.evaluation.setup",
    "landscape.hessian.spectrum",
    "torch.fx.experimental.symbolic_shapes",
)
_PR_SET_PDEATHSIG = 1
_SAID = 4000  # characters of a traceback for the worker's log

Answer = tuple[dict[str, Any], bytes]


def load() -> None:
    """Load what is otherwise imported on first use, so that a fork finds it in memory."""
    for name in LAZY:
        import_module(name)


def run(channel: Any, order: dict[str, Any]) -> int:
    """Serve one worker until it closes the socket.

    Args:
        order: "threads", "memory" (bytes, or null), "walls" (whether to raise those of the kernel).

    Returns:
        The exit code.

    Raises:
        ClosedError: the worker has ended while it was answered.
    """
    torch.set_num_threads(int(order["threads"]))
    device = _device()
    raised = _raise_walls(order, device)
    receiver, job = messages.Receiver(channel, files=True), _Job(channel, device)
    messages.send(channel, {"walls": raised, "kind": kind_of(device), "gpu": device.type == "cuda"})
    while True:
        try:
            message = receiver.receive()
        except messages.ClosedError:
            return 0
        messages.send(channel, *job.answer(message))


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


def die_with_parent() -> None:
    """On Linux the kernel kills this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Job:
    """The one job of this process."""

    def __init__(self, channel: Any, device: torch.device):
        self._channel, self._device = channel, device
        self._order: dict[str, Any] = {}
        self._weights: list[tuple[dict[str, torch.Tensor], str | None]] = []
        self._samples: dict[str, Dataset] = {}
        self._subject: Subject | None = None
        self._reported = 0.0

    def answer(self, message: messages.Message) -> Answer:
        """The answer: {"refused": sentence} for an error of the request, {"failed": type} for any other error."""
        tasks: dict[str, Callable[[messages.Message], Answer]] = {
            "job": self._take_order,
            "weights": self._take_weights,
            "samples": self._take_samples,
            "prepare": self._prepare,
            "points": self._points,
        }
        try:
            return tasks[message.head["task"]](message)
        except LandscapeError as error:
            return {"refused": str(error)}, b""
        except Exception as error:
            said = "".join(traceback.format_exception(error))[-_SAID:]
            known = {"memory": is_out_of_memory(error), "gpu": is_gpu_lost(error)}
            return {"failed": type(error).__name__, "said": said, **known}, b""

    def _take_order(self, message: messages.Message) -> Answer:
        """The request, with the network's description and the metadata of its file."""
        self._order = message.head
        return {}, b""

    def _take_weights(self, message: messages.Message) -> Answer:
        with _opened(message) as file:
            tensors, metadata = sanitized.tensors(file)
        self._weights.append((tensors, metadata.get("graph")))
        return {}, b""

    def _take_samples(self, message: messages.Message) -> Answer:
        known: dict[str, Any] = {name: message.head[name] for name in ("name", "split", "classes", "targets")}
        known |= {name: tuple(message.head[name]) for name in ("mean", "std")}
        with _opened(message) as file:
            tensors, _ = sanitized.tensors(file)
        images, labels = (tensors[f"{message.head['split']}/{part}"] for part in ("inputs", "targets"))
        self._samples[message.head["role"]] = Dataset(images=images, labels=labels, **known)
        return {}, b""

    def _prepare(self, _: messages.Message) -> Answer:
        subject = self._loaded()
        provenance = subject.provenance(self._report)
        first = coordinates(subject.grid, subject.grid.levels()[0][: subject.landscape.plan.group])
        self._report("first", 0, 1)
        started = time.perf_counter()
        subject.landscape.rows(first)
        speed = self._speed(subject, len(first), started)
        precision = str((provenance.get("engine") or {}).get("precision"))
        warning = f"bfloat16: {EMULATED}." if emulated(precision, self._device) else None
        return {"provenance": provenance, "grid": asdict(subject.grid), "warning": warning, **speed}, b""

    def _points(self, message: messages.Message) -> Answer:
        subject, points = self._loaded(), [(i, j) for i, j in message.head["points"]]
        seeds = message.head["earlier_seeds"]
        earlier = None
        if seeds:
            columns = subject.landscape.columns if seeds > 1 else VALUES
            earlier = np.frombuffer(message.body, dtype="<f8").reshape(-1, len(columns)), seeds
        started = time.perf_counter()
        rows = subject.rows(points, earlier)
        if not subject.landscape.unchanged():
            raise LandscapeError("The parameters of the network changed while it was evaluated; nothing was kept.")
        return self._speed(subject, len(points), started), np.array(rows, dtype="<f8").tobytes()

    def _loaded(self) -> Subject:
        if self._subject is None:
            self._subject = Subject(
                job_spec.validate_python(self._order["spec"]),
                self._order["architecture"],
                self._weights,
                samples=self._samples["samples"],
                in_split=self._order["in_split"],
                also=self._samples.get("also"),
                facts=self._order["facts"],
                device=self._device,
                choice=self._order["choice"],
            )
            self._weights = []
        return self._subject

    def _speed(self, subject: Subject, points: int, started: float) -> dict[str, Any]:
        """How long so many points took, how many are computed together, and the memory in use on the GPU."""
        used = torch.cuda.memory_reserved() if self._device.type == "cuda" else None
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "points": points, "group": subject.landscape.plan.group, "device_memory": used}

    def _report(self, step: str, done: int, total: int) -> None:
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            messages.send(self._channel, {"progress": {"step": step, "done": done, "total": total}})


def _opened(message: messages.Message) -> io.BufferedReader:
    """The file that came with a message.

    Raises:
        MessageError: none did.
    """
    if message.file is None:
        raise messages.MessageError("A file was expected.")
    return os.fdopen(message.file, "rb")
