"""Whether the parts of the service answer: each asked in its own thread, none waited for longer than a moment.

Imports the torch-free modules of worker/. Never repairs anything.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from landscape.disk import sync_file
from service.database.tables import Worker, is_alive

from .deps import Service

PATIENCE = 0.7  # seconds; the answer as a whole comes within one


class Checks:
    """One question at a time to each part: a part that hangs costs one thread, however often somebody asks."""

    def __init__(self, service: Service):
        self._service = service
        self._asked: dict[str, Future[str]] = {}
        self._questions: dict[str, tuple[Callable[[], str], str]] = {  # and what silence means
            "database": (self._database, "unreachable"),
            "writing": (self._writing, "locked"),
            "store": (self._store, "unwritable"),
            "broker": (self._broker, "unreachable"),
        }

    def ask(self) -> dict[str, str]:
        """An answer for each part: a word, or a number of workers for "workers"."""
        for name, (question, _) in self._questions.items():
            if name not in self._asked or self._asked[name].done():
                self._asked[name] = _in_thread(question)
        asked = dict(self._asked)
        wait(asked.values(), timeout=PATIENCE)
        answers = {name: one.result() if one.done() else self._questions[name][1] for name, one in asked.items()}
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
        """A transaction that takes the right to write and changes nothing: another may hold it for too long."""
        try:
            with self._service.database.writing() as session:
                session.execute(update(Worker).where(Worker.id == "").values(device=""))
        except SQLAlchemyError:
            return "locked"
        return "ok"

    def _store(self) -> str:
        """By writing: rights and free bytes are promises, a byte on the disk is the proof."""
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


def _in_thread(question: Callable[[], str]) -> Future[str]:
    """In a thread that the end of the process does not wait for."""
    answer: Future[str] = Future()
    Thread(target=lambda: answer.set_result(question()), name="check", daemon=True).start()
    return answer
