"""Resumable uploads by the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload), for its existing clients.

Core, creation, creation-with-upload, termination, expiration and checksum.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database.tables import Checkpoint, Dataset, Upload
from service.errors import ConflictError, InvalidError, NotFoundError, ServiceError, TooManyError
from service.jobs import quotas
from service.storage import resumable

from ..deps import Anyone, IdPath, Service, Submitter
from ..openapi import errors, takes_bytes
from ..prefix import prefix_of
from ..resumable import CHECKSUMS, append_bytes, cancel_append, complete_upload
from ..uploads import Purpose, require_name

router = APIRouter(prefix="/uploads", tags=["resumable uploads"])

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
BODY = "application/offset+octet-stream"
# status codes of errors: of calls about an upload, and of calls that send bytes
FIND_ERRORS = (401, 403, 404, 409, 410, 412, 422, 423, 507)
APPEND_ERRORS = (401, 403, 408, 409, 412, 413, 422, 423, 429, 460, 507)


class VersionError(ServiceError):
    """The client speaks another version of the protocol."""

    code = "tus_version"


class MediaTypeError(ServiceError):
    """The body has another media type than tus uses."""

    code = "media_type"


Resumable = Annotated[str, Header(alias="Tus-Resumable")]
Length = Annotated[str, Header(alias="Upload-Length")]
Offset = Annotated[str, Header(alias="Upload-Offset")]
Metadata = Annotated[str, Header(alias="Upload-Metadata")]
Checksum = Annotated[str, Header(alias="Upload-Checksum")]
Override = Annotated[str, Header(alias="X-HTTP-Method-Override")]


@router.options("", status_code=204)
def capabilities(service: Anyone) -> Response:
    """Version, extensions and limits of the protocol here."""
    return _response(
        204,
        **{
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(service.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@router.post("", status_code=201, responses=errors(*APPEND_ERRORS))
async def create_upload(
    request: Request,
    service: Submitter,
    version: Resumable = "",
    length: Length = "",
    metadata: Metadata = "",
    checksum: Checksum = "",
) -> Response:
    """Create an upload of `Upload-Length` bytes; `Upload-Metadata`: `filename`, `purpose` (checkpoint or dataset).

    The id in `Location` becomes the id of the checkpoint or data set once it is complete. The body may hold the first
    bytes.
    """
    _require_version(version)
    size, about = _number(length, "Upload-Length"), _metadata(metadata)
    if size == 0:
        raise InvalidError("The file is empty.", field="Upload-Length")
    service.store.require_space(size)
    purpose = _purpose(about)
    name = require_name(purpose, about.get("filename") or about.get("name") or "unnamed")
    upload = await run_in_threadpool(_begin, service, purpose, name, size)
    offset = 0
    if request.headers.get("content-type") == BODY:
        try:
            offset = await append_bytes(request, service, upload, 0, checksum)
        except ServiceError:  # the client gets no Location, so that it cannot resume
            await run_in_threadpool(_remove, service, upload.id)
            raise
    return _status(request, upload, offset, 201)


@router.head("/{upload_id}", responses=errors(400, *FIND_ERRORS, 429, 503, body=False))
async def get_offset(request: Request, service: Submitter, upload_id: IdPath, version: Resumable = "") -> Response:
    """The number of bytes received. Of a complete upload, `Landscape-Id` is the id of its checkpoint or data set."""
    _require_version(version)
    upload = await _take_over(service, upload_id)
    if not isinstance(upload, Upload):
        sizes = {"Upload-Offset": str(upload.size), "Upload-Length": str(upload.size)}
        return _response(200, **sizes, **{"Landscape-Id": upload_id, "Cache-Control": "no-store"})
    offset = await run_in_threadpool(_size, resumable.path_of(service.store, upload_id))
    if offset == upload.size:  # complete, but the process died before it recorded that
        await run_in_threadpool(complete_upload, service, upload)
    return _status(request, upload, offset, 200)


@router.patch(
    "/{upload_id}",
    status_code=204,
    responses=errors(*FIND_ERRORS, *APPEND_ERRORS, 415),
    openapi_extra=takes_bytes(BODY),
)
async def append(
    request: Request,
    service: Submitter,
    upload_id: IdPath,
    version: Resumable = "",
    offset: Offset = "",
    checksum: Checksum = "",
) -> Response:
    """Append the body at `Upload-Offset`, which must be the number of bytes received so far."""
    _require_version(version)
    if request.headers.get("content-type") != BODY:
        raise MediaTypeError(f"PATCH needs Content-Type: {BODY}.")
    start = _number(offset, "Upload-Offset")
    upload = await _take_over(service, upload_id)
    if not isinstance(upload, Upload):
        raise ConflictError("This upload is complete.", field="Upload-Offset")
    return _status(request, upload, await append_bytes(request, service, upload, start, checksum), 204)


@router.post("/{upload_id}", status_code=204, responses=errors(*FIND_ERRORS, *APPEND_ERRORS, 415))
async def append_by_post(
    request: Request,
    service: Submitter,
    upload_id: IdPath,
    override: Override = "",
    version: Resumable = "",
    offset: Offset = "",
    checksum: Checksum = "",
) -> Response:
    """PATCH and DELETE for clients that can only POST; `X-HTTP-Method-Override` names the method."""
    if override == "DELETE":
        return await delete_upload(service, upload_id, version)
    if override != "PATCH":
        raise InvalidError("POST here needs X-HTTP-Method-Override: PATCH or DELETE.", field="X-HTTP-Method-Override")
    return await append(request, service, upload_id, version, offset, checksum)


@router.delete("/{upload_id}", status_code=204, responses=errors(*FIND_ERRORS))
async def delete_upload(service: Submitter, upload_id: IdPath, version: Resumable = "") -> Response:
    """Remove an incomplete upload and its bytes."""
    _require_version(version)
    upload = await _take_over(service, upload_id)
    if not isinstance(upload, Upload):
        raise NotFoundError("There is no incomplete upload with this id.")
    await run_in_threadpool(_remove, service, upload_id)
    return _response(204)


def _status(request: Request, upload: Upload, offset: int, status: int) -> Response:
    """The state of an upload that has `offset` bytes; complete, it is a checkpoint or a data set."""
    headers = {
        "Upload-Offset": str(offset),
        "Location": f"{prefix_of(request)}/uploads/{upload.id}",
        "Cache-Control": "no-store",
    }
    if offset == upload.size:
        headers["Landscape-Id"] = upload.id
    else:
        headers["Upload-Expires"] = format_datetime(datetime.fromtimestamp(upload.expires, UTC), usegmt=True)
    if status == 200:
        headers["Upload-Length"] = str(upload.size)
    return _response(status, **headers)


def _begin(service: Service, purpose: Purpose, name: str, size: int) -> Upload:
    hours = service.settings.upload_keep_hours
    with service.database.writing() as session:
        _require_few(session, service)
        quotas.require_bytes(session, service.settings, service.owner, size)
        upload = resumable.begin(session, purpose=purpose, name=name, size=size, owner=service.owner, hours=hours)
    resumable.path_of(service.store, upload.id).touch()
    return upload


def _require_few(session: Session, service: Service) -> None:
    """Refuse one more upload than a user may have begun: each is a row and a file, before it has a byte."""
    most = service.settings.max_user_unfinished_uploads
    begun = select(func.count()).select_from(Upload).where(Upload.owner == service.owner)
    if (session.scalar(begun) or 0) >= most:
        raise TooManyError(
            f"{most} of your resumable uploads are not complete, the most one user may have. Complete some, delete "
            f"some with DELETE at their Location, or wait: each expires {service.settings.upload_keep_hours:g} h after "
            "its last byte.",
            seconds=60,
        )


async def _take_over(service: Service, upload_id: str) -> Upload | Checkpoint | Dataset:
    """The upload, or the checkpoint or data set it became, after cancelling a request that appends to it."""
    await run_in_threadpool(_find, service, upload_id)  # only its owner may cancel
    await cancel_append(upload_id)
    return await run_in_threadpool(_find, service, upload_id)


def _find(service: Service, upload_id: str) -> Upload | Checkpoint | Dataset:
    """The incomplete upload, or the checkpoint or data set it became."""
    with service.database.reading() as session:
        complete = session.get(Checkpoint, upload_id) or session.get(Dataset, upload_id)
        return complete or resumable.find(session, upload_id)


def _remove(service: Service, upload_id: str) -> None:
    with service.database.writing() as session:
        resumable.remove(session, upload_id)
    resumable.remove_bytes(service.store, upload_id)


def _size(path: Path) -> int:
    """Bytes received; 0 if a crash removed the file before the row."""
    return path.stat().st_size if path.exists() else 0


def _response(status: int, **headers: str) -> Response:
    return Response(status_code=status, headers={"Tus-Resumable": VERSION, **headers})


def _require_version(version: str) -> None:
    if version != VERSION:
        raise VersionError(f"Send the header Tus-Resumable: {VERSION}.", field="Tus-Resumable")


def _number(text: str, field: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidError(f"{field} must be a number of bytes.", field=field)
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """Pairs of a key and base64, separated by commas."""
    pairs = [pair.split() for pair in text.split(",") if pair.strip()]
    try:
        return {pair[0]: base64.b64decode("".join(pair[1:]), validate=True).decode() for pair in pairs}
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidError(
            "Upload-Metadata must be pairs of a key and base64 of UTF-8.", field="Upload-Metadata"
        ) from None


def _purpose(about: dict[str, str]) -> Purpose:
    purpose = about.get("purpose", "checkpoint")
    if purpose not in ("checkpoint", "dataset"):
        raise InvalidError(f"purpose must be checkpoint or dataset; got {purpose[:40]!r}.", field="Upload-Metadata")
    return cast(Purpose, purpose)
