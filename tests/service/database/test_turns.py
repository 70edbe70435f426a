"""A database that another program has locked: a few writers wait, the others are told at once, reading goes on."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import func, select, text

from service.database.sessions import Database
from service.database.tables import Job
from service.database.turns import FEW, Turns
from service.errors import BusyError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program in the middle of an exclusive transaction."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_of_sixty_writers_a_few_wait_the_others_are_told_and_readers_do_not_notice(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'landscape.sqlite'}", writer_timeout=0.2)

    def write(_: int) -> str:
        try:
            with database.writing() as session:
                session.execute(text("DELETE FROM counts"))
        except BusyError:
            return "told"
        return "written"

    with ThreadPoolExecutor(60) as threads:
        with locked(tmp_path / "landscape.sqlite"):
            answers = [threads.submit(write, n) for n in range(60)]
            while sum(one.done() for one in answers) < 60 - 1 - FEW:
                time.sleep(0.01)
            assert {one.result() for one in answers if one.done()} == {"told"}
            for _ in range(100):
                with database.reading() as session:
                    assert session.scalar(select(func.count(Job.id))) == 0
            assert not [one for one in answers if one.done() and one.result() == "written"]
        assert Counter(one.result() for one in answers) == {"told": 60 - 1 - FEW, "written": 1 + FEW}
    database.engine.dispose()


def test_one_turn_at_a_time_and_an_error_ends_it() -> None:
    turns, inside, most = Turns(None), Counter[str](), Counter[str]()

    def take(n: int) -> None:
        try:
            with turns.take():
                inside["now"] += 1
                most["at once"] = max(most["at once"], inside["now"])
                time.sleep(0.001)
                inside["now"] -= 1
                if n % 3 == 0:
                    raise ValueError(n)
        except ValueError:
            pass

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(take, range(100)))
    assert most["at once"] == 1


def test_a_slow_writer_of_this_process_does_not_make_a_single_one_give_up() -> None:
    turns, holding = Turns(0.01), threading.Event()

    def hold() -> None:
        with turns.take():
            holding.set()
            time.sleep(0.2)

    other = threading.Thread(target=hold)
    other.start()
    holding.wait()
    with turns.take():
        pass
    other.join()
