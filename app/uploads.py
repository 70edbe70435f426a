"""Taking bytes as they stream in, whole by PUT here or in pieces by tus.py: what checkpoints and data sets share.

Imports fastapi and the torch-free modules of worker/. Never holds more of a file than the piece that just arrived.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from service.database import counters
from service.database.tables import Checkpoint, Dataset
from service.errors import BusyError, InvalidError, SlowError, TooManyError
from service.jobs import quotas
from service.library import uploads
from service.library.datasets import DATASETS
from service.settings import Settings

from .deps import Service

Purpose = Literal["checkpoint", "dataset"]

LONGEST_NAME = {"checkpoint": 255, "dataset": 64}


class Places:
    """Uploads that may run at once; one more is asked to come back, before a byte of it is taken."""

    def __init__(self, most: int, most_each: int):
        self.most, self.most_each, self.taken = most, most_each, Counter[str]()

    @contextlib.contextmanager
    def one(self, owner: str) -> Iterator[None]:
        if self.taken[owner] >= self.most_each:
            raise TooManyError(
                f"{self.most_each} of your uploads are under way, the most one user may have. Try again in a moment.",
                seconds=5,
            )
        if self.taken.total() >= self.most:
            raise BusyError(f"{self.most} uploads are under way, the limit of this service. Try again in a moment.")
        self.taken[owner] += 1
        try:
            yield
        finally:
            self.taken -= Counter((owner,))


async def received(request: Request, service: Service) -> tuple[str, int]:
    """Store the body of the request.

    Returns:
        SHA-256 and size in bytes.

    Raises:
        InvalidError: it is empty or was cut off; nothing is kept.
    """
    announced = _announced(request)
    service.store.require_space(announced)
    await run_in_threadpool(_require_quota, service, announced)
    with request.app.state.places.one(service.owner), service.store.receive() as incoming:
        async for block in arriving(request, service.settings):
            await run_in_threadpool(incoming.write, block)
        if incoming.size == 0:
            raise InvalidError("The upload is empty. Send the file as the body of the request.")
        return await run_in_threadpool(incoming.commit), incoming.size


def _require_quota(service: Service, size: int) -> None:
    with service.database.reading() as session:
        quotas.require_bytes(session, service.settings, service.owner, size)


async def arriving(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body of the request piece by piece, as long as it comes fast enough.

    Only the time spent waiting for the sender counts, not what we need ourselves to write.

    Raises:
        SlowError: less than the slowest rate, for as long as our patience.
        InvalidError: the connection broke.
    """
    blocks, patience = request.stream(), settings.upload_patience_seconds
    waited, got = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience - waited):
                block = await anext(blocks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise SlowError(f"Too little of the upload arrived in {patience:g} s, so it was cut off.") from None
        except ClientDisconnect:
            raise InvalidError("The upload was cut off before its end.") from None
        waited, got = waited + time.monotonic() - began, got + len(block)
        if got >= settings.upload_slowest_bytes * patience:
            waited, got = 0.0, 0
        if block:
            yield block


def note(
    session: Session,
    service: Service,
    purpose: Purpose,
    *,
    name: str,
    sha256: str,
    size: int,
    owner: str | None,
    own_id: str | None = None,
) -> str:
    """Write down an upload whose bytes are in the store.

    Returns:
        The id of the checkpoint or data set it is from now on.
    """
    if owner is not None:
        quotas.require_bytes(session, service.settings, owner, size)
    receive = uploads.receive_checkpoint if purpose == "checkpoint" else uploads.receive_dataset
    row: Checkpoint | Dataset = receive(session, name=name, sha256=sha256, size=size, owner=owner, own_id=own_id)
    counters.add(session, "upload_bytes", purpose, by=size)
    service.store.require(sha256)
    return row.id


def accept(service: Service, purpose: Purpose, *, name: str, sha256: str, size: int) -> str:
    """`note` in a transaction of its own, owned by the caller; a worker reads it soon."""
    with service.database.writing() as session:
        found = note(session, service, purpose, name=name, sha256=sha256, size=size, owner=service.owner)
    service.wakeups.notify()
    return found


def require_name(purpose: Purpose, name: str) -> str:
    """A name is a string for people: without control characters and lone surrogates, never a path.

    Raises:
        InvalidError: it is too long, or a built-in data set has it.
    """
    name = "".join(c for c in name if c.isprintable()).encode(errors="replace").decode() or "unnamed"
    if len(name) > LONGEST_NAME[purpose]:
        raise InvalidError(
            f"A name has at most {LONGEST_NAME[purpose]} characters; this has {len(name)}.", field="name"
        )
    if purpose == "dataset" and name in DATASETS:
        raise InvalidError(f"{name!r} is built in. Choose another name.", field="name")
    return name


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
