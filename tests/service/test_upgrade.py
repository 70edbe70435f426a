"""Upgrades lose nothing: the service resumes the work of an earlier version that was killed while busy.

tests/service/upgrade/make.py made the installation, and names the commit.
"""

import json
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from redis import Redis

from service.queue.wakeups import QUEUE
from tests.service.upgrade.make import ARCHIVE, AS_COMMANDS, start, surface
from tests.support import tus
from tests.support.servers import redis
from tests.support.service import Service, client, landscape, wait_for
from worker.cell.inside import kind_of

OTHER_MACHINE = 1e-6  # relative: rounding differs between instruction sets


@dataclass
class Installation:
    """A copy of the earlier installation, not started."""

    folder: Path
    about: dict[str, Any]
    tolerance: float  # 0 (equal bits) on the kind of machine that computed the first values

    @property
    def database(self) -> Path:
        return self.folder / "data" / "landscape.sqlite"


def unpack(folder: Path) -> Installation:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    found = Installation(folder, json.loads((folder / "about.json").read_text()), 0.0)
    with closing(sqlite3.connect(found.database)) as connection, connection:
        connection.execute("UPDATE counts SET label = '0.0.9' WHERE name = 'version'")  # workers of 0.1.0 refuse it
    close_to_others(found.folder / "data")
    here = kind_of(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if here != found.about["device"]:
        found.tolerance = OTHER_MACHINE
        _move_to(found.database, here)
    return found


def close_to_others(data: Path) -> None:
    """Earlier versions left the data folder open to every account of the machine: run the command that is printed."""
    refused = landscape("token", "list", "--data", str(data))
    assert refused.returncode == 1
    subprocess.run(["sh", "-c", refused.stderr.partition("Close it to them with: ")[2]], check=True)


def _move_to(database: Path, device: str) -> None:
    """Only the kind of device that started a job resumes it: make this one that kind, without an engine."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in ("jobs", "tiles"):
            connection.execute(f"UPDATE {table} SET device = ? WHERE device IS NOT NULL", (device,))
        plainly = "json_set(provenance, '$.engine', json('{\"engine\": \"plain\"}'))"
        connection.execute(f"UPDATE jobs SET provenance = {plainly} WHERE provenance IS NOT NULL")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return unpack(tmp_path_factory.mktemp("earlier"))


@pytest.fixture(scope="module")
def computed_before(installation: Installation) -> list[Any]:
    """Every tile with values that the earlier version wrote."""
    return tiles_with_values(installation.database)


def tiles_with_values(database: Path) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        query = 'SELECT id, job_id, sequence, points, "values", sha256, finished FROM tiles WHERE sequence IS NOT NULL'
        return connection.execute(f"{query} ORDER BY id").fetchall()


@pytest.fixture(scope="module")
def broker(installation: Installation, computed_before: list[Any]) -> Iterator[str]:
    """The broker of the earlier version, started again on its file."""
    with redis(*AS_COMMANDS, appended=installation.folder / "appendonlydir") as server:
        with Redis.from_url(server.url) as messages:
            assert messages.llen(QUEUE) > 1
            assert messages.hlen("unacked") == 1
        yield server.url


@pytest.fixture(scope="module")
def upgraded(installation: Installation, broker: str) -> Iterator[Service]:
    """The current service on the earlier installation."""
    service = start(installation.folder, broker)
    yield service
    service.stop()


def require_every_job_ended(service: Service, installation: Installation) -> None:
    """Check that every job ended with the values that the earlier version computes."""
    for name, job_id in installation.about["jobs"].items():
        job = service.wait(job_id, "cancelled" if name == "cancelled" else "done")
        assert job["damaged"] is None
        if name != "cancelled":
            found = np.array(service.result(job_id)["losses"])
            expected = np.array(installation.about["losses"][name])
            np.testing.assert_allclose(found, expected, rtol=installation.tolerance, atol=0, err_msg=name)


def test_every_job_ends_with_the_values_of_the_earlier_version(
    upgraded: Service, installation: Installation, computed_before: list[Any]
) -> None:
    before = {name: upgraded.job(job_id) for name, job_id in installation.about["jobs"].items()}
    require_every_job_ended(upgraded, installation)
    assert before["done"] == upgraded.job(installation.about["jobs"]["done"])
    assert before["cancelled"] == upgraded.job(installation.about["jobs"]["cancelled"])
    ids = {tile[0] for tile in computed_before}
    assert [tile for tile in tiles_with_values(installation.database) if tile[0] in ids] == computed_before
    half = installation.about["jobs"]["half"]
    assert any(tile[1] == half for tile in computed_before)
    assert any(tile[1] == half and tile[0] not in ids for tile in tiles_with_values(installation.database))


def test_every_message_of_the_earlier_version_is_understood(upgraded: Service, broker: str) -> None:
    with Redis.from_url(broker) as messages:
        wait_for(lambda: messages.llen(QUEUE) + messages.hlen("unacked") == 0, "every message to be taken", 120)
    logs = "".join(path.read_text() for path in (upgraded.data / "logs").iterdir())
    assert "landscape.work" not in logs  # Celery names a task that it does not know, or that fails
    assert "Traceback" not in logs


def test_the_checkpoint_that_waited_is_read(upgraded: Service, installation: Installation) -> None:
    assert upgraded.wait_until_read(installation.about["unread"])["state"] == "ready"


def test_the_unfinished_upload_is_resumed(upgraded: Service, installation: Installation) -> None:
    content, where = (installation.folder / "upload.safetensors").read_bytes(), installation.about["upload"]
    assert tus.offset(upgraded, where) == installation.about["sent"]
    answer = tus.patch(upgraded, where, installation.about["sent"], content[installation.about["sent"] :])
    assert answer.status_code == 204, answer.text
    assert upgraded.wait_until_read(where.rsplit("/", 1)[1])["state"] == "ready"


def test_the_token_still_opens_and_the_uploads_are_still_there(upgraded: Service, installation: Installation) -> None:
    with client(upgraded.port, installation.about["token"]) as ada:
        assert ada.get("/session").json()["user"] == "ada"
        assert ada.get("/jobs").json()["total"] == 0  # those of the administrator
    with client(upgraded.port) as anonymous:
        assert anonymous.get("/jobs").status_code == 401
    uploads = {"checkpoint": installation.about["checkpoint"], "dataset": installation.about["dataset"]}
    job_id = upgraded.submit(**uploads, **surface(5, 4, seed=1))
    upgraded.wait(job_id)
    assert upgraded.result(job_id)["losses"] == upgraded.result(installation.about["jobs"]["done"])["losses"]


def test_a_backup_of_the_earlier_installation_is_restored_and_resumed(tmp_path: Path) -> None:
    earlier = unpack(tmp_path / "earlier")
    file, new = tmp_path / "backup.tar", tmp_path / "new"
    made = landscape("backup", str(file), "--data", str(earlier.folder / "data"))
    assert made.returncode == 0, made.stderr
    new.mkdir()
    (earlier.folder / "secrets").rename(new / "secrets")
    restored = landscape("restore", str(file), "--data", str(new / "data"))
    assert restored.returncode == 0, restored.stderr
    with redis() as broker:
        service = start(new, broker.url)
        try:
            require_every_job_ended(service, earlier)
        finally:
            service.stop()
