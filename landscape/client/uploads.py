"""Resumable uploads by the tus 1.0 protocol: after a broken connection or a killed program only the rest is sent.

Never holds more than one chunk in memory.
"""

from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..errors import LandscapeError
from ..evaluation.progress import Progress
from .calls import get, wait_until_read
from .errors import RefusedError, UnreachableError
from .flow import BlockingCall, Flow, Reply, Request
from .local_state import UnfinishedUpload
from .models import Checkpoint, Dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

Purpose = Literal["checkpoint", "dataset"]
CHUNK = 8 << 20  # bytes
MB = 1_000_000
MAX_STALLS = 10  # consecutive failed chunks of which nothing arrived
_TUS = {"Tus-Resumable": "1.0.0"}


def checkpoint(file: Path, name: str | None, report: Progress, url: str, wait: bool) -> Flow[Checkpoint]:
    """Upload a file of weights; with `wait`, until a worker has read it.

    Raises:
        LandscapeError: see `upload`.
        RejectedError: with `wait`, the service has read it and cannot use it.
    """
    upload_id = yield from upload(file, name or file.name, "checkpoint", report, url)
    return Checkpoint.of((yield from _uploaded(f"/checkpoints/{upload_id}", wait)))


def dataset(file: Path, name: str | None, report: Progress, url: str, wait: bool) -> Flow[Dataset]:
    """Upload a file of samples; with `wait`, until a worker has read it.

    Raises:
        LandscapeError: see `upload`.
        RejectedError: with `wait`, the service has read it and cannot use it.
    """
    upload_id = yield from upload(file, name or file.name, "dataset", report, url)
    return Dataset.of((yield from _uploaded(f"/datasets/{upload_id}", wait)))


def pack_model(model: "nn.Module", example: "Tensor", file: Path) -> Flow[None]:
    """Write the model with its architecture to a file; needs torch, which any caller with a model has installed."""
    from ..packing.pack import pack

    yield BlockingCall(partial(pack, model, example, file))


def _uploaded(path: str, wait: bool) -> Flow[Any]:
    return (yield from (wait_until_read(path) if wait else get(path)))


def upload(file: Path, name: str, purpose: Purpose, report: Progress, url: str) -> Flow[str]:
    """Upload a file, resuming an earlier attempt with the same file and service.

    Returns:
        The id of the checkpoint or data set that was created.

    Raises:
        LandscapeError: there is no such file, it is empty, or the service does not keep the upload.
    """
    if not file.is_file():
        raise LandscapeError(f"There is no file {str(file)!r} to upload.")
    size, unfinished = file.stat().st_size, UnfinishedUpload(file, url, name, purpose)
    if size == 0:
        raise LandscapeError(f"{file.name} is empty. Upload a file with weights or samples.")
    address, reply = unfinished.address, None
    if address is not None:
        reply = yield from _head(address)
    if address is None or reply is None:
        address = yield from _create(size, name, purpose)
        unfinished.save(address)
        reply = yield from _head(address)
    if reply is None:
        raise LandscapeError("The service does not know the upload that it has just created. Try again.")
    reply = yield from _send_chunks(file, address, size, reply, report)
    unfinished.remove()
    return reply.headers["landscape-id"]


def _create(size: int, name: str, purpose: Purpose) -> Flow[str]:
    """Create an upload; returns its address."""
    about = {"filename": name, "purpose": purpose}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in about.items())
    headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    reply: Reply = yield Request("POST", "/uploads", headers=headers, idempotent=True)  # an unused upload expires
    return urlsplit(reply.headers["location"]).path  # only the path: never another server


def _head(address: str) -> Flow[Reply | None]:
    """The state of an upload, with the offset reached; None if the service does not know it (any more)."""
    try:
        reply: Reply = yield Request("HEAD", address, headers=_TUS)
    except RefusedError as refused:
        if refused.status in (403, 404, 410):
            return None
        raise
    return reply


def _send_chunks(file: Path, address: str, size: int, reply: Reply, report: Progress) -> Flow[Reply]:
    """Send the missing chunks; returns the last reply, with the id of the checkpoint or data set."""
    stalls = 0
    while (offset := int(reply.headers["upload-offset"])) < size:
        report(offset // MB, -(-size // MB))
        chunk = yield BlockingCall(partial(_read_chunk, file, offset))
        headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        try:
            reply = yield Request("PATCH", address, headers=headers, content=chunk)
        except (UnreachableError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.status != 409:
                raise
            state = yield from _head(address)  # how much of the chunk has arrived?
            if state is None or stalls >= MAX_STALLS:
                raise
            stalls = 0 if int(state.headers["upload-offset"]) > offset else stalls + 1
            reply = state
    report(-(-size // MB), -(-size // MB))
    return reply


def _read_chunk(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(CHUNK)
