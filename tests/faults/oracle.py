"""The client's log: all requests acknowledged with 2xx, and what must hold for them after any fault.

The reference losses are computed by the library in this process, without faults.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import torch
from safetensors.torch import load_file
from sqlalchemy import select

import landscape as ls
from landscape.data import load
from landscape.models import build
from landscape.models.recognize import from_json
from service.database.sessions import Database
from service.database.tables import TERMINAL, Job, LogLine, Tile, grid_of
from service.queue.values import is_intact
from tests.support.paths import GALLERY
from tests.support.service import Service, wait_for

NETWORK = GALLERY / "resnet20-w8-skip.safetensors"
SUBSET = {"count": 20, "seed": 1}


def surface(alphas: int, betas: int, seed: int = 0) -> dict[str, Any]:
    """A request for a surface, without its checkpoint."""
    grid = {"alpha": {"count": alphas}, "beta": {"count": betas}}
    return {"kind": "surface", "grid": grid, "seed": seed, "subset": SUBSET}


def slice_of(count: int, seed: int = 0) -> dict[str, Any]:
    return {"kind": "slice", "grid": {"alpha": {"count": count}}, "seed": seed, "subset": SUBSET}


@cache
def _reference_losses(request: str) -> Any:
    spec = json.loads(request)
    torch.set_num_threads(1)
    records = json.loads((GALLERY / "records.json").read_text())
    architecture = next(one["architecture"] for one in records if one["file"] == NETWORK.name)
    model = build(from_json(architecture))
    model.load_state_dict(load_file(NETWORK), strict=False)
    samples = load("digits", "train").subset(**spec["subset"])
    counts = [axis["count"] for axis in spec["grid"].values()]
    grid = ls.Grid(*(ls.Axis(-1.0, 1.0, count) for count in counts))
    compute = ls.surface if spec["kind"] == "surface" else ls.slice
    return compute(model, samples.images, samples.labels, grid=grid, seed=spec["seed"]).losses.tolist()


def reference_losses(spec: dict[str, Any]) -> Any:
    """The losses of a request, computed in this process."""
    return _reference_losses(json.dumps(spec, sort_keys=True))


@dataclass
class ClientLog:
    """Everything that the service has acknowledged to one client."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)  # id → request
    cancelled: set[str] = field(default_factory=set)  # acknowledged cancellations
    uploads: set[str] = field(default_factory=set)
    ended: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # id → terminal state as first seen
    refused: Counter[str] = field(default_factory=Counter)  # responses that acknowledged nothing

    def submit(self, service: Service, checkpoint: str, spec: dict[str, Any]) -> str | None:
        """Submit a job; it goes into the log if it was acknowledged."""
        answer = self._ask(lambda: service.api.post("/jobs", json={**spec, "checkpoint": checkpoint}))
        if answer is None:
            return None
        job_id = str(answer.json()["id"])
        self.jobs[job_id] = spec
        return job_id

    def cancel(self, service: Service, job_id: str) -> bool:
        answer = self._ask(lambda: service.api.post(f"/jobs/{job_id}/cancel"))
        if answer is not None:
            self.cancelled.add(job_id)
        return answer is not None

    def upload(self, service: Service, content: bytes) -> None:
        answer = self._ask(lambda: service.api.put("/checkpoints", params={"name": "soak"}, content=content))
        if answer is not None:
            self.uploads.add(str(answer.json()["id"]))

    def poll(self, service: Service, job_id: str) -> dict[str, Any] | None:
        """The current job; once it has ended, it must never change."""
        answer = self._ask(lambda: service.api.get(f"/jobs/{job_id}"))
        if answer is None:
            return None
        job: dict[str, Any] = answer.json()
        if job["state"] in TERMINAL:
            end = (job["state"], job["error"], job["finished"], job["progress"]["done"])
            assert self.ended.setdefault(job_id, end) == end, "a terminal state changed"
        else:
            assert job_id not in self.ended, "a finished job is running again"
        return job

    def _ask(self, request: Callable[[], httpx.Response]) -> httpx.Response | None:
        """The response, or None if nothing was acknowledged."""
        try:
            answer = request()
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return None
        if answer.is_success:
            return answer
        self.refused[str(answer.status_code)] += 1
        assert answer.status_code in (409, 429, 503, 507), answer.text
        return None


def require_nothing_lost(service: Service, log: ClientLog, *, seconds: float = 240) -> int:
    """Check by the API and in the database that no acknowledged work was lost.

    Returns:
        The number of tiles compared bit for bit with the reference.
    """

    def all_ended() -> bool:
        return all((log.poll(service, job) or {"state": ""})["state"] in TERMINAL for job in log.jobs)

    wait_for(all_ended, "every acknowledged job to end", seconds)
    wait_for(lambda: not _unread(service, log), "every acknowledged upload to be read", seconds)
    for job_id, spec in log.jobs.items():
        assert log.ended[job_id][0] == ("cancelled" if job_id in log.cancelled else "done"), log.ended[job_id]
        if log.ended[job_id][0] == "done":
            assert service.result(job_id)["losses"] == reference_losses(spec)
    tiles = require_consistent_tables(service.database_url, log)
    unfinished = service.data / "store" / "unfinished"
    wait_for(lambda: not list(unfinished.iterdir()), "temporary files to go")
    return tiles


def _unread(service: Service, log: ClientLog) -> list[str]:
    states = {one: service.api.get(f"/checkpoints/{one}").json()["state"] for one in log.uploads}
    return [one for one, state in states.items() if state not in ("ready", "rejected")]


def require_consistent_tables(url: str, log: ClientLog) -> int:
    """Every tile of an ended job is stored once, with its checksum, numbered without gaps; none of them waits."""
    database, compared = Database(url), 0
    with database.reading() as session:
        for job_id in log.jobs:
            job = session.get(Job, job_id)
            assert job is not None
            assert job.state in TERMINAL
            tiles = list(session.scalars(select(Tile).where(Tile.job_id == job_id)))
            assert not [tile.id for tile in tiles if tile.state != "done"]
            done = [tile for tile in tiles if tile.values is not None]
            assert all(is_intact(tile) and tile.sha256 for tile in done)
            points = Counter((i, j) for tile in done for i, j in tile.points)
            assert set(points.values()) <= {1}, "a point was counted twice"
            assert len(points) == job.points_done
            assert sorted(tile.sequence or 0 for tile in done) == list(range(1, len(done) + 1))
            if job.state == "done":
                assert len(points) == math.prod(grid_of(job).shape)
                compared += len(done)
            lines = session.scalars(select(LogLine.text).where(LogLine.job_id == job_id)).all()
            ends = [line for line in lines if line.startswith(("Done", "Failed", "Cancelled"))]
            assert len(ends) == 1, lines
    database.engine.dispose()
    return compared
