"""Single requests of the tus protocol, valid and broken."""

import base64
import hashlib
import socket
from typing import Any

import httpx

from tests.support.service import Service

BODY = "application/offset+octet-stream"
VERSION = {"Tus-Resumable": "1.0.0"}


def metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def create(service: Service, size: int, *, content: bytes | None = None, **about: str) -> httpx.Response:
    headers = {**VERSION, "Upload-Length": str(size), "Upload-Metadata": metadata(**{"filename": "a.pt", **about})}
    if content is not None:
        headers["Content-Type"] = BODY
    return service.api.post("/uploads", headers=headers, content=content)


def place(answer: httpx.Response) -> str:
    """The path of an upload below /api, from the response that created it."""
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].removeprefix("/api")


def patch(service: Service, where: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {**VERSION, "Content-Type": BODY, "Upload-Offset": str(offset), **given}
    return service.api.patch(where, headers=sent, content=content)


def head(service: Service, where: str) -> httpx.Response:
    return service.api.head(where, headers=VERSION)


def offset(service: Service, where: str) -> int:
    answer = head(service, where)
    assert answer.status_code == 200, answer.headers
    return int(answer.headers["upload-offset"])


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def begin_patch(service: Service, where: str, start: int, announced: int, content: bytes) -> socket.socket:
    """A PATCH that stops in the middle: `announced` bytes in its header, `content` sent, the connection left open."""
    connection = socket.create_connection(("127.0.0.1", service.port))
    head = f"PATCH /api{where} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\nContent-Type: {BODY}\r\n"
    connection.sendall(f"{head}Upload-Offset: {start}\r\nContent-Length: {announced}\r\n\r\n".encode() + content)
    return connection


def arrived(service: Service, where: str) -> Any:
    """Bytes of an upload that are on the disk of the service."""
    return (service.data / "store" / "resumable" / where.rsplit("/", 1)[1]).stat().st_size
