"""Fault injection: kills, stops and floods real processes, locks and damages files, fills disks."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from service.queue.wakeups import QUEUE, WakeUps
from tests.support.processes import api_processes
from tests.support.servers import Server
from tests.support.service import Service, wait_for


def programs(server: Server) -> list[psutil.Process]:
    """The processes of a test server, below their guardian."""
    assert server.process is not None
    return psutil.Process(server.process.pid).children()


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


@contextlib.contextmanager
def stopped(*held: psutil.Process) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end; a process that has ended meanwhile is passed over."""
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def broker_url(service: Service) -> str:
    """URL of the broker of the service: the password of a private one is only in the environment of its processes.

    Raises:
        IndexError: the API is being restarted.
    """
    return str(api_processes(service)[0].environ()["LANDSCAPE_BROKER"])


def send_wakeups(url: str, count: int) -> None:
    """Send `count` wake-up messages at once."""
    wakeups = WakeUps(url)
    with contextlib.suppress(RedisError, KombuError, OSError):
        for _ in range(count):
            wakeups.celery.send_task("landscape.work", queue=QUEUE)


def flush(url: str) -> None:
    """Delete everything in the broker."""
    with contextlib.suppress(RedisError, OSError), Redis.from_url(url, socket_timeout=5) as client:
        client.flushall()


def unread(url: str, path: str) -> socket.socket:
    """A client that sends a request and never reads the response."""
    host = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host.hostname or "", host.port or 80))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host.hostname}\r\n\r\n".encode())
    return client


_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another process holds an exclusive lock on the SQLite file."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(database), str(seconds)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.wait(seconds + 30)
        holder.stdout.close()


def cut_connections(url: str) -> None:
    """Have PostgreSQL end every session on this database, in the middle of its transaction."""
    engine = create_engine(url)
    mine = "datname = current_database() AND usename = current_user"  # it may not end autovacuum
    with contextlib.suppress(OperationalError), engine.connect() as connection:
        where = f"{mine} AND pid <> pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}"))
    engine.dispose()


def flip_bit(database: Path, values: bytes) -> None:
    """Change one bit of these bytes in the file itself, without SQLite."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = database.read_bytes()
    assert content.count(values) == 1, "these values must lie in the file in one piece, once"
    with database.open("r+b") as file:
        file.seek(content.index(values) + 5)
        file.write(bytes([values[5] ^ 4]))
        os.fsync(file.fileno())


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes; the test is skipped if none can be mounted."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        import pytest

        pytest.skip("needs the permission to mount a small file system: " + made.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def wait_until_it_answers(service: Service) -> None:
    """Wait until the API answers again."""

    def answers() -> bool:
        with contextlib.suppress(Exception):
            return service.api.get("/version").status_code == 200
        return False

    wait_for(answers, "the API to answer again")
