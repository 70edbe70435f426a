"""Taking a file as it streams in: what checkpoints and data sets share."""

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from worker.errors import InvalidError

from .deps import Service


async def received(request: Request, service: Service) -> tuple[str, int]:
    """Store the body of the request.

    Returns:
        SHA-256 and size in bytes.

    Raises:
        InvalidError: it is empty or was cut off; nothing is kept.
    """
    service.store.require_space(int(request.headers.get("content-length") or 0))
    with service.store.receive() as receipt:
        try:
            async for block in request.stream():
                await run_in_threadpool(receipt.write, block)
        except ClientDisconnect:
            raise InvalidError("The upload was cut off before its end; nothing was kept.") from None
        if receipt.size == 0:
            raise InvalidError("The upload is empty. Send the file as the body of the request.")
        return await run_in_threadpool(receipt.keep), receipt.size


def printable(name: str) -> str:
    """A name is a string for people: without control characters and lone surrogates, never a path."""
    return "".join(c for c in name if c.isprintable()).encode(errors="replace").decode() or "unnamed"
