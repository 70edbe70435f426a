"""Makes installation.tar.xz: the files of an installation of an earlier version that was killed while busy.

    python -m tests.service.upgrade.make /path/to/earlier/.venv/bin/landscape COMMIT

The one in the repository was made from commit c0b702e, the last before the modules moved into named packages. It holds
the data folder (SQLite with its write-ahead log, store), the append-only file of the broker with Celery's messages, the
secrets, and about.json: the ids, and the values that the earlier version computed when restarted on a copy.

Needs Linux, root (to set a host name, so that this machine's is not in the file) and redis-server.
"""

import argparse
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from redis import Redis

from landscape.data import load
from tests.support import tus
from tests.support.servers import PASSWORD, redis
from tests.support.service import LANDSCAPE, Service, landscape, make_token, start_service, wait_for

HERE = Path(__file__).parent
ARCHIVE = HERE / "installation.tar.xz"
SETTINGS = {
    "access": "on",
    "tile_seconds": "0.02",  # many tiles
    "lease_seconds": "60",  # longer than it takes to kill everything
    "min_free_bytes": "0",
    "upload_keep_hours": "1000000",  # the unfinished upload waits for the test, years later
}
AS_COMMANDS = ("--aof-use-rdb-preamble", "no")  # in the file, which every later Redis and Valkey reads
SENT = 3000  # bytes of the unfinished upload


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.service.upgrade.make")
    parser.add_argument("landscape", type=Path, help="the earlier version's command")
    parser.add_argument("commit", help="what it was installed from")
    options = parser.parse_args()
    program = ["unshare", "--uts", "sh", "-c", 'hostname lab && exec "$@"', "sh", str(options.landscape.absolute())]
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)  # the earlier version must not find this one's packages in the working directory
        folder = Path(temporary) / "installation"
        about = {"commit": options.commit, **interrupted(program, folder)}
        copy = Path(shutil.copytree(folder, Path(temporary) / "copy"))
        about |= finished(program, copy, about["jobs"])
        (folder / "about.json").write_text(json.dumps(about))
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            archive.add(folder, ".", filter=_anonymous)
    print(f"{ARCHIVE.stat().st_size} bytes in {ARCHIVE}")


def start(folder: Path, broker: str, program: Sequence[str] = LANDSCAPE) -> Service:
    """The service of an installation, which finds the broker's password in a file."""
    token = (folder / "secrets" / "admin_token").read_text()
    return start_service(
        folder / "data", workers=1, program=program, cwd=folder, token=token, **settings_of(folder, broker)
    )


def settings_of(folder: Path, broker: str) -> dict[str, str]:
    secrets = {f"{name}_file": str(folder / "secrets" / name) for name in ("admin_token", "broker_password")}
    return {**SETTINGS, **secrets, "broker": f"redis://{broker.rpartition('@')[2]}"}


def interrupted(program: Sequence[str], folder: Path) -> dict[str, Any]:
    """Give the service work and kill it; the ids of the unfinished work in `folder`."""
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "admin_token").write_text("an administrator's token, for tests alone")
    (folder / "secrets" / "broker_password").write_text(PASSWORD)
    trained = folder.parent / "trained"
    done = landscape("train", "--depth", "8", "--width", "2", "--epochs", "1", "-o", str(trained), program=program)
    assert done.returncode == 0, done.stderr
    with redis(*AS_COMMANDS) as broker:
        service = start(folder, broker.url, program)
        try:
            about = _put_to_work(service, program, trained)
            _kill(service.process.pid)
            with Redis.from_url(broker.url) as client:
                assert client.llen("landscape") > 1, "messages that no worker took"
                assert client.hlen("unacked") == 1, "the message that the killed worker took"
        finally:
            _kill(service.process.pid)
            service.stop()
        broker.stop()
        shutil.copytree(broker.log.parent / "appendonlydir", folder / "appendonlydir")
    shutil.rmtree(folder / "data" / "logs")  # they name the folders of this machine
    (folder / "data" / "landscape.sqlite-shm").unlink()
    return about


def _put_to_work(service: Service, program: Sequence[str], trained: Path) -> dict[str, Any]:
    checkpoint = service.upload(trained / "checkpoint.safetensors")["id"]
    dataset = _dataset(service)
    common = {"checkpoint": checkpoint, "dataset": dataset}
    token = make_token(service.data, "ada", program=program)["token"]
    jobs = {"done": service.submit(**common, **surface(5, 4, seed=1), name="done")}
    service.wait(jobs["done"])
    jobs["cancelled"] = service.submit(**common, **surface(301, 301, seed=2), name="cancelled")
    wait_for(lambda: service.job(jobs["cancelled"])["progress"]["done"] > 50, "some of the job to cancel")
    assert service.api.post(f"/jobs/{jobs['cancelled']}/cancel").status_code == 200
    jobs["half"] = service.submit(**common, **surface(31, 23, seed=3), name="half done")
    worker = _stop_in_the_middle(service, jobs["half"])
    waiting = {"kind": "slice", "grid": {"alpha": {"count": 7}}, "subset": {"count": 20, "seed": 5}, "seed": 4}
    jobs["waiting"] = service.submit(checkpoint=checkpoint, **waiting, name="waiting")
    jobs["waiting, float64"] = service.submit(
        **common, **surface(4, 3, seed=5), precision="float64", name="waiting too"
    )
    content = (trained / "trajectory" / "epoch-000.safetensors").read_bytes()
    unread = service.api.put("/checkpoints", params={"name": "epoch-000.safetensors"}, content=content).json()["id"]
    begun = tus.create(service, len(content), content=content[:SENT], filename="half.safetensors")
    shutil.copy(trained / "trajectory" / "epoch-000.safetensors", service.data.parent / "upload.safetensors")
    time.sleep(5)  # the reconciler sends a message for each tile that waits
    assert worker.status() == psutil.STATUS_STOPPED
    return {
        "jobs": jobs,
        "checkpoint": checkpoint,
        "unread": unread,
        "dataset": dataset,
        "token": token,
        "upload": tus.place(begun),
        "sent": SENT,
    }


def surface(alphas: int, betas: int, *, seed: int) -> dict[str, Any]:
    return {"kind": "surface", "grid": {"alpha": {"count": alphas}, "beta": {"count": betas}}, "seed": seed}


def _dataset(service: Service) -> str:
    digits = load("digits", "test").subset(40, 0)
    file = service.data.parent.parent / "digits.npz"
    images = (digits.images * 16).round().to(int).numpy().astype(np.uint8)
    np.savez_compressed(file, images=images, labels=digits.labels.numpy())
    answer = service.api.put("/datasets", params={"name": "forty digits"}, content=file.read_bytes())
    assert answer.status_code == 201, answer.text
    found = service.wait_until_read(answer.json()["id"], "datasets")
    assert found["state"] == "ready", found
    return str(found["id"])


def _stop_in_the_middle(service: Service, job_id: str) -> psutil.Process:
    """Stop the supervisor, so that it restarts nothing, and the worker while it holds a tile of the job."""
    wait_for(lambda: service.job(job_id)["progress"]["done"] > 100, "some of the job")
    supervisor = psutil.Process(service.process.pid)
    commands = {one: one.cmdline() for one in supervisor.children(recursive=True)}
    [worker] = [one for one, command in commands.items() if command[1:] == ["-m", "landscape.cli", "worker"]]
    supervisor.suspend()
    while True:
        worker.suspend()
        if _holds_a_tile(service.data / "landscape.sqlite", job_id):
            break
        worker.resume()
        time.sleep(0.003)
    job = service.job(job_id)
    assert job["state"] == "running", job
    print(f"stopped with {job['progress']} done")
    return worker


def _holds_a_tile(database: Path, job_id: str) -> bool:
    """Whether a tile of the job is leased, and no process is in the middle of a transaction."""
    query = "SELECT count(*) FROM tiles WHERE state = 'leased' AND purpose = 'points' AND job_id = ?"
    connection = sqlite3.connect(database, timeout=0.1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        leased = connection.execute(query, (job_id,)).fetchone()[0]
        connection.execute("ROLLBACK")
        return bool(leased)
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


def _kill(pid: int) -> None:
    """Kill every process, the supervisor last, so that none can finish or release its work."""
    if not psutil.pid_exists(pid):
        return
    supervisor = psutil.Process(pid)
    everyone = supervisor.children(recursive=True)
    for process in [*everyone, supervisor]:
        process.kill()
    psutil.wait_procs(everyone, timeout=20)


def finished(program: Sequence[str], folder: Path, jobs: dict[str, str]) -> dict[str, Any]:
    """The values that the earlier version computes when restarted on this copy."""
    with redis(*AS_COMMANDS, appended=folder / "appendonlydir") as broker:
        service = start(folder, broker.url, program)
        try:
            for name, job_id in jobs.items():
                service.wait(job_id, "cancelled" if name == "cancelled" else "done")
            losses = {name: service.result(job_id)["losses"] for name, job_id in jobs.items() if name != "cancelled"}
        finally:
            service.stop()
    with sqlite3.connect(folder / "data" / "landscape.sqlite") as database:
        [device] = database.execute("SELECT DISTINCT device FROM jobs").fetchone()
    return {"device": device, "losses": losses}


def _anonymous(file: tarfile.TarInfo) -> tarfile.TarInfo:
    file.uid = file.gid = 0
    file.uname = file.gname = ""
    return file


if __name__ == "__main__":
    main()
