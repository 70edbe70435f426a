"""Health checks of the parts of the service, each in its own thread and with one time limit for all of them."""

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from landscape.disk import sync_file
from service.database.tables import Worker, is_alive
from service.errors import BusyError

from .deps import Service

TIMEOUT = 0.7  # seconds; the whole response takes less than one


class Checks:
    """Runs one check of each part at a time: a part that hangs blocks one thread, however many requests wait."""

    def __init__(self, service: Service):
        self._service = service
        self._running: dict[str, Future[str]] = {}
        self._checks: dict[str, tuple[Callable[[], str], str]] = {  # with the state to report when it times out
            "database": (self._database, "unreachable"),
            "writing": (self._writing, "locked"),
            "store": (self._store, "unwritable"),
            "broker": (self._broker, "unreachable"),
        }

    def run(self) -> dict[str, str]:
        """The state of each part in a word; for "workers" their number."""
        for name, (check, _) in self._checks.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = _in_thread(check)
        running = dict(self._running)
        wait(running.values(), timeout=TIMEOUT)
        answers = {name: one.result() if one.done() else self._checks[name][1] for name, one in running.items()}
        workers = answers["database"].removeprefix("workers ") if answers["database"].startswith("workers ") else None
        database = "unreachable" if workers is None else answers.pop("writing")
        return {**answers, "database": database, "workers": workers or "0"}

    def _database(self) -> str:
        try:
            with self._service.database.reading() as session:
                living = select(func.count()).select_from(Worker).where(is_alive())
                return f"workers {session.scalar(living) or 0}"
        except SQLAlchemyError:
            return "unreachable"

    def _writing(self) -> str:
        """An empty transaction that takes the write lock, which another may hold for too long."""
        try:
            with self._service.database.writing() as session:
                session.execute(update(Worker).where(Worker.id == "").values(device=""))
        except (SQLAlchemyError, BusyError):
            return "locked"
        return "ok"

    def _store(self) -> str:
        """By writing a file: permissions and free bytes do not prove that it works."""
        store = self._service.store
        try:
            with tempfile.TemporaryFile(dir=store.unfinished) as file:
                file.write(b"0" * 4096)
                sync_file(file)
            if not store.usable():
                return "unwritable"
        except OSError:
            return "unwritable"
        return "ok" if store.free_bytes() >= store.min_free_bytes else "full"

    def _broker(self) -> str:
        return "ok" if self._service.wakeups.reachable() else "unreachable"


def _in_thread(check: Callable[[], str]) -> Future[str]:
    """In a daemon thread: the process may end while it runs."""
    answer: Future[str] = Future()
    Thread(target=lambda: answer.set_result(check()), name="check", daemon=True).start()
    return answer
