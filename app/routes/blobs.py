"""The content-addressed store over HTTP, for workers on other hosts; needs a token of scope `work`.

Never stores bytes under a wrong digest, and never removes any.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from service.errors import InvalidError, NotFoundError
from service.storage.store import GONE

from ..deps import Remote
from ..openapi import errors, takes_bytes
from ..uploads import blocks_of

router = APIRouter(prefix="/store", tags=["store"], responses=errors(401, 403, 422))

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes")]


@router.get("/{sha256}", response_class=FileResponse, responses=errors(404, 500))
def read_bytes(service: Remote, sha256: Digest) -> FileResponse:
    """The bytes of this digest, verified against it before they are sent."""
    return FileResponse(service.store.path(sha256), media_type="application/octet-stream")


@router.head("/{sha256}", responses=errors(400, 401, 403, 404, 422, 429, 503, body=False))
def find_bytes(service: Remote, sha256: Digest) -> Response:
    """Whether the bytes are here, how many, and their age in seconds; they are not read."""
    found = service.store.find(sha256)
    if found is None:
        raise NotFoundError(GONE)
    return Response(headers={"Content-Length": str(found.size), "Age": str(found.age)})


@router.put("/{sha256}", status_code=201, responses=errors(408, 413, 500, 507), openapi_extra=takes_bytes())
async def add_bytes(request: Request, service: Remote, sha256: Digest) -> None:
    """Store the body under its digest; other bytes are refused and not kept."""
    service.store.require_space(int(request.headers.get("content-length") or 0))
    with service.store.receive() as incoming:
        async for block in blocks_of(request, service.settings):
            await run_in_threadpool(incoming.write, block)
        if await run_in_threadpool(incoming.finish) != sha256:
            raise InvalidError("The bytes that arrived do not have this digest. Nothing was stored.", field="sha256")
        await run_in_threadpool(incoming.commit)
