"""The whole service on a bucket, backup and restore with real jobs, and damaged files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tus
from tests.support.objects import BUCKET, KEY, SECRET, ObjectServer, object_server
from tests.support.paths import GALLERY
from tests.support.service import Service, landscape, wait_for

GRID = {"alpha": {"count": 5}, "beta": {"count": 3}}
FILE = GALLERY / "resnet20-w8-skip.safetensors"


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


def on_bucket(objects: ObjectServer, folder: Path, prefix: str) -> dict[str, str]:
    """Settings of a service whose store is a bucket."""
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    return {
        "store": f"s3://{BUCKET}/{prefix}",
        "store_endpoint": objects.url,
        "store_region": "us-east-1",
        "store_access_key": KEY,
        "store_secret_key_file": str(secret),
    }


def surface(service: Service, checkpoint_id: str, **more: Any) -> dict[str, Any]:
    """A finished small surface."""
    job_id = service.submit(kind="surface", checkpoint=checkpoint_id, grid=GRID, subset={"count": 50}, **more)
    service.wait(job_id)
    return service.result(job_id)


# A bucket


def test_the_whole_service_works_on_a_bucket(
    own: Callable[..., Service], service: Service, shipped: dict[str, Any], objects: ObjectServer, tmp_path: Path
) -> None:
    remote = own(**on_bucket(objects, tmp_path, "whole"))
    checkpoint = remote.upload(FILE)
    keys = objects.keys("whole/")
    assert f"whole/{checkpoint['sha256']}" in keys
    assert len(keys) == 2  # the upload and its sanitized weights
    assert surface(remote, checkpoint["id"])["losses"] == surface(service, shipped["id"])["losses"]
    created = tus.create(remote, FILE.stat().st_size, content=FILE.read_bytes())
    again = remote.wait_until_read(created.headers["landscape-id"])
    assert again["sha256"] == checkpoint["sha256"]
    assert remote.api.delete(f"/checkpoints/{checkpoint['id']}").status_code == 204
    assert objects.keys("whole/") == keys  # the second upload has the same bytes
    assert remote.api.delete(f"/checkpoints/{again['id']}").status_code == 204
    assert objects.keys("whole/") == []
    local = remote.data / "store"
    assert {path.name for path in local.iterdir()} == {"unfinished", "resumable", "cache"}
    assert SECRET not in "".join(path.read_text() for path in (remote.data / "logs").iterdir())


def test_a_bucket_that_is_away_is_said_and_costs_nothing_that_was_acknowledged(
    own: Callable[..., Service], tmp_path: Path
) -> None:
    with object_server() as server:
        service = own(**on_bucket(server, tmp_path, "away"))
        checkpoint = service.upload(FILE)
    assert wait_for(lambda: service.api.get("/health").json()["store"] != "ok", "the loss to be noticed")
    refused = service.api.put("/checkpoints", params={"name": "a"}, content=b"x" * 100)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert refused.json()["error"]["code"] == "unavailable"
    assert not list((service.data / "store" / "unfinished").iterdir())
    assert service.api.get(f"/checkpoints/{checkpoint['id']}").json()["state"] == "ready"
    surface(service, checkpoint["id"])  # from the local cache


# Backup and restore


def test_results_after_a_restore_are_the_results_before_bit_for_bit(
    own: Callable[..., Service], tmp_path: Path
) -> None:
    before = own("before")
    checkpoint = before.upload(FILE)
    surface(before, checkpoint["id"], seed=3)
    running = before.submit(kind="surface", checkpoint=checkpoint["id"], grid={"alpha": {"count": 21}}, seed=4)
    wait_for(lambda: before.job(running)["progress"]["done"] > 0, "a job to be in the middle")
    made = landscape("backup", str(tmp_path / "b.tar"), "--data", str(before.data))
    assert made.returncode == 0, made.stderr
    assert "2 files" in made.stdout
    before.wait(running)
    jobs = {job["id"]: before.result(job["id"]) for job in before.api.get("/jobs").json()["items"]}
    assert len(jobs) == 2
    before.stop()

    done = landscape("restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "after"))
    assert done.returncode == 0, done.stderr
    after = own("after")
    after.wait(running)  # the job that was running is finished here
    for job_id, result in jobs.items():
        assert without_times(after.result(job_id)) == without_times(result)
    assert after.api.get(f"/checkpoints/{checkpoint['id']}").json() == checkpoint
    assert surface(after, checkpoint["id"], seed=3)["losses"] in [result["losses"] for result in jobs.values()]


def without_times(result: dict[str, Any]) -> str:
    """A result without its timings; NaN-free JSON is compared as text, so that every bit counts."""
    kept = {**result, "provenance": {**result["provenance"]}}
    for name in ("seconds", "elapsed_s", "finished"):
        kept.pop(name, None)
        kept["provenance"].pop(name, None)
    return json.dumps(kept, sort_keys=True)


def test_a_backup_goes_from_one_machine_to_postgresql_and_a_bucket(
    own: Callable[..., Service], objects: ObjectServer, postgresql_url: str, tmp_path: Path
) -> None:
    from tests.support.servers import new_database

    before = own("before")
    checkpoint = before.upload(FILE)
    expected = surface(before, checkpoint["id"], seed=3)
    assert landscape("backup", str(tmp_path / "folder"), "--data", str(before.data)).returncode == 0
    before.stop()
    lab = {**on_bucket(objects, tmp_path, "moved"), "database": new_database(postgresql_url)}
    done = landscape("restore", str(tmp_path / "folder"), "--data", str(tmp_path / "after"), **lab)
    assert done.returncode == 0, done.stderr
    after = own("after", **lab)
    [job] = after.api.get("/jobs").json()["items"]
    assert without_times(after.result(job["id"])) == without_times(expected)
    assert surface(after, checkpoint["id"], seed=3)["losses"] == expected["losses"]


def test_a_restore_over_something_is_refused_in_a_sentence(
    service: Service, shipped: dict[str, Any], tmp_path: Path
) -> None:
    assert landscape("backup", str(tmp_path / "b"), "--data", str(service.data)).returncode == 0
    for arguments in (["restore", str(tmp_path / "b")], ["backup", str(tmp_path / "b")], ["restore", "nothing.tar"]):
        answer = landscape(*arguments, "--data", str(service.data))
        assert answer.returncode == 1
        assert "Traceback" not in answer.stderr
    assert "not empty" in landscape("restore", str(tmp_path / "b"), "--data", str(service.data)).stderr


# Damaged files and garbage collection


def home(service: Service, sha256: str) -> Path:
    return service.data / "store" / sha256[:2] / sha256


def test_damaged_weights_fail_the_job_with_what_to_do_and_the_same_upload_mends_them(
    own: Callable[..., Service],
) -> None:
    service = own()
    checkpoint = service.upload(FILE)
    [weights] = [
        path for path in (service.data / "store").glob("[0-9a-f][0-9a-f]/*") if path.name != checkpoint["sha256"]
    ]
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    spec = {"kind": "surface", "checkpoint": checkpoint["id"], "grid": GRID, "subset": {"count": 50}}
    failed = service.wait(service.submit(**spec), "failed")
    assert "damaged" in failed["error"]
    assert "Upload it again" in failed["error"]
    service.upload(FILE)
    service.wait(service.submit(**spec))


def test_cleaning_says_what_would_go_and_then_does_it(own: Callable[..., Service]) -> None:
    service = own()
    checkpoint = service.upload(FILE)
    lost = home(service, "ab" + "0" * 62)
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"lost")
    said = landscape("clean", "--dry-run", "--data", str(service.data), collect_after_seconds="0")
    assert said.returncode == 0, said.stderr
    assert "1 unreferenced files (4 bytes) would be removed" in said.stdout
    assert lost.exists()
    assert landscape("clean", "--data", str(service.data), collect_after_seconds="0").returncode == 0
    assert not lost.exists()
    assert home(service, checkpoint["sha256"]).exists()
    surface(service, checkpoint["id"])


def test_a_running_service_cleans_by_itself(own: Callable[..., Service]) -> None:
    service = own(collect_after_seconds="0", upload_keep_hours="0.0001")
    lost = home(service, "ab" + "0" * 62)
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"lost")
    tus.create(service, 100, content=b"half")
    wait_for(lambda: not lost.exists(), "the service to clean", 150)
    wait_for(lambda: not list((service.data / "store" / "resumable").iterdir()), "the upload to expire", 150)
