"""Uploads as they stream in, and what checkpoints and data sets share of them.

A file is sent whole by PUT or resumed by tus (routes/tus.py); only the block that just arrived is in memory.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from service.database import counters
from service.database.tables import Checkpoint, Dataset
from service.errors import InvalidError, SlowError
from service.jobs import quotas
from service.library import uploads
from service.library.datasets import DATASETS
from service.settings import Settings

from .deps import Service
from .slots import Slots, holders_of

Purpose = Literal["checkpoint", "dataset"]

LONGEST_NAME = {"checkpoint": 255, "dataset": 64}

# Bytes of the uploads that are arriving, by user: they are written, but have no row that counts for the quota yet.
_arriving: Counter[str] = Counter()


async def receive_body(request: Request, service: Service) -> tuple[str, int]:
    """Store the body of the request.

    Returns:
        SHA-256 and size in bytes.

    Raises:
        InvalidError: it is empty or was interrupted; nothing is stored.
        SlowError: it arrived too slowly.
        TooLargeError: it is over the limit of this service.
        NoSpaceError, QuotaError: the disk or the user's quota is full.
        BusyError, TooManyError: too many uploads are in progress.
    """
    length = _content_length(request)
    service.store.require_space(length)
    most = await run_in_threadpool(_require_quota, service, length)
    slots: Slots = request.app.state.upload_slots
    counted = 0
    with slots.acquire(holders_of(request, service.caller)), service.store.receive() as incoming:
        try:
            async for block in blocks_of(request, service.settings):
                counted, _arriving[service.owner] = counted + len(block), _arriving[service.owner] + len(block)
                if _arriving[service.owner] > most:  # a length need not be announced, or kept to
                    most = await run_in_threadpool(_require_quota, service, _arriving[service.owner])
                await run_in_threadpool(incoming.write, block)
            if incoming.size == 0:
                raise InvalidError("The upload is empty. Send the file as the body of the request.")
            return await run_in_threadpool(incoming.commit), incoming.size
        finally:
            _arriving[service.owner] -= counted


def _require_quota(service: Service, size: int) -> int:
    with service.database.reading() as session:
        return quotas.require_bytes(session, service.settings, service.owner, size)


async def blocks_of(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body of the request block by block, as long as it arrives fast enough.

    Only the time spent waiting for the client counts, not the time we need to write.

    Raises:
        SlowError: it was slower than the minimum rate for as long as the timeout.
        InvalidError: the connection broke.
    """
    blocks, seconds = request.stream(), settings.upload_patience_seconds
    waited, got = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds - waited):
                block = await anext(blocks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise SlowError(f"Too little of the upload arrived within {seconds:g} s, so it was cut off.") from None
        except ClientDisconnect:
            raise InvalidError("The connection broke before the end of the upload.") from None
        waited, got = waited + time.monotonic() - began, got + len(block)
        if got >= settings.upload_slowest_bytes * seconds:
            waited, got = 0.0, 0
        if block:
            yield block


def record_upload(
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
    """Add the row of an upload whose bytes are in the store.

    Returns:
        The id of its checkpoint or data set.

    Raises:
        QuotaError: it would exceed the owner's quota.
        UnavailableError: the bytes are no longer in the store.
    """
    if owner is not None:
        quotas.require_bytes(session, service.settings, owner, size)
    add = uploads.add_checkpoint if purpose == "checkpoint" else uploads.add_dataset
    row: Checkpoint | Dataset = add(session, name=name, sha256=sha256, size=size, owner=owner, own_id=own_id)
    counters.add(session, "upload_bytes", purpose, by=size)
    service.store.require(sha256)
    return row.id


def accept_upload(service: Service, purpose: Purpose, *, name: str, sha256: str, size: int) -> str:
    """`record_upload` in its own transaction, owned by the caller, and a wake-up message for a worker to read it.

    Raises:
        QuotaError: it would exceed the caller's quota.
        UnavailableError: the bytes are no longer in the store.
    """
    with service.database.writing() as session:
        found = record_upload(session, service, purpose, name=name, sha256=sha256, size=size, owner=service.owner)
    service.wakeups.notify()
    return found


def require_name(purpose: Purpose, name: str) -> str:
    """The name for display, without control characters and lone surrogates; it is never used as a path.

    Raises:
        InvalidError: it is too long, or a built-in data set has it.
    """
    name = "".join(c for c in name if c.isprintable()).encode(errors="replace").decode() or "unnamed"
    if len(name) > LONGEST_NAME[purpose]:
        raise InvalidError(
            f"A name has at most {LONGEST_NAME[purpose]} characters; this one has {len(name)}.", field="name"
        )
    if purpose == "dataset" and name in DATASETS:
        raise InvalidError(f"{name!r} is the name of a built-in data set. Choose another name.", field="name")
    return name


def _content_length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
