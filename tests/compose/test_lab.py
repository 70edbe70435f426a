"""Every service of docker-compose.yml, started as the file describes: commands, environment, mounts, health checks.

No container engine is needed: container.py makes containers from namespaces. Not tested here: the images themselves,
limits on memory and CPUs, restart policies.
"""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

import landscape as ls
from tests.compose.container import wait_until
from tests.compose.project import Project
from tests.support.paths import GALLERY

SKIP = GALLERY / "resnet20-w8-skip.safetensors"


def client_of(project: Project) -> ls.Client:
    port = project.containers["api"].service["ports"][0].split(":")[1]
    return ls.Client(f"http://127.0.0.1:{port}", Path(project.secret("admin_token")).read_text())


def test_every_service_starts_in_order_and_becomes_healthy(lab: Project) -> None:
    assert list(lab.containers) == ["database", "broker", "api", "worker"]
    assert all(container.healthy() for container in lab.containers.values())
    with client_of(lab) as client:
        assert client.health()["status"] == "ok"
        assert client.health()["workers"] == 2


def test_a_job_survives_the_kill_of_its_workers_and_gives_the_same_numbers(lab: Project) -> None:
    with client_of(lab) as client:
        checkpoint = client.upload(SKIP, progress=False)
        request = {"grid": ls.Grid.square(21), "subset": 800, "seed": 5}
        undisturbed = client.surface(checkpoint, **request).wait(progress=False)
        job = client.surface(checkpoint, **request)
        assert wait_until(lambda: job.refresh().info.progress.done >= 25, 120, 0.05)
        lab.containers["worker"].kill()
        assert job.refresh().info.state == "running"
        lab.containers["worker"].start()
        assert np.array_equal(job.wait(progress=False).losses, undisturbed.losses)


def test_no_container_runs_as_root_or_can_write_to_its_root_file_system(lab: Project) -> None:
    for name, container in lab.containers.items():
        status = container.run("grep", "-E", "^(Uid|CapEff|CapBnd|NoNewPrivs)", "/proc/self/status").stdout
        assert "Uid:\t0" not in status, name
        assert status.count("0000000000000000") == 2, name
        assert "NoNewPrivs:\t1" in status, name
        for path in ("/x", "/usr/x", "/etc/x"):
            refused = container.run("touch", path)
            assert "Read-only file system" in refused.stderr, (name, path)
        assert container.run("touch", "/run/secrets/x").returncode != 0


@pytest.mark.parametrize(("name", "secrets"), [("database", 1), ("broker", 1), ("api", 3), ("worker", 2)])
def test_a_service_sees_only_its_own_secrets(lab: Project, name: str, secrets: int) -> None:
    found = lab.containers[name].run("ls", "/run/secrets").stdout.split()
    assert sorted(found) == sorted(lab.containers[name].service["secrets"])
    assert len(found) == secrets


def test_database_and_broker_refuse_connections_without_a_password(lab: Project) -> None:
    query = ["psql", "-h", "127.0.0.1", "-U", "landscape", "-d", "landscape", "--no-password", "-c", "SELECT 1"]
    assert "no password" in lab.containers["database"].run(*query).stderr
    assert "NOAUTH" in lab.containers["broker"].run("valkey-cli", "PING").stdout


def test_the_broker_persists_its_data_and_evicts_nothing(lab: Project) -> None:
    ask = 'REDISCLI_AUTH="$(cat /run/secrets/broker_password)" valkey-cli CONFIG GET'
    for option, value in {"maxmemory-policy": "noeviction", "appendonly": "yes"}.items():
        assert lab.containers["broker"].run("sh", "-c", f"{ask} {option}").stdout.split() == [option, value]


def test_no_command_line_contains_a_password(lab: Project) -> None:
    words = [lab.secret(name).read_text().encode() for name in lab.file["secrets"]]
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines for word in words if word in line]


def test_health_checks_fail_while_a_dependency_is_down_and_recover_afterwards(prepare: Callable[..., Project]) -> None:
    project = prepare(LAB_WORKERS="1")
    project.up()
    database, broker, api, worker = project.containers.values()
    broker.kill()
    assert not broker.healthy()
    assert not api.healthy()
    assert "broker is unreachable" in api.run("landscape", "healthy", "api").stderr
    broker.start()
    assert wait_until(api.healthy, 60)
    worker.kill()
    worker.start()  # importing torch takes a second or more; until then the new process sends no heartbeat
    assert wait_until(worker.healthy, 120)
    database.stop()
    assert not database.healthy()
    assert not api.healthy()
    assert not worker.healthy()
    database.start()
    assert wait_until(lambda: all(one.healthy() for one in project.containers.values()), 120)
    assert project.down() == {"worker": 0, "api": -15, "broker": 0, "database": 0}


def test_a_missing_secret_fails_the_start_and_is_named(prepare: Callable[..., Project]) -> None:
    project = prepare()
    for name in project.file["secrets"]:
        kept = project.secret(name).read_text()
        project.secret(name).unlink()
        for container in [one for one in project.containers.values() if name in one.service["secrets"]]:
            container.start()
            assert container.process is not None
            assert container.process.wait(60) != 0
            assert name in container.log.read_text().splitlines()[-1], container.name
        project.secret(name).write_text(kept)


def test_an_empty_secret_fails_the_start_and_is_named(prepare: Callable[..., Project]) -> None:
    project = prepare()
    for name, containers in {"broker_password": ["broker", "api", "worker"], "database_password": ["api"]}.items():
        kept = project.secret(name).read_text()
        project.secret(name).chmod(0o644)
        project.secret(name).write_text("")
        for container in [project.containers[one] for one in containers]:
            container.start()
            assert container.process is not None
            assert container.process.wait(60) != 0
            assert name in container.log.read_text(), container.name
        project.secret(name).write_text(kept)


def test_the_profile_tls_serves_the_page_with_a_certificate(prepare: Callable[..., Project]) -> None:
    import shutil

    if shutil.which("caddy") is None:
        pytest.skip("caddy is not installed (Debian: apt-get install caddy)")
    project = prepare("tls", LAB_DOMAIN="localhost", LAB_WORKERS="1")
    project.up()
    ports = [port.split(":")[0] for port in project.containers["tls"].service["ports"]]
    root = project.folder / "volumes/certificates/caddy/pki/authorities/local/root.crt"
    assert wait_until(root.exists, 30)
    trusting = ssl.create_default_context(cafile=str(root))
    address = f"https://localhost:{ports[1]}"
    end = time.monotonic() + 30
    while True:
        try:
            answer = httpx.get(f"{address}/api/version", verify=trusting, trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.5)
    assert answer.json()["version"] == ls.__version__
    assert httpx.get(f"{address}/api/jobs", verify=trusting, trust_env=False).status_code == 401
    plain = httpx.get(f"http://localhost:{ports[0]}/", trust_env=False)
    assert plain.status_code == 308
    assert plain.headers["location"].startswith("https://localhost")
