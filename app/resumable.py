"""Resumable uploads: append what arrives, one request at a time, verify checksums, store the file when it is complete.

The length of the file decides, not a client's offset, so that no byte is written twice after a crash.
"""

import asyncio
import base64
import binascii
import hashlib
from typing import Any, BinaryIO, cast

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from landscape.disk import sync_file
from service.database.tables import Upload
from service.errors import ConflictError, ServiceError, TooLargeError
from service.storage import resumable
from service.storage.files import disk_full_as_error, try_lock

from .deps import Service
from .slots import Slots, holders_of
from .uploads import Purpose, blocks_of, record_upload

CHECKSUMS = ("sha1", "sha256")
_BLOCK = 1 << 20
_CANCEL_SECONDS = 10.0

# The requests that are appending, by id of the upload: a client that lost its connection is back before we notice that
# the old one is dead, so the new request cancels the old one.
_appending: dict[str, "asyncio.Task[int]"] = {}


class ChecksumError(ServiceError):
    """The bytes that arrived do not have the checksum they were sent with."""

    code = "checksum_mismatch"


class LockedError(ServiceError):
    """Another process is appending to this upload."""

    code = "locked"


class ChecksumFormatError(ServiceError):
    """The checksum's algorithm is unknown or its value malformed."""

    code = "checksum_format"


async def append_bytes(request: Request, service: Service, upload: Upload, start: int, checksum: str) -> int:
    """Append the body in a separate task, so that a later request can cancel it.

    Returns:
        The number of bytes received so far; with the last one the checkpoint or data set exists.

    Raises:
        BusyError, TooManyError: too many uploads are in progress.
        LockedError: another process is appending to this upload.
        ConflictError: `start` is not where it continues, or another request has taken over.
        TooLargeError: the body is longer than the rest of this upload.
        NoSpaceError, QuotaError: the disk or the user's quota is full.
        ChecksumFormatError: the checksum is malformed or its algorithm unknown.
        ChecksumError: the bytes do not have this checksum; none of them are kept.
        SlowError: the body arrives too slowly.
        InvalidError: the connection broke.
    """
    slots: Slots = request.app.state.upload_slots
    with slots.acquire(holders_of(request, service.caller)):
        task = asyncio.create_task(_append_body(request, service, upload, start, checksum))
        _appending[upload.id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            raise ConflictError("Another request has taken over this upload.", field="Upload-Offset") from None
        finally:
            if _appending.get(upload.id) is task:
                del _appending[upload.id]


async def cancel_append(upload_id: str) -> None:
    """Cancel the request that is appending, if there is one."""
    task = _appending.get(upload_id)
    if task is not None:
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_SECONDS)


async def _append_body(request: Request, service: Service, upload: Upload, start: int, checksum: str) -> int:
    path = resumable.path_of(service.store, upload.id)
    with disk_full_as_error(), path.open("ab") as file:
        _require_offset(file, start)
        left = upload.size - start
        if int(request.headers.get("content-length") or 0) > left:
            raise TooLargeError(f"Only {left} bytes of this upload are missing; the body is longer.")
        service.store.require_space(left)
        await run_in_threadpool(_extend_expiry, service, upload)
        if checksum:
            await _append_checked(request, service, upload, file, checksum)
        else:
            await _write(request, service, file, left)
        arrived = await run_in_threadpool(file.tell)
    if arrived == upload.size:
        await run_in_threadpool(complete_upload, service, upload)
    return arrived


def _require_offset(file: BinaryIO, start: int) -> None:
    if not try_lock(file):
        raise LockedError("Another request is appending to this upload. Ask for its offset in a moment.")
    if file.tell() != start:
        raise ConflictError(f"This upload continues at byte {file.tell()}, not at {start}.", field="Upload-Offset")


async def _write(request: Request, service: Service, file: BinaryIO, left: int, digest: Any = None) -> None:
    """Write the body as it arrives; what arrived before the connection broke is kept."""
    unchecked = 0
    try:
        async for block in blocks_of(request, service.settings):
            left, unchecked = left - len(block), unchecked + len(block)
            if left < 0:
                raise TooLargeError("More bytes were sent than Upload-Length announced.")
            if unchecked > 64 * _BLOCK:
                service.store.require_space(left)
                unchecked = 0
            if digest is not None:
                digest.update(block)
            await run_in_threadpool(file.write, block)
    finally:
        await run_in_threadpool(sync_file, file)


async def _append_checked(request: Request, service: Service, upload: Upload, file: BinaryIO, checksum: str) -> None:
    """Bytes with a checksum go to a separate file until it is verified; a crash keeps none of them, or only verified
    ones."""
    algorithm, expected = _checksum(checksum)
    digest, unchecked = hashlib.new(algorithm), resumable.unchecked_path_of(service.store, upload.id)
    try:
        with unchecked.open("w+b") as separate:
            await _write(request, service, separate, upload.size - file.tell(), digest)
            if digest.digest() != expected:
                raise ChecksumError("The bytes that arrived do not match the checksum. Send them again.")
            await run_in_threadpool(_copy, separate, file)
    finally:
        unchecked.unlink(missing_ok=True)


def _copy(source: BinaryIO, file: BinaryIO) -> None:
    source.seek(0)
    while block := source.read(_BLOCK):
        file.write(block)
    sync_file(file)


def complete_upload(service: Service, upload: Upload) -> None:
    """Move the bytes to the store and add the row; only the first of several requests does.

    Raises:
        LockedError: another request completes this upload, or has completed it.
        QuotaError: it would exceed the user's quota.
        UnavailableError: the bytes are no longer in the store.
    """
    path = resumable.path_of(service.store, upload.id)
    try:
        with path.open("rb") as file:
            if not try_lock(file):
                raise LockedError("Another request is completing this upload. Ask for its offset in a moment.")
            sha256 = service.store.move_in(path)
    except FileNotFoundError:
        raise LockedError("Another request has completed this upload. Ask for its offset.") from None
    with service.database.writing() as session:
        if resumable.remove(session, upload.id):
            _record(session, service, upload, sha256)
    service.wakeups.notify()


def _record(session: Session, service: Service, upload: Upload, sha256: str) -> None:
    record_upload(
        session,
        service,
        cast(Purpose, upload.purpose),
        name=upload.name,
        sha256=sha256,
        size=upload.size,
        owner=upload.owner,
        own_id=upload.id,
    )


def _extend_expiry(service: Service, upload: Upload) -> None:
    with service.database.writing() as session:
        upload.expires = resumable.extend(session, upload.id, service.settings.upload_keep_hours)


def _checksum(text: str) -> tuple[str, bytes]:
    algorithm, _, value = text.partition(" ")
    try:
        if algorithm in CHECKSUMS:
            expected = base64.b64decode(value, validate=True)
            if len(expected) == hashlib.new(algorithm).digest_size:
                return algorithm, expected
    except binascii.Error:
        pass
    raise ChecksumFormatError(
        f"Upload-Checksum must be one of {', '.join(CHECKSUMS)}, a space, and base64.", field="Upload-Checksum"
    )
