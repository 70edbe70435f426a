"""Finds the processes of a running service by their command lines, as an operator would."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from service.supervisor import guardian
from tests.support.service import Service

_GUARDIAN = Path(guardian.__file__).name


def processes(service: Service) -> list[psutil.Process]:
    """Every process of the service but the supervisor and the guardians."""
    return children(service.process.pid)


def children(pid: int) -> list[psutil.Process]:
    """Every living process below this one, without the guardians between them."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and _GUARDIAN not in " ".join(process.cmdline()):
                found.append(process)
    return found


def api_process(service: Service) -> psutil.Process:
    """The API process."""
    [found] = api_processes(service)
    return found


def api_processes(service: Service) -> list[psutil.Process]:
    """The API process; none while it is being restarted."""
    return _with(service, "serve")


def workers(service: Service) -> list[psutil.Process]:
    return _with(service, "worker.process", "worker")


def readers(service: Service) -> list[psutil.Process]:
    """The processes that parse uploads, each for one file."""
    return _with(service, "landscape.checkpoints.sandbox")


def fork_servers(service: Service) -> list[psutil.Process]:
    """The processes that cells are forked from, one for each worker."""
    return [one for one in _with(service, "worker.cell.forkserver") if not _is_cell(one)]


def cells(service: Service) -> list[psutil.Process]:
    """The processes that compute, each for one job: forks, with the command line of the fork server."""
    return [one for one in _with(service, "worker.cell.forkserver") if _is_cell(one)]


def _is_cell(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return parent is not None and "worker.cell.forkserver" in parent.cmdline()
    return True


def brokers(service: Service) -> list[psutil.Process]:
    found = []
    for process in processes(service):
        with contextlib.suppress(psutil.NoSuchProcess):  # a cell that has ended meanwhile
            if any(name in process.name() for name in ("valkey", "redis-server")):
                found.append(process)
    return found


def _with(service: Service, *words: str) -> list[psutil.Process]:
    found = []
    for process in processes(service):
        with contextlib.suppress(psutil.NoSuchProcess):
            if set(words) & {*process.cmdline(), process.name()}:
                found.append(process)
    return found


@contextlib.contextmanager
def most_memory(process: psutil.Process) -> Iterator[list[int]]:
    """Resident bytes at the start, and their peak since, sampled every few milliseconds."""
    before = process.memory_info().rss
    seen, over = [before, before], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen[1] = max(seen[1], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
