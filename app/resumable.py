"""Bytes of a resumable upload as they arrive: appended by one request at a time, checked, and made a whole at the end.

Imports uploads and partial. Never takes a byte twice and never believes a client's offset: the file's length is the
truth, whoever was killed in between.
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
from .uploads import Purpose, arriving, note

CHECKSUMS = ("sha1", "sha256")
_BLOCK = 1 << 20
_LET_GO_SECONDS = 10.0

# Requests that are appending now, by id of the upload: a client that lost its connection comes back before we notice
# that the old one is dead, so the newcomer ends the old one.
_appending: dict[str, "asyncio.Task[int]"] = {}


class ChecksumError(ServiceError):
    """The bytes that arrived are not those that were sent."""

    code = "checksum_mismatch"


class LockedError(ServiceError):
    """Another process appends to this upload."""

    code = "locked"


class ChecksumFormatError(ServiceError):
    """The checksum is of a kind that is not known here."""

    code = "checksum_format"


async def append_bytes(request: Request, service: Service, upload: Upload, start: int, checksum: str) -> int:
    """Append the body in a task of its own, so that a newcomer can end it.

    Returns:
        The number of bytes that are here now; with the last one the upload has become what it was sent for.
    """
    with request.app.state.places.one(service.owner):
        task = asyncio.create_task(_append_body(request, service, upload, start, checksum))
        _appending[upload.id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            raise ConflictError("Another request goes on with this upload.", field="Upload-Offset") from None
        finally:
            if _appending.get(upload.id) is task:
                del _appending[upload.id]


async def end_appending(upload_id: str) -> None:
    """Make whoever appends now let go."""
    task = _appending.get(upload_id)
    if task is not None:
        task.cancel()
        await asyncio.wait([task], timeout=_LET_GO_SECONDS)


async def _append_body(request: Request, service: Service, upload: Upload, start: int, checksum: str) -> int:
    path = resumable.path_of(service.store, upload.id)
    with disk_full_as_error(), path.open("ab") as file:
        _require_offset(file, start)
        left = upload.size - start
        if int(request.headers.get("content-length") or 0) > left:
            raise TooLargeError(f"Only {left} bytes of this upload are missing.")
        service.store.require_space(left)
        await run_in_threadpool(_keep_longer, service, upload)
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
        raise LockedError("Another request appends to this upload. Ask for its offset in a moment.")
    if file.tell() != start:
        raise ConflictError(f"This upload goes on at byte {file.tell()}, not at {start}.", field="Upload-Offset")


async def _write(request: Request, service: Service, file: BinaryIO, left: int, digest: Any = None) -> None:
    """Write the body as it arrives; what arrived before the connection broke stays, that is the point of it."""
    unchecked = 0
    try:
        async for block in arriving(request, service.settings):
            left, unchecked = left - len(block), unchecked + len(block)
            if left < 0:
                raise TooLargeError("More bytes were sent than this upload was announced with.")
            if unchecked > 64 * _BLOCK:
                service.store.require_space(left)
                unchecked = 0
            if digest is not None:
                digest.update(block)
            await run_in_threadpool(file.write, block)
    finally:
        await run_in_threadpool(sync_file, file)


async def _append_checked(request: Request, service: Service, upload: Upload, file: BinaryIO, checksum: str) -> None:
    """Bytes with a checksum wait in a file of their own until it is found right; a crash in between keeps none of
    them, or only such as were checked."""
    algorithm, expected = _checksum(checksum)
    digest, waiting = hashlib.new(algorithm), resumable.unchecked_path_of(service.store, upload.id)
    try:
        with waiting.open("w+b") as apart:
            await _write(request, service, apart, upload.size - file.tell(), digest)
            if digest.digest() != expected:
                raise ChecksumError("The bytes that arrived do not have the checksum they were sent with. Send again.")
            await run_in_threadpool(_copy, apart, file)
    finally:
        waiting.unlink(missing_ok=True)


def _copy(apart: BinaryIO, file: BinaryIO) -> None:
    apart.seek(0)
    while block := apart.read(_BLOCK):
        file.write(block)
    sync_file(file)


def complete_upload(service: Service, upload: Upload) -> None:
    """Give the bytes their home and write the row, once, whoever comes first."""
    path = resumable.path_of(service.store, upload.id)
    try:
        with path.open("rb") as file:
            if not try_lock(file):
                raise LockedError("Another request completes this upload. Ask for its offset in a moment.")
            sha256 = service.store.move_in(path)
    except FileNotFoundError:
        raise LockedError("Another request has completed this upload. Ask for its offset.") from None
    with service.database.writing() as session:
        if resumable.remove(session, upload.id):
            _note(session, service, upload, sha256)
    service.wakeups.notify()


def _note(session: Session, service: Service, upload: Upload, sha256: str) -> None:
    note(
        session,
        service,
        cast(Purpose, upload.purpose),
        name=upload.name,
        sha256=sha256,
        size=upload.size,
        owner=upload.owner,
        own_id=upload.id,
    )


def _keep_longer(service: Service, upload: Upload) -> None:
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
