"""Cells: a job is computed in a process that sees nothing else, and that the worker ends at any time."""

import logging
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.torch import load_file, save_file

import landscape as ls
from landscape.checkpoints.inspect import inspect
from landscape.checkpoints.load import load
from landscape.data import load as load_data
from landscape.errors import LandscapeError
from landscape.results.arrays import VALUES
from landscape.sandbox import available, thread_variables
from landscape.stop import Stopped
from service.jobs import lifecycle
from service.jobs.spec import job_spec
from tests.support.paths import GALLERY
from tests.support.service import wait_for
from tests.worker.bench import Bench
from worker.cell import messages
from worker.cell.answers import memory_in, provenance_in
from worker.cell.cell import Cell, Limits, TooMuchWorkError
from worker.cell.server import NAMES, CellError

RESNET = GALLERY / "resnet20-w8-skip.safetensors"
LINE = {"alpha": {"min": -1.0, "max": 1.0, "count": 5}}
SUBSET = {"count": 100}
GENEROUS = Limits(cpu_seconds=600, wall_seconds=1800, memory=None)
SECRET = "a password that no cell may hold"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def checkpoint(bench: Bench) -> str:
    return bench.upload(RESNET)


def cell_of(bench: Bench, job_id: str) -> Cell:
    return bench.worker.tiles._cells[job_id]


def prepared(bench: Bench, checkpoint: str, **spec: Any) -> str:
    """A job whose cell waits for its next tile; nothing else waits."""
    bench.drain()
    job_id = bench.submit(checkpoint, grid=LINE, subset=SUBSET, **spec)
    assert bench.worker.work()
    return job_id


@pytest.mark.parametrize("kind", ["slice", "curvature"])
def test_a_job_in_a_cell_has_the_bits_of_the_library(bench: Bench, checkpoint: str, kind: str) -> None:
    steps: dict[str, Any] = {"steps": 4} if kind == "curvature" else {}
    pair = {"min": -1.0, "max": 1.0, "count": 2}
    axes = {"slice": LINE, "curvature": {"alpha": pair, "beta": pair}}[kind]
    job = bench.finish(bench.submit(checkpoint, kind=kind, grid=axes, subset={"count": 16}, seed=3, **steps))
    assert job.state == "done", job.error
    found = inspect(RESNET)
    samples = load_data("digits", (job.provenance or {})["split"]).subset(16)
    model = load(found.candidates[0], found.state, found.graph)
    grid = ls.Grid(*(ls.Axis(**axis) for axis in axes.values()))
    own = getattr(ls, kind)(model, samples.images, samples.labels, grid=grid, seed=3, progress=False, **steps)
    assert own.losses.ravel().tolist() == np.array(bench.losses(job.id)).ravel().tolist()


def test_a_cell_holds_nothing_of_the_worker(bench: Bench, checkpoint: str) -> None:
    """Its environment, open files and memory have none of the worker's secrets, and the kernel's walls stand."""
    os.environ["LANDSCAPE_TEST_SECRET"] = SECRET
    victim = bytearray(os.urandom(32))  # of another user, in the memory of the worker
    process = psutil.Process(cell_of(bench, prepared(bench, checkpoint)).pid)
    assert SECRET not in str(process.environ())
    assert set(process.environ()) <= {*worker_environment(), "LC_CTYPE"}
    files = [str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    kinds = {
        "socket": "socket:",
        "nothing": os.devnull,
        "samples": "/memfd:samples",
        "weights": str(bench.store.unfinished.parent),
    }
    found = [kind for file in files for kind, start in kinds.items() if file.startswith(start)]
    assert sorted(found) == ["nothing"] * 3 + ["samples", "socket", "weights"]
    assert len(files) == len(found)
    assert in_memory(os.getpid(), bytes(victim))
    assert not in_memory(process.pid, bytes(victim))
    assert not in_memory(process.pid, SECRET.encode())


def worker_environment() -> set[str]:
    return {*NAMES, *thread_variables(1), "PYTHONDONTWRITEBYTECODE"}


def in_memory(pid: int, marker: bytes) -> bool:
    """Whether a process holds these bytes in any part of its memory that can be written."""
    process = Path(f"/proc/{pid}")
    with (process / "maps").open() as maps, (process / "mem").open("rb", 0) as memory:
        for line in maps:
            bounds, rights = line.split()[:2]
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            if rights.startswith("rw"):
                memory.seek(start)
                try:
                    if marker in memory.read(end - start):
                        return True
                except OSError:
                    continue
    return False


@pytest.mark.skipif(not {"seccomp", "landlock"} <= set(available()), reason="the kernel has no such walls")
def test_a_cell_is_behind_every_wall_of_the_kernel(bench: Bench, checkpoint: str) -> None:
    pid = cell_of(bench, prepared(bench, checkpoint)).pid
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert {"limits", "landlock", "seccomp"} <= set(bench.worker.tiles.walls)
    if os.geteuid() == 0:
        assert "0" not in status["Uid"].split() or "capabilities" in bench.worker.tiles.walls


def test_jobs_have_cells_of_their_own(bench: Bench, checkpoint: str) -> None:
    one, other = prepared(bench, checkpoint, seed=1), prepared(bench, checkpoint, seed=2)
    assert cell_of(bench, one).pid != cell_of(bench, other).pid


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_ends_the_cell_alone_and_the_next_attempt_has_the_same_bits(
    bench: Bench, checkpoint: str, number: signal.Signals
) -> None:
    undisturbed = bench.submit(checkpoint, grid=LINE, subset=SUBSET, seed=5)
    bench.finish(undisturbed)
    job_id = prepared(bench, checkpoint, seed=5)
    os.kill(cell_of(bench, job_id).pid, number)
    assert bench.finish(job_id).state == "done"
    assert bench.losses(job_id) == bench.losses(undisturbed)
    assert any(f"ended by {number.name}" in line for line in bench.log(job_id))


def test_cells_end_with_their_fork_server_and_a_new_one_goes_on(bench: Bench, checkpoint: str) -> None:
    job_id = prepared(bench, checkpoint, seed=6)
    server = bench.worker.tiles._server._process
    assert server is not None
    cell = psutil.Process(cell_of(bench, job_id).pid)
    server.kill()
    cell.wait(60)
    assert bench.finish(job_id).state == "done"


@pytest.fixture
def empty(bench: Bench) -> Iterator[Cell]:
    cell = bench.worker.tiles._new_cell()
    yield cell
    cell.end()


def test_a_cell_that_must_stop_is_ended_while_it_computes(bench: Bench, checkpoint: str) -> None:
    """As when its job is cancelled or its lease is lost."""
    job_id = prepared(bench, checkpoint)
    cell = cell_of(bench, job_id)
    many = [[i % 5, 0] for i in range(200_000)]
    polls = iter([False, False, True])
    with pytest.raises(Stopped):
        cell.ask("points", GENEROUS, stop=lambda: next(polls), points=many, earlier_seeds=None)
    assert not psutil.pid_exists(cell.pid)


def test_a_cancelled_job_ends_while_it_computes_and_the_next_one_is_served(
    bench: Bench, checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A curvature map of all samples: one point of it takes a minute and more."""
    bench.drain()
    pair = {"min": -1.0, "max": 1.0, "count": 2}
    job_id = bench.submit(checkpoint, kind="curvature", grid={"alpha": pair, "beta": pair})
    caplog.set_level(logging.INFO)
    working = threading.Thread(target=bench.worker.work)
    working.start()
    wait_for(lambda: job_id in bench.worker.tiles._cells, "its cell", 120)
    with bench.database.writing() as session:
        lifecycle.cancel(session, job_id)
    working.join()
    assert "tile dropped" in caplog.messages
    assert job_id not in bench.worker.tiles._cells
    assert bench.finish(bench.submit(checkpoint, grid=LINE, subset=SUBSET, seed=9)).state == "done"


def test_computing_time_is_limited_in_words(bench: Bench, checkpoint: str) -> None:
    cell = cell_of(bench, prepared(bench, checkpoint))
    many = [[i % 5, 0] for i in range(200_000)]
    with pytest.raises(TooMuchWorkError, match=r"more than 0\.3 s of computing"):
        cell.ask("points", Limits(0.3, 600, None), points=many, earlier_seeds=None)
    assert not psutil.pid_exists(cell.pid)


def test_a_cell_that_the_machine_starves_is_tried_again(empty: Cell) -> None:
    os.kill(empty.pid, signal.SIGSTOP)
    with pytest.raises(CellError, match="on a busy machine"):
        empty.ask("job", Limits(600, 0.5, None), spec={})


def test_a_cell_above_its_memory_is_ended(bench: Bench, checkpoint: str) -> None:
    cell = cell_of(bench, prepared(bench, checkpoint))
    with pytest.raises(CellError, match="GiB of memory, the limit of a job") as raised:
        cell.ask("points", Limits(600, 600, 1 << 20), points=[[i % 5, 0] for i in range(200_000)], earlier_seeds=None)
    assert raised.value.memory


def test_an_error_of_the_request_has_its_own_sentence(empty: Cell) -> None:
    with pytest.raises(CellError, match="an internal error"):
        empty.ask("prepare", GENEROUS)


class Hostile:
    """A fork server whose only cell is the test."""

    def __init__(self) -> None:
        self.end: socket.socket

    def fork(self, end: socket.socket, order: dict[str, Any]) -> int:
        self.end = end.dup()
        messages.send(self.end, {"walls": [], "kind": "CPU", "gpu": False})
        return 2**22 + 1  # no process has this id

    def status(self, pid: int) -> None:
        self.end.close()


@pytest.fixture
def server() -> Any:
    return Hostile()


def framed(text: bytes) -> bytes:
    return struct.pack("<II", len(text), 0) + text


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 8,
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x05\0\0\0\0\0\0\0{nope",
        (10).to_bytes(4, "little") + b"\0" * 4 + b"[" * 10,
    ],
    ids=["length", "list", "text", "nesting"],
)
def test_nonsense_from_a_cell_is_an_error_of_the_cell(server: Any, sent: bytes) -> None:
    cell = Cell(server, threads=1, limits=GENEROUS, walls=True)
    server.end.sendall(sent)
    with pytest.raises(CellError, match="nonsense"):
        cell.ask("points", GENEROUS)
    assert cell.end() is None


def test_a_refusal_of_a_cell_is_one_sentence_of_bounded_length(server: Any) -> None:
    cell = Cell(server, threads=1, limits=GENEROUS, walls=True)
    messages.send(server.end, {"refused": "x" * 10_000})
    with pytest.raises(LandscapeError) as raised:
        cell.ask("points", GENEROUS)
    assert len(str(raised.value)) == 1000
    cell.end()


def test_a_cell_that_lost_its_gpu_is_ended_and_the_tile_is_tried_again(server: Any) -> None:
    cell = Cell(server, threads=1, limits=GENEROUS, walls=True)
    messages.send(server.end, {"failed": "AcceleratorError", "said": "…", "memory": False, "gpu": True})
    with pytest.raises(CellError, match="the GPU failed, and the process that used it was replaced"):
        cell.ask("points", GENEROUS)
    assert cell.end() is None


def test_preparing_a_trajectory_says_how_far_it_is(bench: Bench, checkpoint: str, tmp_path: Path) -> None:
    """Checkpoints are read by the worker, their losses are computed in the cell: both are steps."""
    state = load_file(RESNET)
    others = []
    for number in range(3):
        some = list(state)[number::3]  # other parameters every time: in a line there would be no plane
        moved = {name: tensor + 0.01 if name in some and tensor.ndim > 1 else tensor for name, tensor in state.items()}
        save_file(moved, tmp_path / f"{number}.safetensors")
        others.append(bench.upload(tmp_path / f"{number}.safetensors"))
    bench.drain()
    spec = {"kind": "trajectory", "epochs": [*others, checkpoint], "subset": {"count": 8}, "dataset": "digits"}
    with bench.database.writing() as session:
        lifecycle.submit(session, job_spec.validate_python(spec))
    steps: list[Any] = []
    tiles = bench.worker.tiles
    noted = tiles._note
    tiles._note = lambda progress: (noted(progress), steps.append(tiles.preparing))  # type: ignore[method-assign, assignment]
    assert bench.worker.work()
    tiles._note = noted  # type: ignore[method-assign]
    assert [step for step in steps if step["step"] == "checkpoints"] == [
        {"step": "checkpoints", "done": done, "total": 4} for done in range(4)
    ]
    assert {"step": "path", "done": 1, "total": 4} in steps


WRONG: list[Any] = [
    None,
    {},
    {"columns": "losses"},
    {"columns": [*VALUES, "a\0b"]},
    {"columns": [*VALUES, *map(str, range(100))]},
    {"columns": list(VALUES), "center": "\ud800"},
]


@pytest.mark.parametrize("found", WRONG, ids=range(len(WRONG)))
def test_a_provenance_that_cannot_be_stored_is_an_error_of_the_cell(found: Any) -> None:
    with pytest.raises(CellError, match="the process that computed it answered with"):
        provenance_in(found)
    assert provenance_in({"columns": list(VALUES)}) == {"columns": list(VALUES)}


def test_claimed_bytes_of_a_gpu_are_a_number_or_nothing() -> None:
    assert [memory_in(found) for found in (3, 1 << 60, -1, "3", None, [])] == [3, None, None, None, None, None]
