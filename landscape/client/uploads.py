"""Uploads in pieces by the tus 1.0 protocol: what a broken connection or a killed program has sent need not go again.

Imports exchange, calls and known. Never holds more than one piece in memory.
"""

from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..errors import LandscapeError
from ..evaluation.progress import Progress
from .calls import get, read
from .errors import RefusedError, UnreachableError
from .flow import Flow, Reply, Request, Work
from .local_state import Unfinished
from .models import Checkpoint, Dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

Purpose = Literal["checkpoint", "dataset"]
PIECE = 8 << 20  # bytes sent at a time
MB = 1_000_000
_TUS = {"Tus-Resumable": "1.0.0"}


def checkpoint(file: Path, name: str | None, report: Progress, url: str, wait: bool) -> Flow[Checkpoint]:
    """Upload a file of weights; read by a worker, unless `wait` is False."""
    upload_id = yield from upload(file, name or file.name, "checkpoint", report, url)
    return Checkpoint.of((yield from _seen(f"/checkpoints/{upload_id}", wait)))


def dataset(file: Path, name: str | None, report: Progress, url: str, wait: bool) -> Flow[Dataset]:
    """Upload a file of samples; read by a worker, unless `wait` is False."""
    upload_id = yield from upload(file, name or file.name, "dataset", report, url)
    return Dataset.of((yield from _seen(f"/datasets/{upload_id}", wait)))


def packed(model: "nn.Module", example: "Tensor", file: Path) -> Flow[None]:
    """Write the model with its architecture; needs torch, as whoever has a model does."""
    from ..packing.pack import pack

    yield Work(partial(pack, model, example, file))


def _seen(path: str, wait: bool) -> Flow[Any]:
    return (yield from (read(path) if wait else get(path)))


def upload(file: Path, name: str, purpose: Purpose, report: Progress, url: str) -> Flow[str]:
    """Send a file, going on where an earlier attempt of the same file to the same service ended.

    Returns:
        The id of the checkpoint or data set it became.
    """
    if not file.is_file():
        raise LandscapeError(f"There is no file {str(file)!r} to upload.")
    size, unfinished = file.stat().st_size, Unfinished(file, url, name, purpose)
    if size == 0:
        raise LandscapeError(f"{file.name} is empty. Upload a file with weights or samples.")
    place, reply = unfinished.place, None
    if place is not None:
        reply = yield from _offset(place)
    if place is None or reply is None:
        place = yield from _begin(size, name, purpose)
        unfinished.remember(place)
        reply = yield from _offset(place)
    if reply is None:
        raise LandscapeError("The service forgot the upload as soon as it had begun. Try again.")
    reply = yield from _pieces(file, place, size, reply, report)
    unfinished.forget()
    return reply.headers["landscape-id"]


def _begin(size: int, name: str, purpose: Purpose) -> Flow[str]:
    """Announce an upload; its address."""
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in _about(name, purpose).items())
    headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    reply: Reply = yield Request("POST", "/uploads", headers=headers, repeatable=True)  # an unused one expires
    return urlsplit(reply.headers["location"]).path  # never another server's


def _about(name: str, purpose: Purpose) -> dict[str, str]:
    return {"filename": name, "purpose": purpose}


def _offset(place: str) -> Flow[Reply | None]:
    """How far the service is with an upload, or None where it does not know it any more."""
    try:
        reply: Reply = yield Request("HEAD", place, headers=_TUS)
    except RefusedError as refused:
        if refused.status in (403, 404, 410):
            return None
        raise
    return reply


def _pieces(file: Path, place: str, size: int, reply: Reply, report: Progress) -> Flow[Reply]:
    """Send what is missing; the last reply, which names what the upload became."""
    stuck = 0
    while (offset := int(reply.headers["upload-offset"])) < size:
        report(offset // MB, -(-size // MB))
        piece = yield Work(partial(_piece, file, offset))
        headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        try:
            reply = yield Request("PATCH", place, headers=headers, content=piece)
        except (UnreachableError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.status != 409:
                raise
            found = yield from _offset(place)  # how much of the piece has arrived?
            if found is None or stuck >= 10:
                raise
            stuck = 0 if int(found.headers["upload-offset"]) > offset else stuck + 1
            reply = found
    report(-(-size // MB), -(-size // MB))
    return reply


def _piece(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(PIECE)
