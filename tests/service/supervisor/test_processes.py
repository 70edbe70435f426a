"""Workers that hang, die or exceed a limit: real processes, killed and replaced, and their tiles requeued."""

import mmap
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from sqlalchemy import select

from landscape.engine.out_of_memory import is_out_of_memory
from service.database.sessions import Database
from service.database.tables import Job, LogLine, Tile
from service.database.tables import Worker as WorkerRow
from service.errors import ServiceError
from service.queue import leases
from service.settings import Settings
from service.supervisor import memory
from service.supervisor.processes import MOST_FALSE_STARTS, WorkerChild, keep_workers_running
from service.versions import OTHER_VERSION
from tests.service.queue.steps import end_pauses, lease_next, prepared_job
from tests.support.service import wait_for
from worker.gpu import is_gpu_lost

# A fake worker: it writes its row; each test appends what else it does.
PRESENT = """
import os, socket, sys, time
from service.database.sessions import Database
from service.database.tables import Worker, now
database, id = Database(sys.argv[1]), os.environ["LANDSCAPE_WORKER_ID"]
def show(**more):
    with database.writing() as session:
        session.merge(Worker(id=id, device="CPU", host=socket.gethostname(), pid=os.getpid(), seen=now(), **more))
"""
LIVING = "while True: show(); time.sleep(0.3)"
BUSY = "show(busy_since=now())\n" + LIVING
GREEDY = "show(); hoard = bytearray(600 << 20)\n" + LIVING
DIES_WITH_ITS_TILE = """
from service.queue import leases
while True:
    with database.writing() as session:
        if leases.lease(session, 60, worker=id):
            break
    time.sleep(0.1)
os._exit(3)
"""


class Supervised:
    """One worker child, supervised while the test waits."""

    def __init__(self, url: str, folder: Path, code: str, **limits: float):
        self.database, self.reported = Database(url), list[str]()
        self.settings = Settings(data=folder, **limits)  # type: ignore[arg-type]
        command = [sys.executable, "-c", PRESENT + code, url]
        self.child = WorkerChild("worker 1", command, dict(os.environ), folder / "log")
        self.child.start()
        self.first = self.child.id

    def supervise_until(self, done: Callable[[], object], what: str) -> None:
        def round_and_check() -> object:
            keep_workers_running([self.child], self.database, self.settings, self.reported.append)
            return done()

        wait_for(round_and_check, what)

    def row(self) -> WorkerRow | None:
        with self.database.reading() as session:
            return session.get(WorkerRow, self.child.id)

    def hold_tile(self) -> str:
        """Give the worker a tile of a new job; the id of the job."""
        with self.database.writing() as session:
            job = prepared_job(session)
            assert leases.lease(session, 60, worker=self.child.id) is not None
            return job.id

    def last_log_line(self, job_id: str) -> str | None:
        newest = select(LogLine.text).where(LogLine.job_id == job_id).order_by(LogLine.id.desc()).limit(1)
        with self.database.reading() as session:
            return session.scalar(newest)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(code: str, **limits: float) -> Supervised:
        started.append(Supervised(f"sqlite:///{tmp_path / 'test.sqlite'}", tmp_path, code, **limits))
        return started[-1]

    yield start
    for one in started:
        one.child.stop(0)
        one.database.engine.dispose()


def test_a_stopped_worker_is_killed_and_replaced_and_its_tile_requeued(supervise: Callable[..., Supervised]) -> None:
    one = supervise(LIVING, worker_silence_seconds=10)
    one.supervise_until(one.row, "the worker to show itself")
    job_id, stopped = one.hold_tile(), one.row()
    assert stopped is not None
    os.kill(stopped.pid, signal.SIGSTOP)
    one.supervise_until(lambda: one.child.id != one.first and one.row(), "another worker")
    assert not psutil.pid_exists(stopped.pid)
    assert one.reported[0] == "worker 1 is killed: its worker did not answer for 10 s"
    assert one.last_log_line(job_id) == "Attempt 1 of 3 at 4 points failed: its worker did not answer for 10 s."
    with one.database.writing() as session:
        end_pauses(session)
        assert lease_next(session).attempts == 2


def test_a_dead_worker_is_replaced_and_its_tile_requeued(supervise: Callable[..., Supervised]) -> None:
    one = supervise(LIVING)
    one.supervise_until(one.row, "the worker to show itself")
    job_id, row = one.hold_tile(), one.row()
    assert row is not None
    os.kill(row.pid, signal.SIGKILL)
    one.supervise_until(lambda: one.child.id != one.first and one.row(), "another worker")
    assert one.last_log_line(job_id) == "Attempt 1 of 3 at 4 points failed: its worker process died."
    with one.database.reading() as session:
        assert session.get(WorkerRow, one.first) is None


def test_a_worker_over_the_deadline_of_a_tile_is_killed(supervise: Callable[..., Supervised]) -> None:
    one = supervise(BUSY, tile_deadline_seconds=0.2)
    one.supervise_until(lambda: one.child.id != one.first, "another worker")
    assert one.reported[0] == "worker 1 is killed: it took longer than 2 s, the limit for one part"


def test_a_worker_over_its_memory_limit_is_killed_and_only_the_job_that_needs_so_much_fails(
    supervise: Callable[..., Supervised],
) -> None:
    one = supervise(GREEDY, worker_memory_bytes=400 << 20, max_attempts=1)
    one.supervise_until(one.row, "the worker to show itself")
    job_id = one.hold_tile()
    one.supervise_until(lambda: one.child.id != one.first, "another worker")
    with one.database.reading() as session:
        job = session.get_one(Job, job_id)
        assert job.state == "failed"
        assert job.error == (
            "1 attempt at one part of this job failed; the last: "
            "it needed more than 0.391 GiB of memory, the limit of a worker."
        )
        assert session.scalar(select(Tile.id).where(Tile.state != "done")) is None


def test_a_worker_that_dies_at_once_is_restarted_after_growing_pauses(supervise: Callable[..., Supervised]) -> None:
    one = supervise("sys.exit(3)")
    one.supervise_until(lambda: len(one.reported) == 4, "four deaths")
    assert one.reported[0].startswith("worker 1 ended with code 3; starting it again")
    assert one.child.failures == 4
    assert one.child.not_before - one.child.started > 4


def test_a_worker_that_dies_at_once_once_too_often_is_given_up(supervise: Callable[..., Supervised]) -> None:
    one = supervise("sys.exit(3)")
    one.child.false_starts = MOST_FALSE_STARTS - 1
    with pytest.raises(ServiceError, match=r"'worker 1' ended 5 times in a row .* with code 3"):
        one.supervise_until(lambda: False, "the worker to be given up")


def test_a_worker_that_dies_with_a_tile_is_not_given_up(supervise: Callable[..., Supervised]) -> None:
    one = supervise(DIES_WITH_ITS_TILE)
    one.child.false_starts = MOST_FALSE_STARTS - 1
    with one.database.writing() as session:
        job_id = prepared_job(session).id
    one.supervise_until(lambda: one.reported, "its death")
    assert one.reported[0].startswith("worker 1 ended with code 3; starting it again")
    assert one.child.false_starts == one.child.failures == 0, "its job pauses; it does not"
    assert one.last_log_line(job_id) == "Attempt 1 of 3 at 4 points failed: its worker process died."


def test_a_worker_of_another_version_is_tried_again_after_growing_pauses(supervise: Callable[..., Supervised]) -> None:
    one = supervise(f"sys.exit({OTHER_VERSION})")
    one.child.false_starts = MOST_FALSE_STARTS - 1
    one.supervise_until(lambda: len(one.reported) == 2, "two ends")
    assert one.reported[0].startswith("worker 1 waits for the service to have its version; starting it again")
    assert (one.child.false_starts, one.child.failures) == (0, 2)


def test_a_worker_that_is_killed_is_not_given_up(supervise: Callable[..., Supervised]) -> None:
    one = supervise("os.kill(os.getpid(), 9)")
    one.child.false_starts = MOST_FALSE_STARTS - 1
    one.supervise_until(lambda: one.reported, "its death")
    assert one.reported[0].startswith("worker 1 was killed; starting it again")
    assert (one.child.false_starts, one.child.failures) == (0, 1)


def test_a_worker_that_dies_while_the_database_does_not_answer_is_not_given_up(
    supervise: Callable[..., Supervised],
) -> None:
    one = supervise("sys.exit(3)")
    one.child.false_starts = MOST_FALSE_STARTS - 1
    with one.database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE workers RENAME TO away")
    one.supervise_until(lambda: one.reported, "its death")
    assert one.child.false_starts == 0


def run(code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_out_of_memory_is_recognized_and_the_process_can_go_on() -> None:
    answer = run("""
        import resource, torch
        from landscape.engine.out_of_memory import is_out_of_memory
        from worker.gpu import is_gpu_lost
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        try:
            torch.zeros(16 << 30)
        except Exception as error:
            assert is_out_of_memory(error), error
            assert not is_gpu_lost(error), error
            print(torch.ones(3).sum().item())
    """)
    assert answer.stdout == "3.0\n", answer.stderr


def test_an_ordinary_error_is_neither_out_of_memory_nor_a_lost_gpu() -> None:
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x"), KeyError("y")):
        assert not is_out_of_memory(error)
        assert not is_gpu_lost(error)


def test_a_lost_gpu_is_recognized() -> None:
    """Without a GPU by torch's own type of error; with one by a real device-side assert, in a separate process."""
    assert is_gpu_lost(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert not is_gpu_lost(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    if torch.cuda.is_available():
        answer = run("""
            import torch
            from worker.gpu import is_gpu_lost
            try:
                torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].cpu()
            except Exception as error:
                print(is_gpu_lost(error))
        """)
        assert answer.stdout == "True\n", answer.stderr


def test_the_memory_of_a_process_is_what_the_system_reports() -> None:
    own = memory.resident()
    assert own is not None
    reported = psutil.Process().memory_info()
    assert own == pytest.approx(reported.rss - reported.shared, rel=0.2)
    with suppress(psutil.NoSuchProcess):
        assert memory.resident(2**22 + 1) is None


def test_mapped_files_do_not_count_as_memory_of_a_process(tmp_path: Path) -> None:
    with (tmp_path / "samples").open("w+b") as file:
        file.write(bytes(1) * (64 << 20))
        file.flush()
        before, seen = memory.resident(), psutil.Process().memory_info().rss
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert mapped.find(b"\1") == -1  # every page is touched
            assert psutil.Process().memory_info().rss > seen + (48 << 20)
            after = memory.resident()
    assert before is not None
    assert after is not None
    assert after < before + (16 << 20)
