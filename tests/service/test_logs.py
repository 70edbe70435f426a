"""Log lines: nothing in them is a second line, repetitions are summed up, files are started over."""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from service import logs
from service.logs import LONGEST, MOST_REPEATED, OLD_LOGS, REPEATED_SECONDS, Throttle, rotate
from service.supervisor.processes import Child
from tests.support.service import wait_for


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(text: str = "invalid request of %s", *, line: int = 1, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("test", level, "module.py", line, text, ("a client",) if "%s" in text else (), None)


def written(throttle: Throttle, *records: logging.LogRecord) -> list[str]:
    return [passed.getMessage() for one in records for passed in throttle.passed(one)]


def test_a_repeated_warning_is_written_a_few_times_and_then_counted() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert len(written(throttle, *[record() for _ in range(10_000)])) == MOST_REPEATED
    clock.now += REPEATED_SECONDS + 1
    assert written(throttle, record("something else", line=2)) == [
        f"repeated {10_000 - MOST_REPEATED} times more within {REPEATED_SECONDS:g} s: invalid request of a client",
        "something else",
    ]
    assert written(throttle, record()) == ["invalid request of a client"]


def test_a_text_that_varies_does_not_escape_the_limit() -> None:
    assert len(written(Throttle(), *[record(f"invalid request {n}") for n in range(100)])) == MOST_REPEATED


def test_warnings_of_other_lines_of_code_are_not_held_back() -> None:
    throttle = Throttle()
    written(throttle, *[record() for _ in range(100)])
    assert written(throttle, record("the disk is full", line=2)) == ["the disk is full"]


def test_different_exceptions_reported_by_one_line_of_code_are_told_apart() -> None:
    def failed(act: Callable[[], object]) -> logging.LogRecord:
        try:
            act()
        except Exception:
            return logging.LogRecord("test", logging.ERROR, "main.py", 1, "unexpected error", (), sys.exc_info())
        raise AssertionError("it did not fail")

    throttle = Throttle()
    many = [failed(lambda: 1 // 0) for _ in range(100)]
    assert len(written(throttle, *many)) == MOST_REPEATED
    assert written(throttle, failed(lambda: [][1])) == ["unexpected error"]


def test_every_event_of_a_job_is_written() -> None:
    tiles = [record("tile", level=logging.INFO) for _ in range(1000)]
    assert len(written(Throttle(), *tiles)) == 1000


def test_a_line_has_no_second_line_no_escape_codes_and_a_limited_length() -> None:
    line = logs._JsonLines().format(record("GET /\n\r\x1b[2J\u2028\x9b" + "x" * 10 * LONGEST))
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 2 * LONGEST
    assert json.loads(line)["event"].startswith("GET /\n")


def test_a_log_over_its_size_is_started_over_and_a_few_earlier_ones_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    for n in range(6):
        log.write_bytes(b"%d" % n * 100)
        rotate(log, 99)
        assert log.stat().st_size == 0
    kept = {path.name: path.read_bytes()[:1] for path in tmp_path.glob("service.log.*")}
    assert kept == {f"service.log.{n}": b"%d" % (6 - n) for n in range(1, OLD_LOGS + 1)}
    log.write_bytes(b"x" * 99)
    rotate(log, 99)
    assert log.stat().st_size == 99
    rotate(tmp_path / "absent.log", 99)


WRITES = """
import os, sys, time
for n in range(6):
    print(f"part {n} " + "x" * 60_000, file=sys.stderr, flush=True)
    while os.fstat(2).st_size > 50_000:
        time.sleep(0.01)
print("the end", file=sys.stderr)
"""


def test_the_log_of_a_running_process_is_started_over_and_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = Child("child", [sys.executable, "-c", WRITES], dict(os.environ), log)
    child.start()
    try:

        def ended() -> bool:
            child.limit_log(50_000)
            return child.has_ended

        wait_for(ended, "six parts", 120)
    finally:
        child.stop(0)
    kept = sorted(path.read_bytes()[:7] for path in tmp_path.iterdir())
    assert kept == [b"part 3 ", b"part 4 ", b"part 5 ", b"the end"]  # and nothing is written behind an old end
