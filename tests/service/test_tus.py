"""Resumable uploads: the tus protocol 1.0, its existing clients, connections that break."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.support import tus
from tests.support.paths import GALLERY
from tests.support.processes import api_process
from tests.support.service import Service, start_service, wait_for

FILE = GALLERY / "resnet20-w8-skip.safetensors"
CONTENT = FILE.read_bytes()


# The protocol


def test_options_lists_versions_extensions_and_limits(service: Service) -> None:
    answer = service.api.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-version"] == "1.0.0"
    said = set(answer.headers["tus-extension"].split(","))
    assert said == {"creation", "creation-with-upload", "termination", "expiration", "checksum"}
    assert int(answer.headers["tus-max-size"]) == 16 << 30
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


def test_an_upload_in_pieces_becomes_the_checkpoint_with_its_id(service: Service) -> None:
    created = tus.create(service, len(CONTENT), filename="pieces é.safetensors")
    where = tus.place(created)
    assert "upload-expires" in created.headers
    assert tus.offset(service, where) == 0
    for start in range(0, len(CONTENT), 100_000):
        piece = CONTENT[start : start + 100_000]
        answer = tus.patch(service, where, start, piece)
        assert answer.status_code == 204, answer.text
        assert int(answer.headers["upload-offset"]) == start + len(piece)
        assert answer.headers["tus-resumable"] == "1.0.0"
    checkpoint_id = answer.headers["landscape-id"]
    assert where.endswith(checkpoint_id)
    found = service.wait_until_read(checkpoint_id)
    assert (found["name"], found["state"]) == ("pieces é.safetensors", "ready")
    assert found["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    complete = tus.head(service, where)
    assert complete.headers["upload-offset"] == complete.headers["upload-length"] == str(len(CONTENT))
    assert complete.headers["landscape-id"] == checkpoint_id
    assert complete.headers["cache-control"] == "no-store"
    assert tus.patch(service, where, len(CONTENT), b"").status_code == 409
    assert service.api.delete(where, headers=tus.VERSION).status_code == 404
    assert service.api.get(f"/checkpoints/{checkpoint_id}").status_code == 200
    assert not list((service.data / "store" / "resumable").glob(f"{checkpoint_id}*"))


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_the_location_has_the_prefix_of_the_request(service: Service, prefix: str) -> None:
    url = f"http://127.0.0.1:{service.port}"
    with httpx.Client(base_url=url, headers=tus.VERSION, trust_env=False) as client:
        created = client.post(f"{prefix}/uploads", headers={"Upload-Length": "100"})
        assert created.headers["location"].startswith(f"{prefix}/uploads/")
        found = client.head(created.headers["location"])
        assert found.status_code == 200
        assert found.headers["location"] == created.headers["location"]


def test_the_first_bytes_can_come_with_the_creation(service: Service) -> None:
    whole = tus.create(service, len(CONTENT), content=CONTENT)
    assert whole.headers["upload-offset"] == str(len(CONTENT))
    assert service.wait_until_read(whole.headers["landscape-id"])["state"] == "ready"
    part = tus.create(service, len(CONTENT), content=CONTENT[:1000])
    assert tus.offset(service, tus.place(part)) == 1000


def test_a_data_set_is_uploaded_the_same_way(service: Service) -> None:
    created = tus.create(service, 9, content=b"not a set", filename="mine", purpose="dataset")
    found = service.api.get(f"/datasets/{created.headers['landscape-id']}").json()
    assert found["name"] == "mine"
    assert tus.create(service, 9, filename="digits", purpose="dataset").status_code == 422
    assert tus.create(service, 9, filename="x" * 65, purpose="dataset").status_code == 422


def test_an_offset_other_than_the_received_bytes_is_a_conflict(service: Service) -> None:
    where = tus.place(tus.create(service, 100))
    assert tus.patch(service, where, 0, b"x" * 10).status_code == 204
    for wrong in (0, 9, 11, 100):
        answer = tus.patch(service, where, wrong, b"y" * 10)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "conflict"
    assert tus.offset(service, where) == 10


def test_a_wrong_checksum_is_refused_and_none_of_its_bytes_are_kept(service: Service) -> None:
    where = tus.place(tus.create(service, 100))
    assert tus.patch(service, where, 0, b"x" * 10, Upload_Checksum=tus.checksum(b"x" * 10)).status_code == 204
    answer = tus.patch(service, where, 10, b"x" * 10, Upload_Checksum=tus.checksum(b"other"))
    assert answer.status_code == 460
    assert tus.offset(service, where) == 10
    right = tus.checksum(b"y" * 90, "sha256")
    assert tus.patch(service, where, 10, b"y" * 90, Upload_Checksum=right).status_code == 204
    found = service.api.get(f"/checkpoints/{where.rsplit('/', 1)[1]}").json()
    assert found["sha256"] == hashlib.sha256(b"x" * 10 + b"y" * 90).hexdigest()


@pytest.mark.parametrize("value", ["md4 AAAA", "sha1", "sha1 ???", ""])
def test_an_unknown_checksum_is_refused(service: Service, value: str) -> None:
    where = tus.place(tus.create(service, 100))
    answer = tus.patch(service, where, 0, b"x", Upload_Checksum=value)
    assert answer.status_code == (400 if value else 204)
    assert tus.offset(service, where) == (0 if value else 1)


def test_more_bytes_than_announced_are_refused(service: Service) -> None:
    where = tus.place(tus.create(service, 10))
    assert tus.patch(service, where, 0, b"x" * 11).status_code == 413
    assert tus.offset(service, where) == 0

    def endless() -> Iterator[bytes]:
        yield from (b"x" * 8, b"x" * 8)

    headers = {**tus.VERSION, "Content-Type": tus.BODY, "Upload-Offset": "0"}
    assert service.api.patch(where, headers=headers, content=endless()).status_code == 413
    assert tus.offset(service, where) <= 10


def test_an_upload_over_the_limit_or_the_free_space_is_refused_at_creation(service: Service) -> None:
    before = len(list((service.data / "store" / "resumable").iterdir()))
    answer = tus.create(service, (16 << 30) + 1)
    assert answer.status_code == 413
    assert "limit" in answer.json()["error"]["message"]
    assert len(list((service.data / "store" / "resumable").iterdir())) == before


BAD: dict[str, tuple[dict[str, str], int]] = {
    "another version": ({"Tus-Resumable": "0.2.2"}, 412),
    "no version": ({"Tus-Resumable": ""}, 412),
    "no length": ({"Upload-Length": ""}, 422),
    "a negative length": ({"Upload-Length": "-1"}, 422),
    "a length in other digits": ({"Upload-Length": "1e3"}, 422),
    "nothing to send": ({"Upload-Length": "0"}, 422),
    "metadata that is no base64": ({"Upload-Metadata": "filename ???"}, 422),
    "metadata that is no text": ({"Upload-Metadata": "filename /w=="}, 422),
    "another purpose": ({"Upload-Metadata": tus.metadata(purpose="virus")}, 422),
    "too long a name": ({"Upload-Metadata": tus.metadata(filename="x" * 256)}, 422),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_invalid_creation_is_refused_with_a_message(service: Service, kind: str) -> None:
    change, status = BAD[kind]
    headers = {**tus.VERSION, "Upload-Length": "10", "Upload-Metadata": tus.metadata(filename="a"), **change}
    answer = service.api.post("/uploads", headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_a_patch_needs_its_content_type(service: Service) -> None:
    where = tus.place(tus.create(service, 100))
    assert tus.patch(service, where, 0, b"x", Content_Type="text/plain").status_code == 415
    assert tus.patch(service, where, 0, b"x", Upload_Offset="zero").status_code == 422
    assert tus.patch(service, where, 0, b"x", Tus_Resumable="2.0.0").status_code == 412
    assert tus.offset(service, where) == 0


def test_x_http_method_override_replaces_the_method_of_a_post(service: Service) -> None:
    where = tus.place(tus.create(service, 100))
    headers = {**tus.VERSION, "Content-Type": tus.BODY, "Upload-Offset": "0"}
    sent = service.api.post(where, headers={**headers, "X-HTTP-Method-Override": "PATCH"}, content=b"x" * 5)
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "5")
    assert service.api.post(where, headers=headers, content=b"x").status_code == 422
    ended = service.api.post(where, headers={**tus.VERSION, "X-HTTP-Method-Override": "DELETE"})
    assert ended.status_code == 204
    assert tus.head(service, where).status_code == 404


def test_a_name_is_never_used_as_a_path(service: Service) -> None:
    created = tus.create(service, 3, content=b"abc", filename="../../evil\x1b[31m")
    found = service.api.get(f"/checkpoints/{created.headers['landscape-id']}").json()
    assert found["name"] == "../../evil[31m"
    assert not list(service.data.rglob("*evil*"))


def test_a_deleted_upload_leaves_nothing(service: Service) -> None:
    where = tus.place(tus.create(service, 100, content=b"x" * 50))
    assert tus.arrived(service, where) == 50
    assert service.api.delete(where, headers=tus.VERSION).status_code == 204
    assert not list((service.data / "store" / "resumable").glob(f"{where.rsplit('/', 1)[1]}*"))
    for answer in (tus.head(service, where), tus.patch(service, where, 50, b"x")):
        assert answer.status_code == 404


def test_an_abandoned_upload_expires(own: Callable[..., Service]) -> None:
    service = own(upload_keep_hours=str(10 / 3600))
    where = tus.place(tus.create(service, 100, content=b"x" * 50))
    time.sleep(6)
    assert tus.patch(service, where, 50, b"x" * 10).status_code == 204  # extends the expiry
    time.sleep(6)
    assert tus.offset(service, where) == 60
    time.sleep(10)
    assert tus.head(service, where).status_code == 410
    answer = tus.patch(service, where, 60, b"x")
    assert answer.status_code == 410
    assert "Start again" in answer.json()["error"]["message"]


# Failures


def go_on(service: Service, where: str) -> None:
    """Send the rest of `CONTENT` as clients do, retrying while the dead connection still holds the upload."""

    def sent() -> bool:
        start = tus.offset(service, where)
        status = tus.patch(service, where, start, CONTENT[start:]).status_code
        assert status in (204, 409, 423), status
        return status == 204

    wait_for(sent, "the rest to be taken")


def test_a_dropped_connection_loses_only_bytes_that_were_not_sent(service: Service) -> None:
    where = tus.place(tus.create(service, len(CONTENT)))
    half = len(CONTENT) // 2
    with tus.begin_patch(service, where, 0, len(CONTENT), CONTENT[:half]):
        wait_for(lambda: tus.arrived(service, where) > 0, "the first bytes")
    assert 0 < tus.offset(service, where) <= half
    go_on(service, where)
    assert service.wait_until_read(where.rsplit("/", 1)[1])["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_new_request_cancels_the_dead_connection_of_the_old_one(service: Service) -> None:
    where = tus.place(tus.create(service, len(CONTENT)))
    with tus.begin_patch(service, where, 0, len(CONTENT), CONTENT[:5000]) as dead:
        wait_for(lambda: tus.arrived(service, where) > 0, "the first bytes")
        go_on(service, where)
        assert b"409" in dead.recv(100)
    assert service.wait_until_read(where.rsplit("/", 1)[1])["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_an_interrupted_patch_with_a_checksum_keeps_nothing(service: Service) -> None:
    where = tus.place(tus.create(service, 100))
    waiting = service.data / "store" / "resumable" / f"{where.rsplit('/', 1)[1]}.unchecked"
    headers = {**tus.VERSION, "Content-Type": tus.BODY, "Upload-Offset": "0", "Upload-Checksum": tus.checksum(b"x" * 9)}

    def cut() -> Iterator[bytes]:
        yield b"x" * 5
        wait_for(waiting.exists, "the piece to begin")
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError), httpx.Client(base_url=service.api.base_url, trust_env=False) as client:
        client.patch(where, headers=headers, content=cut())
    wait_for(lambda: not waiting.exists(), "the piece to be removed")
    assert tus.offset(service, where) == 0


def test_a_creation_that_is_interrupted_keeps_nothing_since_its_location_is_unknown(service: Service) -> None:
    before = set((service.data / "store" / "resumable").iterdir())

    def made() -> set[Path]:
        return set((service.data / "store" / "resumable").iterdir()) - before

    def cut() -> Iterator[bytes]:
        yield b"x" * 5
        wait_for(made, "the upload to begin")
        raise ConnectionError("cut")

    headers = {**tus.VERSION, "Content-Type": tus.BODY, "Upload-Length": "9"}
    with pytest.raises(ConnectionError), httpx.Client(base_url=service.api.base_url, trust_env=False) as client:
        client.post("/uploads", headers=headers, content=cut())
    wait_for(lambda: not made(), "the upload to be forgotten")


def test_an_upload_resumes_after_the_service_was_killed(own: Callable[..., Service]) -> None:
    service = own()
    where = tus.place(tus.create(service, len(CONTENT), content=CONTENT[:1000]))
    half = len(CONTENT) // 2
    with tus.begin_patch(service, where, 1000, len(CONTENT) - 1000, CONTENT[1000:half]):
        wait_for(lambda: tus.arrived(service, where) > 1000, "some bytes")
        api_process(service).kill()
    start = wait_for(lambda: offset_or_none(service, where), "the service to answer again")
    assert 1000 < start <= half
    assert tus.patch(service, where, start, CONTENT[start:]).status_code == 204
    assert service.wait_until_read(where.rsplit("/", 1)[1])["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def offset_or_none(service: Service, where: str) -> int | None:
    try:
        return tus.offset(service, where)
    except httpx.TransportError:
        return None


def test_a_service_killed_after_the_last_byte_completes_the_upload_on_head(own: Callable[..., Service]) -> None:
    service = own()
    where = tus.place(tus.create(service, len(CONTENT), content=CONTENT[:1000]))
    path = service.data / "store" / "resumable" / where.rsplit("/", 1)[1]
    api_process(service).kill()
    path.write_bytes(CONTENT)  # as if the process died after the last byte
    start = wait_for(lambda: offset_or_none(service, where), "the service to answer again")
    assert start == len(CONTENT)
    assert service.wait_until_read(where.rsplit("/", 1)[1])["sha256"] == hashlib.sha256(CONTENT).hexdigest()


# Existing clients


@pytest.fixture
def stream() -> Iterator[BinaryIO]:
    with FILE.open("rb") as file:
        yield file


@pytest.fixture
def client(service: Service) -> TusClient:
    return TusClient(f"http://127.0.0.1:{service.port}/api/uploads")


@pytest.mark.parametrize("checked", [False, True])
def test_tuspy_uploads_in_pieces(service: Service, client: TusClient, stream: BinaryIO, checked: bool) -> None:
    about = {"filename": "tuspy.safetensors"}
    uploader = client.uploader(file_stream=stream, chunk_size=50_000, metadata=about, upload_checksum=checked)
    uploader.upload()
    found = service.wait_until_read(str(uploader.url).rsplit("/", 1)[1])
    assert (found["name"], found["state"]) == ("tuspy.safetensors", "ready")
    assert found["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_tuspy_resumes_after_an_interruption(service: Service, client: TusClient, stream: BinaryIO) -> None:
    uploader = client.uploader(file_stream=stream, chunk_size=50_000, metadata={"filename": "again"})
    uploader.upload(stop_at=100_000)
    again = client.uploader(file_stream=stream, chunk_size=50_000, url=uploader.url)
    assert again.offset == 100_000
    again.upload()
    assert service.wait_until_read(str(uploader.url).rsplit("/", 1)[1])["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_tuspy_survives_a_service_killed_in_the_middle(own: Callable[..., Service]) -> None:
    service, content = own(), os.urandom(4 << 20)
    client = TusClient(f"http://127.0.0.1:{service.port}/api/uploads")
    pieces = {"chunk_size": 256 << 10, "retries": 60, "retry_delay": 1}
    uploader = client.uploader(file_stream=BytesIO(content), metadata={"filename": "large"}, **pieces)
    uploader.upload(stop_at=1 << 20)
    service.stop(signal.SIGKILL)
    again = start_service(service.data, port=service.port, workers=1)
    try:
        uploader.upload()
        checkpoint_id = str(uploader.url).rsplit("/", 1)[1]
        found = again.api.get(f"/checkpoints/{checkpoint_id}").json()
        assert found["sha256"] == hashlib.sha256(content).hexdigest()
    finally:
        again.stop()


def test_tuspy_gets_the_error_message(client: TusClient, stream: BinaryIO) -> None:
    uploader = client.uploader(file_stream=stream, metadata={"filename": "x", "purpose": "virus"})
    with pytest.raises(TusCommunicationError) as caught:
        uploader.upload()
    assert caught.value.status_code == 422
