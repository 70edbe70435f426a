"""Real PostgreSQL and Redis servers for tests: ordinary processes on a free port, with a password, stopped at the end.

Tests that need one are skipped on machines without it; `.ci/run` installs both.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from service.supervisor import guardian
from tests.support.service import free_port

PASSWORD = "secret of the tests"
GUARDED = [sys.executable, "-S", "-E", guardian.__file__]


class Server:
    """A server that can be stopped, killed and started again on the same port and files."""

    def __init__(self, command: list[str], url: str, answers: Callable[[], bool], log: Path):
        self.command, self.url, self.answers, self.log = command, url, answers, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*GUARDED, *self.command], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM by its guardian, then SIGKILL if it does not stop."""
        if self.process and self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL, so that it writes nothing more."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), 9)
        self.process.wait(60)
        if self.process.stdin:
            self.process.stdin.close()


def _missing(why: str) -> NoReturn:
    if os.environ.get("SERVERS") == "required":
        pytest.fail(why)
    pytest.skip(why)


def _postgresql_programs() -> Path | None:
    """Folder of initdb and postgres: Debian does not put them on PATH."""
    on_path = shutil.which("initdb")
    homes = [Path(on_path).resolve().parent] if on_path else []
    homes += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((home for home in homes if (home / "postgres").exists() and (home / "initdb").exists()), None)


@contextlib.contextmanager
def postgresql(address: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[Server]:
    """A PostgreSQL server; its URL names the database `postgres` and a role that is no superuser, as in a lab.

    Args:
        within: what its command begins with, for a server in another network namespace, at `address`.
    """
    programs = _postgresql_programs()
    if programs is None:
        _missing("PostgreSQL was not found (apt-get install postgresql)")
    folder, port = Path(tempfile.mkdtemp(prefix="postgresql-")), free_port()
    (folder / "password").write_text(PASSWORD)
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    data = str(folder / "data")
    made = [str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"]
    subprocess.run(
        [*as_user, *made, f"--pwfile={folder / 'password'}"], check=True, stdout=subprocess.DEVNULL, cwd=folder
    )
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\n")
    options = ["-p", str(port), "-k", str(folder), "-c", f"listen_addresses={address}", "-c", "max_connections=200"]
    url = f"postgresql://landscape:{PASSWORD.replace(' ', '%20')}@{address}:{port}/postgres"
    command = [*within, *as_user, str(programs / "postgres"), "-D", data, *options]
    server = Server(command, url, lambda: _connects(_as_superuser(url)), folder / "log")
    try:
        server.start()
        _as_superuser_run(url, f"CREATE ROLE landscape LOGIN PASSWORD '{PASSWORD}'")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _connects(url: str) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
    finally:
        engine.dispose()


def _as_superuser(url: str) -> str:
    return url.replace("//landscape:", "//postgres:")


def _as_superuser_run(url: str, statement: str) -> None:
    engine = create_engine(_as_superuser(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def new_database(url: str) -> str:
    """URL of an empty database on the server of `url`, owned by the role of `url`, which has no other rights."""
    name = f"test_{token_hex(6)}"
    _as_superuser_run(url, f"CREATE DATABASE {name} OWNER landscape")
    return f"{url.rsplit('/', 1)[0]}/{name}"


@contextlib.contextmanager
def redis(
    *options: str, appended: Path | None = None, address: str = "127.0.0.1", within: Sequence[str] = ()
) -> Iterator[Server]:
    """A Redis server with a password and an append-only file.

    Args:
        options: further options of redis-server.
        appended: folder of append-only files that another server left; it starts with a copy of them.
        address, within: see `postgresql`.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        _missing("redis-server was not found (apt-get install redis-server)")
    folder, port = Path(tempfile.mkdtemp(prefix="redis-")), free_port()
    if appended:
        shutil.copytree(appended, folder / "appendonlydir")
    url = f"redis://:{PASSWORD.replace(' ', '%20')}@{address}:{port}/0"
    configuration = folder / "redis.conf"
    configuration.write_text(
        f'bind {address}\nport {port}\nrequirepass "{PASSWORD}"\ndir {folder}\nappendonly yes\nsave ""\n'
        "maxmemory-policy noeviction\n"
    )
    server = Server([*within, program, str(configuration), *options], url, lambda: _pings(url), folder / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _pings(url: str) -> bool:
    with Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: Server) -> str:
    """A PostgreSQL server that tests share; `new_database(postgresql_url)` makes a database for one test."""
    return postgresql_server.url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server that tests share."""
    with redis() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.sqlite'}"
    return new_database(request.getfixturevalue("postgresql_url"))
