"""A job in its cell: takes the request, weights and samples, then computes what it is asked."""

import socket
import time
from dataclasses import asdict
from typing import Any

import torch

from landscape import sanitized
from landscape.data import Dataset
from landscape.engine.fused.onednn import EMULATED, emulated
from landscape.errors import LandscapeError
from landscape.evaluation.run import coordinates
from landscape.results.arrays import VALUES
from service.jobs.spec import job_spec
from service.queue.rows import pack, unpack

from ..subject import Subject
from . import messages
from .tasks import Answer, Task, Tasks, opened

REPORT_SECONDS = 0.5  # between two reports of progress


class Job(Tasks):
    """The one job of this process."""

    def __init__(self, channel: socket.socket, device: torch.device):
        self._channel, self._device = channel, device
        self._order: dict[str, Any] = {}
        self._weights: list[tuple[dict[str, torch.Tensor], str | None]] = []
        self._samples: dict[str, Dataset] = {}
        self._subject: Subject | None = None
        self._reported = 0.0

    @property
    def tasks(self) -> dict[str, Task]:
        """What a worker may ask, by name."""
        return {
            "job": self._take_order,
            "weights": self._take_weights,
            "samples": self._take_samples,
            "prepare": self._prepare,
            "points": self._points,
        }

    def _take_order(self, message: messages.Message) -> Answer:
        """The request, with the network's description and the metadata of its file."""
        self._order = message.head
        return Answer({})

    def _take_weights(self, message: messages.Message) -> Answer:
        with opened(message) as file:
            tensors, metadata = sanitized.tensors(file)
        self._weights.append((tensors, metadata.get("graph")))
        return Answer({})

    def _take_samples(self, message: messages.Message) -> Answer:
        known: dict[str, Any] = {name: message.head[name] for name in ("name", "split", "classes", "targets")}
        known |= {name: tuple(message.head[name]) for name in ("mean", "std")}
        with opened(message) as file:
            tensors, _ = sanitized.tensors(file)
        images, labels = (tensors[f"{message.head['split']}/{part}"] for part in ("inputs", "targets"))
        self._samples[message.head["role"]] = Dataset(images=images, labels=labels, **known)
        return Answer({})

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
        return Answer({"provenance": provenance, "grid": asdict(subject.grid), "warning": warning, **speed})

    def _points(self, message: messages.Message) -> Answer:
        subject, points = self._loaded(), [(i, j) for i, j in message.head["points"]]
        seeds = message.head["earlier_seeds"]
        earlier = None
        if seeds:
            columns = subject.landscape.columns if seeds > 1 else VALUES
            earlier = unpack(message.body, columns), seeds
        started = time.perf_counter()
        rows = subject.rows(points, earlier)
        if not subject.landscape.unchanged():
            raise LandscapeError("The parameters of the network changed while it was evaluated; nothing was kept.")
        return Answer(self._speed(subject, len(points), started), pack(rows))

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
