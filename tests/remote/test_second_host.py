"""A worker on a second host: a network namespace with its own disk, joined to the lab by a virtual link.

The lab runs PostgreSQL, Redis and the API; the other host runs `landscape worker --broker … --database … --store …` and
cannot see the lab's disk.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import numpy as np
import pytest

import landscape as ls
from service.versions import OTHER_VERSION
from tests.compose.container import postgresql, why_not
from tests.compose.project import open_path
from tests.support.paths import GALLERY
from tests.support.service import LANDSCAPE, wait_for

SKIP = GALLERY / "resnet20-w8-skip.safetensors"


@dataclass
class Host:
    """A network namespace with one end of a virtual link."""

    name: str
    address: str
    data: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, *command: str, hide: Path | None = None, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a command on this host; `hide` is a folder of this machine that the host must not see."""
        log = (self.data / f"log-{len(self.processes)}").open("wb")
        entered = ["nsenter", f"--net=/run/netns/{self.name}"]
        if hide:
            entered += ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hide} && exec "$@"', "host"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        with log:
            process = subprocess.Popen(
                [*entered, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=self.data
            )
        self.processes.append(process)
        return process

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        entered = ["nsenter", f"--net=/run/netns/{self.name}", *command]
        environment = {**os.environ, **variables}
        return subprocess.run(entered, capture_output=True, text=True, env=environment, cwd=self.data, timeout=120)

    def latest(self) -> str:
        """The output of the process started last."""
        return (self.data / f"log-{len(self.processes) - 1}").read_text()

    def log(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.data.glob("log-*")))

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)  # PostgreSQL would wait for its clients at SIGTERM
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Lab:
    """Two hosts, and the addresses of the services on the first."""

    host: Host
    other: Host
    database: str
    broker: str
    url: str
    admin: str

    def token(self) -> Path:
        """A file on the other host with a token of scope `work`, created once."""
        file = self.other.data / "token"
        if file.exists():
            return file
        made = self.host.run(
            *LANDSCAPE, "token", "make", "--user", "box", "--scopes", "work", LANDSCAPE_DATABASE=self.database
        )
        assert made.returncode == 0, made.stderr
        file.write_text(made.stdout.strip())
        return file

    def worker(self, **variables: str) -> "subprocess.Popen[bytes]":
        where = ["--database", self.database, "--broker", self.broker, "--store", self.url]
        return self.other.start(
            *LANDSCAPE, "worker", *where, "--token-file", str(self.token()), "--data", str(self.other.data / "worker"),
            hide=self.host.data, **variables,
        )  # fmt: skip

    def query(self, text: str) -> str:
        """The single value that a query returns."""
        connect = f"psycopg.connect({self.database.replace('+psycopg', '')!r}, autocommit=True)"
        done = self.host.run(sys.executable, "-c", f"import psycopg; print({connect}.execute({text!r}).fetchone()[0])")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run_client(self, code: str) -> str:
        """Run a program with a client of the service on the lab's host: there is no route to it from here."""
        program = f"import landscape as ls, sys\nwith ls.Client({self.url!r}, {self.admin!r}) as client:\n    {code}\n"
        done = self.host.run(sys.executable, "-c", program)
        assert done.returncode == 0, done.stderr + self.host.log() + self.other.log()
        return done.stdout.strip()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if reason := why_not():
        pytest.skip(f"the hosts are network namespaces, and {reason}")
    names = [f"{end}-{token_hex(3)}" for end in ("lab", "box")]
    folders = [Path(tempfile.mkdtemp(prefix=f"{name}-")) for name in names]
    hosts = [
        Host(name, f"10.99.77.{n + 1}", folder) for n, (name, folder) in enumerate(zip(names, folders, strict=True))
    ]
    for folder in folders:
        open_path(folder)
    try:
        _link(*hosts)
        yield _lab(*hosts)
    finally:
        for host in reversed(hosts):
            host.stop()
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)
            shutil.rmtree(host.data, ignore_errors=True)


def _link(host: Host, other: Host) -> None:
    ends = [f"w{token_hex(3)}" for _ in range(2)]
    for one in (host, other):
        subprocess.run(["ip", "netns", "add", one.name], check=True)
        subprocess.run(["ip", "-n", one.name, "link", "set", "lo", "up"], check=True)
    first, second = ends
    subprocess.run(["ip", "-n", host.name, "link", "add", first, "type", "veth", "peer", "name", second], check=True)
    subprocess.run(["ip", "-n", host.name, "link", "set", second, "netns", other.name], check=True)
    for one, end in ((host, first), (other, second)):
        subprocess.run(["ip", "-n", one.name, "address", "add", f"{one.address}/24", "dev", end], check=True)
        subprocess.run(["ip", "-n", one.name, "link", "set", end, "up"], check=True)


def _lab(host: Host, other: Host) -> Lab:
    """PostgreSQL, Redis and the API on the first host, listening on the link, each with its password."""
    secret, at = token_hex(16), host.address
    cluster = host.data / "cluster"
    (host.data / "password").write_text(secret)
    (host.data / "password").chmod(0o644)
    cluster.mkdir()
    shutil.chown(cluster, "postgres")
    programs = postgresql()
    assert programs is not None
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    options = ["-D", str(cluster), "-E", "UTF8", "--auth-host=scram-sha-256", f"--pwfile={host.data / 'password'}"]
    host.run(*as_postgres, str(programs / "initdb"), "-U", "postgres", *options).check_returncode()
    with (cluster / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.99.77.0/24 scram-sha-256\n")
    sockets = f"-c unix_socket_directories={cluster} -c listen_addresses={at}".split()
    host.start(*as_postgres, str(programs / "postgres"), "-D", str(cluster), *sockets)
    redis = shutil.which("redis-server") or shutil.which("valkey-server")
    assert redis is not None
    host.start(redis, "--bind", at, "--port", "6379", "--requirepass", secret, "--save", "", "--dir", str(host.data))
    broker, database = f"redis://:{secret}@{at}:6379/0", f"postgresql+psycopg://postgres:{secret}@{at}/postgres"
    probe = f"psycopg.connect('{database.replace('+psycopg', '')}'); redis.Redis.from_url('{broker}').ping()"
    wait_for(lambda: host.run(sys.executable, "-c", f"import psycopg, redis; {probe}").returncode == 0, "the servers")
    (host.data / "admin").write_text(token_hex(32))
    settings = {"LANDSCAPE_DATABASE": database, "LANDSCAPE_BROKER": broker, "LANDSCAPE_ACCESS": "on"}
    settings |= {"LANDSCAPE_ADMIN_TOKEN_FILE": str(host.data / "admin"), "LANDSCAPE_DATA": str(host.data / "service")}
    host.start(*LANDSCAPE, "serve", "--host", at, "--port", "8000", **settings)
    lab = Lab(host, other, database, broker, f"http://{at}:8000", (host.data / "admin").read_text())
    wait_for(lambda: _answers(lab), "the API", 90)
    return lab


def _answers(lab: Lab) -> bool:
    with contextlib.suppress(AssertionError):
        return lab.run_client("print(client.health()['database'])") == "ok"
    return False


def test_a_worker_on_another_host_reads_and_computes_without_a_shared_disk(lab: Lab, tmp_path: Path) -> None:
    worker = lab.worker()
    result = tmp_path / "far.npz"
    lab.run_client(
        f"job = client.surface(client.upload({str(SKIP)!r}), grid=ls.Grid.square(5), subset=60, seed=4); "
        f"job.wait().save({str(result)!r}); print(job.id)"
    )
    worker.terminate()
    assert worker.wait(60) == 0
    assert not (lab.other.data / "worker/store/unfinished").exists() or not list(
        (lab.other.data / "worker/store/unfinished").iterdir()
    )
    copies = list((lab.other.data / "worker/store/cache").iterdir())
    assert {path.name for path in copies} <= {path.name for path in lab.host.data.glob("service/store/*/*")}
    assert len(copies) == 2  # the upload, and the sanitized weights that it sent
    from landscape.checkpoints.inspect import inspect
    from landscape.data import load

    samples = load("digits", "train").subset(60, 0)
    here = ls.surface(
        inspect(SKIP).model(None), samples.images, samples.labels, grid=ls.Grid.square(5), seed=4, progress=False
    )
    assert np.array_equal(ls.Result.load(result).losses, here.losses)


def test_the_other_host_cannot_see_the_disk_of_the_lab(lab: Lab) -> None:
    seen = lab.other.start("ls", "-A", str(lab.host.data), hide=lab.host.data)
    assert seen.wait(30) == 0
    assert lab.other.latest() == ""
    assert list(lab.host.data.iterdir())


def test_a_job_completes_after_its_worker_on_the_other_host_is_killed(lab: Lab) -> None:
    worker = lab.worker()
    submit = f"print(client.surface(client.upload({str(SKIP)!r}), grid=ls.Grid.square(15), subset=800).id)"
    job = lab.run_client(submit)
    wait_for(
        lambda: int(lab.run_client(f"print(client.job({job!r}).info.progress.done)")) >= 25, "the first points", 120
    )
    worker.kill()
    again = lab.worker()
    assert lab.run_client(f"print(client.job({job!r}).wait(timeout=200).computed.all())") == "True"
    again.terminate()
    again.wait(60)


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("counts", "label", "the service is 9.9.9"),
        ("alembic_version", "version_num", "The database has schema 9.9.9"),
    ],
)
def test_a_worker_of_another_version_is_refused_with_a_sentence(lab: Lab, table: str, column: str, words: str) -> None:
    lab.token()
    only = "WHERE name = 'version'" if table == "counts" else ""
    before = lab.query(f"SELECT {column} FROM {table} {only}")
    lab.query(f"UPDATE {table} SET {column} = '9.9.9' {only} RETURNING 1")
    try:
        worker = lab.worker()
        assert worker.wait(60) == OTHER_VERSION
    finally:
        lab.query(f"UPDATE {table} SET {column} = '{before}' {only} RETURNING 1")
    message = lab.other.latest().strip()
    assert words in message
    assert "Traceback" not in message
    assert "nstall the" in message
