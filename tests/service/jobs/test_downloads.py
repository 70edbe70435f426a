"""What is made of a result: its tag for caches, memory of a large one, and the process that makes it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from service.database.sessions import Database
from service.errors import DamagedError, InvalidError, NotFoundError, UnavailableError
from service.jobs import downloads, large_answers, lifecycle, results
from service.jobs.downloads import NUMBERS, Asked
from service.queue.values import digest_of_tiles
from tests.service.queue.steps import compute_all, compute_next, prepared_job
from tests.support.large_jobs import finished_surface

COUNT = 301  # points along each axis of the large result


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A database with a large finished job, and the job's id."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'landscape.sqlite'}"
    database = Database(url)
    with database.writing() as session:
        job_id = finished_surface(session, COUNT).id
    database.engine.dispose()
    return url, job_id


def test_a_job_that_ends_has_a_digest_of_its_values_in_the_order_of_its_points(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    assert job.values_sha256 is None
    compute_all(session)
    session.refresh(job)
    assert job.values_sha256 == digest_of_tiles(session, job.id)
    tile = results.finished_tiles(session, job.id)[0]
    tile.sha256 = "0" * 64
    session.flush()
    assert job.values_sha256 != digest_of_tiles(session, job.id)


def test_the_tag_changes_with_what_the_answer_can_contain_and_with_nothing_else(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    asked = Asked(job.id)
    tags = [downloads.tag(session, job, asked)]
    while compute_next(session):
        session.refresh(job)
        tags.append(downloads.tag(session, job, asked))
    assert len(set(tags)) == len(tags) > 3  # every tile adds values, and the last one ends the job
    assert downloads.tag(session, job, asked) == tags[-1]
    others = [
        Asked(job.id, "csv"),
        Asked(job.id, "png"),
        Asked(job.id, "png", height="log"),
        Asked(job.id, "png", array="accuracies"),
        Asked(job.id, NUMBERS),
        Asked(job.id, NUMBERS, level=0.2),
        Asked(job.id, NUMBERS, radius=0.2),
    ]
    all_tags = {downloads.tag(session, job, one) for one in (asked, *others)}
    assert len(all_tags) == 1 + len(others)
    job.values_sha256 = None  # finished by an earlier version, which did not store it
    assert downloads.tag(session, job, asked) == tags[-1]


def test_a_retry_has_another_tag(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    compute_next(session)
    lifecycle.cancel(session, job.id)
    again = lifecycle.retry(session, job.id)
    compute_all(session)
    assert downloads.tag(session, job, Asked(job.id)) != downloads.tag(session, again, Asked(again.id))


def test_the_json_is_that_of_the_result(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    compute_next(session)
    file = io.BytesIO()
    downloads.write(session, Asked(job.id), file)
    found = json.loads(file.getvalue())
    assert (found["id"], found["state"], found["name"]) == (job.id, "running", job.name)
    assert sum(loss is not None for row in found["losses"] for loss in row) == job.points_done
    with pytest.raises(NotFoundError):
        downloads.write(session, Asked("0" * 32), file)


PEAK = """
import sys, tracemalloc
from service.database.sessions import Database
from service.jobs import downloads
class Nothing:
    def write(self, content): return len(content)
with Database(sys.argv[1]).reading() as session:
    tracemalloc.start()
    downloads.write(session, downloads.Asked(sys.argv[2], sys.argv[3]), Nothing())
print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize(("ending", "most"), [("npz", 4), ("json", 9), ("csv", 9)])
def test_the_memory_of_a_large_result_is_a_few_times_its_values(
    large: tuple[str, str], ending: str, most: float
) -> None:
    run = subprocess.run([sys.executable, "-c", PEAK, *large, ending], capture_output=True, text=True, check=True)
    values = COUNT * COUNT * 3 * 8
    assert int(run.stdout) < most * values + (4 << 20)  # bytes


def test_a_process_makes_an_answer_and_says_what_is_wrong(large: tuple[str, str], tmp_path: Path) -> None:
    url, job_id = large
    path = tmp_path / "answer"
    large_answers.make(url, Asked(job_id, "npz"), path)
    with np.load(path) as file:
        assert file["losses"].shape == (COUNT, COUNT)
    with pytest.raises(InvalidError, match="height") as caught:
        large_answers.make(url, Asked(job_id, "csv", height="log"), path)
    assert caught.value.field == "format"
    with pytest.raises(NotFoundError):
        large_answers.make(url, Asked("0" * 32), path)


def test_a_process_that_takes_too_long_is_killed(large: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Try again later"):
        large_answers.make(large[0], Asked(large[1], NUMBERS), tmp_path / "answer", seconds=0.01)


def test_a_process_ends_with_the_api(large: tuple[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "service.jobs.large_answers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        request = {"database": large[0], "asked": {"job": large[1], "answer": NUMBERS}, "path": str(tmp_path / "file")}
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.close()  # as the kernel does when the API is killed
        assert child.wait(60) == 1
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0


def test_damage_is_found_where_values_are_read(session: Session) -> None:
    job = prepared_job(session, points_per_tile=4)
    compute_all(session)
    tile = results.finished_tiles(session, job.id)[0]
    tile.points = [[j, i] for i, j in tile.points[::-1]]
    with pytest.raises(DamagedError, match="Retry"):
        downloads.write(session, Asked(job.id), io.BytesIO())
