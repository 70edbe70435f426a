"""Machines that fail: full disks, and clocks that are an hour off."""

import contextlib
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.faults import breaking
from tests.faults.conftest import SETTINGS
from tests.faults.oracle import NETWORK, ClientLog, require_nothing_lost
from tests.faults.test_faults import SHORT, started
from tests.support import processes, servers
from tests.support.service import Service, wait_for


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with breaking.small_disk(tmp_path / "disk", 48 << 20) as folder:
        yield folder


def test_a_disk_that_fills_while_results_are_written_loses_no_work(
    disk: Path, own: Callable[..., Service], log: ClientLog
) -> None:
    service = own(disk, **SETTINGS)
    checkpoint = service.upload(NETWORK)["id"]
    job_id = started(service, log, checkpoint)
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    wait_for(lambda: service.api.get("/health").json()["status"] == "degraded", "/health to report it")
    refused = service.api.post("/jobs", json={**SHORT, "checkpoint": checkpoint})
    assert refused.status_code in (503, 507), refused.text
    time.sleep(8)  # more than two leases
    assert service.job(job_id)["state"] == "running"
    (disk / "filler").unlink()
    require_nothing_lost(service, log)


class Clock:
    """Shifts the wall clock of every process that is started while this is active."""

    def __init__(self, file: Path):
        self.file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        with self.file.open("wb") as file:
            file.write(struct.pack("@l", seconds))


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("needs gcc on Linux, to replace the C library's clock")
    source, library = Path(__file__).with_name("clock.c"), tmp_path / "clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    found = Clock(tmp_path / "offset")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_OFFSET", str(found.file))
    return found


def test_a_clock_that_jumps_by_an_hour_loses_no_work(own: Callable[..., Service], clock: Clock, log: ClientLog) -> None:
    service = own(**SETTINGS)
    checkpoint = service.upload(NETWORK)["id"]
    for offset in (3600, -3600, 0):
        started(service, log, checkpoint)
        before = _clock_of(service)
        clock.set(offset)
        wait_for(lambda before=before: abs(_clock_of(service) - before) > 3000, "the clock to jump")
        log.submit(service, checkpoint, SHORT)
        require_nothing_lost(service, log)


def _clock_of(service: Service) -> float:
    return parsedate_to_datetime(service.api.get("/version").headers["date"]).timestamp()


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_host_an_hour_off_the_clock_of_the_database_loses_no_work(
    own: Callable[..., Service], clock: Clock, log: ClientLog, offset: int, postgresql_url: str, redis_url: str
) -> None:
    clock.set(offset)
    service = own(database=servers.new_database(postgresql_url), broker=redis_url, **SETTINGS)
    assert abs(_clock_of(service) - time.time()) > 3000
    started(service, log, service.upload(NETWORK)["id"])
    breaking.kill(processes.workers(service)[0])
    require_nothing_lost(service, log)
