"""Answers made from results, within limits: few at a time, the same one once for all who ask, kept under its ETag.

A small one is made by one of a few threads of its own; a large one by a process, as a file that stays until it makes
room for others. So neither health nor login nor an upload waits behind them.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from landscape.disk_cache import evict
from service.database.tables import TERMINAL, Job, require
from service.errors import DamagedError, TooManyError
from service.jobs import downloads, large_answers, results
from service.jobs.downloads import SMALL_POINTS, Asked
from service.settings import Settings

from .deps import Service
from .slots import Holder, Slots, holders_of

FOLDER = "answers"  # in the data folder: files named job-tag
THREADS, PROCESSES = 2, 2  # that make small answers, and large ones
SMALL_PER_LARGE = 4  # slots for small answers, for each slot for a large one
RETRY_SECONDS = 3  # after which a client that was refused asks again
_IN_USE_SECONDS = 10.0  # a file that was found is opened within this time
_MOST_VERDICTS = 10_000

Make = Callable[[str, Asked, Path], None]


class _InLargeParts(FileResponse):
    """A file in parts of 256 KiB: each is read in another thread, which costs the event loop more than the bytes do."""

    chunk_size = 1 << 18


@dataclass(frozen=True)
class _Found:
    """What is known of an answer before it is made."""

    tag: str
    small: bool
    name: str  # of its job


class Answers:
    """Makes the answers of this process, and keeps the large ones."""

    def __init__(self, settings: Settings, *, make: Make = large_answers.make):
        self.large = Slots("large answers", settings.max_answers)
        self.small = Slots("answers", settings.max_answers * SMALL_PER_LARGE)
        self._threads, self._processes = CapacityLimiter(THREADS), CapacityLimiter(PROCESSES)
        self._verdicts: dict[str, str | None] = {}  # by id of a finished job: its damage in a sentence
        self._making: dict[Path, asyncio.Task[None]] = {}
        self._make, self._max_bytes = make, settings.answer_cache_bytes
        self.folder = settings.data / FOLDER
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def respond(
        self,
        request: Request,
        service: Service,
        asked: Asked,
        headers: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> Response:
        """The answer, or 304 if the client has it; `headers` are further ones, given the name of the job.

        Raises:
            NotFoundError: this caller sees no such job.
            TooManyError: too many answers are being made.
            ServiceError: as `downloads.write` and `large_answers.make`.
        """
        found = await run_in_threadpool(_find, service, asked)
        sent = {"ETag": f'"{found.tag}"', "Cache-Control": "private, no-cache"}
        if f'"{found.tag}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=sent)
        sent |= headers(found.name)
        try:
            return await self._answer(request, service, asked, found, sent)
        except DamagedError as error:
            self._note(asked.job, str(error))
            raise

    async def _answer(
        self, request: Request, service: Service, asked: Asked, found: _Found, headers: Mapping[str, str]
    ) -> Response:
        holders = holders_of(request, service.caller)
        if found.small:
            with _slot(self.small, holders):
                content = await to_thread.run_sync(_content, service, asked, limiter=self._threads)
            return Response(content, media_type=asked.media, headers=headers)
        path = self.folder / f"{asked.job}-{found.tag}"
        if not _touched(path):
            await self._made(path, service, asked, holders)
        return _InLargeParts(path, media_type=asked.media, headers=headers)

    async def _made(self, path: Path, service: Service, asked: Asked, holders: Sequence[Holder]) -> None:
        """Wait for a file that is made once for all who ask; the first of them holds a slot for it."""
        making = self._making.get(path)
        if making is None:
            making = self._making[path] = asyncio.create_task(self._in_process(path, service, asked, holders))
            making.add_done_callback(lambda _: self._making.pop(path))
        await asyncio.shield(making)

    async def _in_process(self, path: Path, service: Service, asked: Asked, holders: Sequence[Holder]) -> None:
        with _slot(self.large, holders):
            await to_thread.run_sync(self._write, path, service, asked, limiter=self._processes)

    def _write(self, path: Path, service: Service, asked: Asked) -> None:
        part = path.with_name(f".{path.name}-{os.getpid()}")  # hidden: not evicted
        try:
            self._make(service.settings.database_url, asked, part)
            evict(self.folder, part.stat().st_size, self._max_bytes, spared_seconds=_IN_USE_SECONDS)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def damage(self, session: Session, job: Job) -> str | None:
        """What is known of the damage of a finished job, in a sentence.

        A small job's values are verified once; those of any job again whenever its result is asked for.
        """
        if job.state in TERMINAL and job.id not in self._verdicts and job.points <= SMALL_POINTS:
            self._note(job.id, results.damage_message(job, len(results.damaged(session, job.id))))
        return self._verdicts.get(job.id)

    def _note(self, job_id: str, verdict: str | None) -> None:
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        self._verdicts[job_id] = verdict

    def clean(self, service: Service) -> None:
        """Remove the answers of jobs that were deleted, and files that a process which was killed has left."""
        files = list(self.folder.iterdir())
        jobs = {path: path.name.lstrip(".").partition("-")[0] for path in files}
        with service.database.reading() as session:
            kept = set(session.scalars(select(Job.id).where(Job.id.in_(set(jobs.values())))))
        for path in files:
            with contextlib.suppress(FileNotFoundError):
                left = path.name.startswith(".") and time.time() - path.stat().st_mtime > 2 * large_answers.SECONDS
                if left or jobs[path] not in kept:
                    path.unlink()


@contextlib.contextmanager
def _slot(slots: Slots, holders: Sequence[Holder]) -> Iterator[None]:
    """Hold a slot. A client that has none free asks again: results are made in seconds."""
    if slots.refusal(holders):
        raise TooManyError(
            f"Too many results are being prepared, for you or for all. Try again in {RETRY_SECONDS} s.",
            seconds=RETRY_SECONDS,
        )
    with slots.acquire(holders):
        yield


def _find(service: Service, asked: Asked) -> _Found:
    with service.database.reading() as session:
        job = require(session, Job, asked.job)
        return _Found(downloads.tag(session, job, asked), asked.is_small(job.points), job.name)


def _content(service: Service, asked: Asked) -> bytes:
    with service.database.reading() as session:
        content = BytesIO()
        downloads.write(session, asked, content)
        return content.getvalue()


def _touched(path: Path) -> bool:
    """Whether there is this file, which then counts as used just now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
