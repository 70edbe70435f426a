"""Structured logging: one JSON line per event on standard error, and log files of bounded size.

Never log a secret, a path of a user or the content of a file.
"""

import itertools
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_REPEATED, REPEATED_SECONDS = 20, 60.0  # warnings and errors of one line of code that are written, per interval
OLD_LOGS = 3  # kept of a log file, beside the one that is being written
LONGEST = 8192  # characters of a string in a log line; of a longer one, both ends

_STANDARD = set(vars(logging.makeLogRecord({})))


@dataclass
class _Interval:
    """What one line of code has logged since `began`."""

    began: float
    first: logging.LogRecord
    written: int = 0
    dropped: int = 0


class Throttle:
    """Lets repeated warnings and errors through up to a number per interval, then counts them.

    They are told apart by the line of code that logs them and the one that raised their exception, not by their text,
    which a client may be able to vary.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._intervals: dict[tuple[object, ...], _Interval] = {}

    def passed(self, record: logging.LogRecord) -> Iterator[logging.LogRecord]:
        """The records to write now: summaries of intervals that have ended, and this record unless it repeats."""
        now = self._clock()
        yield from self._ended(now)
        if record.levelno < logging.WARNING:
            yield record
            return
        interval = self._intervals.setdefault(_origin(record), _Interval(now, record))
        if interval.written < MOST_REPEATED:
            interval.written += 1
            yield record
        else:
            interval.dropped += 1

    def _ended(self, now: float) -> Iterator[logging.LogRecord]:
        ended = [origin for origin, one in self._intervals.items() if now - one.began > REPEATED_SECONDS]
        for origin in ended:
            interval = self._intervals.pop(origin)
            if interval.dropped:
                yield _summary(interval)


def _origin(record: logging.LogRecord) -> tuple[object, ...]:
    """The lines of code that logged a record and that raised its exception."""
    trace = record.exc_info[2] if record.exc_info else None
    while trace and trace.tb_next:
        trace = trace.tb_next
    raised = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ()
    return record.pathname, record.lineno, *raised


def _summary(interval: _Interval) -> logging.LogRecord:
    first, seconds = interval.first, REPEATED_SECONDS
    return logging.LogRecord(
        first.name,
        first.levelno,
        first.pathname,
        first.lineno,
        "repeated %d times more within %g s: %s",
        (interval.dropped, seconds, first.getMessage()),
        None,
    )


class _ThrottledHandler(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._throttle = Throttle()

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the throttle lets through; called with the lock of the handler held."""
        for passed in self._throttle.passed(record):
            super().emit(passed)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: _short(value) for key, value in line.items()}, default=str)


def _short(value: object) -> object:
    if not isinstance(value, str) or len(value) <= LONGEST:
        return value
    return f"{value[: LONGEST // 2]} … {value[-LONGEST // 2 :]}"


def log_as_json(level: int = logging.INFO) -> None:
    """Write the records of every logger to standard error as JSON; repeated warnings are summed up."""
    handler = _ThrottledHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("celery", "kombu", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def rotate(log: Path, most_bytes: int) -> None:
    """Start a log file over once it has `most_bytes`; `log.1` is then the newest of the `OLD_LOGS` earlier ones.

    The process that writes it keeps its file and is never stopped or blocked, so what it writes while the file is
    copied is lost. It must append (O_APPEND). On a full disk the earlier logs are given up, not the limit.
    """
    if not log.exists() or log.stat().st_size <= most_bytes:
        return
    older = [log.with_name(f"{log.name}.{n}") for n in range(1, OLD_LOGS + 1)]
    for earlier, later in reversed(list(itertools.pairwise(older))):
        if earlier.exists():
            earlier.replace(later)
    try:
        shutil.copyfile(log, older[0])
    except OSError:
        for path in older:
            path.unlink(missing_ok=True)
    with log.open("r+b") as file:
        file.truncate()
