"""Resumable uploads by the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload), for its existing clients.

Core, creation, creation-with-upload, termination, expiration and checksum. Imports appending and partial; no torch.
Never touches the bytes: that is appending.py.
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

from service.database.tables import Checkpoint, Dataset, Upload
from service.errors import ConflictError, InvalidError, NotFoundError, ServiceError
from service.jobs import quotas
from service.storage import resumable

from ..deps import Anyone, IdPath, Service, Submitter
from ..openapi import errors, takes_bytes
from ..prefix import prefix_of
from ..resumable import CHECKSUMS, append_bytes, complete_upload, end_appending
from ..uploads import Purpose, require_name

router = APIRouter(prefix="/uploads", tags=["resumable uploads"])

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
BODY = "application/offset+octet-stream"
# errors, of every call and of those that take bytes
FINDING = (401, 403, 404, 409, 410, 412, 422, 423, 507)
TAKING = (401, 403, 408, 409, 412, 413, 422, 423, 429, 460, 507)


class VersionError(ServiceError):
    """The client speaks another version of the protocol."""

    code = "tus_version"


class MediaTypeError(ServiceError):
    """The body is not what a PATCH carries."""

    code = "media_type"


Resumable = Annotated[str, Header(alias="Tus-Resumable")]
Length = Annotated[str, Header(alias="Upload-Length")]
Offset = Annotated[str, Header(alias="Upload-Offset")]
Metadata = Annotated[str, Header(alias="Upload-Metadata")]
Checksum = Annotated[str, Header(alias="Upload-Checksum")]
Override = Annotated[str, Header(alias="X-HTTP-Method-Override")]


@router.options("", status_code=204)
def capabilities(service: Anyone) -> Response:
    """What of the protocol is spoken here."""
    return _answer(
        204,
        **{
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(service.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@router.post("", status_code=201, responses=errors(*TAKING))
async def create_upload(
    request: Request,
    service: Submitter,
    version: Resumable = "",
    length: Length = "",
    metadata: Metadata = "",
    checksum: Checksum = "",
) -> Response:
    """Announce a file: `Upload-Length` bytes, `Upload-Metadata` with `filename` and `purpose` (checkpoint or dataset).

    The id in `Location` will be the id of the checkpoint or data set once every byte is here. The body may hold the
    first bytes.
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
        except ServiceError:  # without an answer nobody knows where to go on
            await run_in_threadpool(_forget, service, upload.id)
            raise
    return _told(request, upload, offset, 201)


@router.head("/{upload_id}", responses=errors(400, *FINDING, 503, body=False))
async def ask_offset(request: Request, service: Submitter, upload_id: IdPath, version: Resumable = "") -> Response:
    """How many bytes are here. Of a complete upload `Landscape-Id` names what it has become."""
    _require_version(version)
    upload = await _taken_over(service, upload_id)
    if not isinstance(upload, Upload):
        sizes = {"Upload-Offset": str(upload.size), "Upload-Length": str(upload.size)}
        return _answer(200, **sizes, **{"Landscape-Id": upload_id, "Cache-Control": "no-store"})
    offset = await run_in_threadpool(_size, resumable.path_of(service.store, upload_id))
    if offset == upload.size:  # every byte arrived, and then the process died
        await run_in_threadpool(complete_upload, service, upload)
    return _told(request, upload, offset, 200)


@router.patch(
    "/{upload_id}", status_code=204, responses=errors(*FINDING, *TAKING, 415), openapi_extra=takes_bytes(BODY)
)
async def append(
    request: Request,
    service: Submitter,
    upload_id: IdPath,
    version: Resumable = "",
    offset: Offset = "",
    checksum: Checksum = "",
) -> Response:
    """Append the body at `Upload-Offset`, which must be the number of bytes that are here."""
    _require_version(version)
    if request.headers.get("content-type") != BODY:
        raise MediaTypeError(f"A piece of an upload is sent with Content-Type: {BODY}.")
    start = _number(offset, "Upload-Offset")
    upload = await _taken_over(service, upload_id)
    if not isinstance(upload, Upload):
        raise ConflictError("This upload is complete.", field="Upload-Offset")
    return _told(request, upload, await append_bytes(request, service, upload, start, checksum), 204)


@router.post("/{upload_id}", status_code=204, responses=errors(*FINDING, *TAKING, 415))
async def append_by_post(
    request: Request,
    service: Submitter,
    upload_id: IdPath,
    override: Override = "",
    version: Resumable = "",
    offset: Offset = "",
    checksum: Checksum = "",
) -> Response:
    """PATCH and DELETE for clients that can only POST: `X-HTTP-Method-Override` names the method."""
    if override == "DELETE":
        return await end_upload(service, upload_id, version)
    if override != "PATCH":
        raise InvalidError("POST here needs X-HTTP-Method-Override: PATCH or DELETE.", field="X-HTTP-Method-Override")
    return await append(request, service, upload_id, version, offset, checksum)


@router.delete("/{upload_id}", status_code=204, responses=errors(*FINDING))
async def end_upload(service: Submitter, upload_id: IdPath, version: Resumable = "") -> Response:
    """Forget an upload that is not complete, and its bytes."""
    _require_version(version)
    upload = await _taken_over(service, upload_id)
    if not isinstance(upload, Upload):
        raise NotFoundError("There is no upload under way with this id.")
    await run_in_threadpool(_forget, service, upload_id)
    return _answer(204)


def _told(request: Request, upload: Upload, offset: int, status: int) -> Response:
    """The answer to a client that is at `offset`; with the last byte the upload has become what it was sent for."""
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
    return _answer(status, **headers)


def _begin(service: Service, purpose: Purpose, name: str, size: int) -> Upload:
    hours = service.settings.upload_keep_hours
    with service.database.writing() as session:
        quotas.require_bytes(session, service.settings, service.owner, size)
        upload = resumable.begin(session, purpose=purpose, name=name, size=size, owner=service.owner, hours=hours)
    resumable.path_of(service.store, upload.id).touch()
    return upload


async def _taken_over(service: Service, upload_id: str) -> Upload | Checkpoint | Dataset:
    """The upload, or what it has become, with nobody appending to it any more."""
    await run_in_threadpool(_find, service, upload_id)  # nobody ends what is not theirs
    await end_appending(upload_id)
    return await run_in_threadpool(_find, service, upload_id)


def _find(service: Service, upload_id: str) -> Upload | Checkpoint | Dataset:
    """The upload under way, or what it has become."""
    with service.database.reading() as session:
        complete = session.get(Checkpoint, upload_id) or session.get(Dataset, upload_id)
        return complete or resumable.find(session, upload_id)


def _forget(service: Service, upload_id: str) -> None:
    with service.database.writing() as session:
        resumable.remove(session, upload_id)
    resumable.remove_bytes(service.store, upload_id)


def _size(path: Path) -> int:
    """Bytes that are here; none where a crash took the file away before the row."""
    return path.stat().st_size if path.exists() else 0


def _answer(status: int, **headers: str) -> Response:
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
