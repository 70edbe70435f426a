"""The store behind the API: the contract of every store, for a remote worker, and its own behavior."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from service.errors import (
    DamagedError,
    ForbiddenError,
    InvalidError,
    NoSpaceError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from service.storage.api_store import ApiStore, refusal
from service.storage.folder_store import FolderStore
from service.storage.store import Store, StoredFile
from tests.service.storage.test_store import (
    keep,
    store,
    test_a_file_is_copied_in_and_a_temporary_one_is_moved_in,
    test_a_file_of_many_megabytes_comes_back_whole,
    test_a_store_that_works_reports_that_it_is_usable,
    test_an_upload_over_the_limit_is_refused_whether_announced_or_not,
    test_an_upload_that_is_not_committed_leaves_nothing,
    test_an_upload_to_a_nearly_full_disk_is_refused,
    test_another_process_reads_the_same_bytes,
    test_bytes_come_back_under_their_sha256,
    test_files_of_a_killed_process_are_removed,
    test_files_of_dead_processes_are_removed_and_those_of_living_ones_stay,
    test_only_a_digest_names_a_file,
    test_stored_bytes_are_found_with_their_size_and_age,
    test_storing_the_same_bytes_again_resets_their_age,
    test_the_same_bytes_are_stored_once,
)
from tests.support.service import free_port, make_token, serve

__all__ = [
    "store",
    "test_a_file_is_copied_in_and_a_temporary_one_is_moved_in",
    "test_a_file_of_many_megabytes_comes_back_whole",
    "test_a_store_that_works_reports_that_it_is_usable",
    "test_an_upload_over_the_limit_is_refused_whether_announced_or_not",
    "test_an_upload_that_is_not_committed_leaves_nothing",
    "test_an_upload_to_a_nearly_full_disk_is_refused",
    "test_another_process_reads_the_same_bytes",
    "test_bytes_come_back_under_their_sha256",
    "test_files_of_a_killed_process_are_removed",
    "test_files_of_dead_processes_are_removed_and_those_of_living_ones_stay",
    "test_only_a_digest_names_a_file",
    "test_stored_bytes_are_found_with_their_size_and_age",
    "test_storing_the_same_bytes_again_resets_their_age",
    "test_the_same_bytes_are_stored_once",
]


@dataclass
class StoreServer:
    """The API alone with access control, the store behind it, and a token of scope `work`."""

    data: Path
    url: str
    port: int
    store: FolderStore
    token: str


class RemovableApiStore(ApiStore):
    """The store of a worker; list and remove, which only the service can do, work on the service's disk."""

    on_disk: FolderStore

    def stored(self) -> Iterator[StoredFile]:
        return self.on_disk.stored()

    def _remove(self, sha256: str) -> None:
        self.on_disk.remove(sha256)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    data = tmp_path_factory.mktemp("api")
    (data / "admin-token").write_text(token_hex(32))
    with serve(data, access="on", admin_token_file=str(data / "admin-token")) as server:
        token = make_token(data, "gpu-box", "work")["token"]
        yield StoreServer(data, server.url, server.port, FolderStore(data / "store", max_bytes=1 << 40), token)


@pytest.fixture
def make(api: StoreServer, tmp_path: Path) -> Callable[..., Store]:
    for one in list(api.store.stored()):
        api.store.remove(one.sha256)

    def open_store(
        *, local: str = "a", cache_bytes: int = 1 << 30, max_bytes: int = 1000, min_free_bytes: int = 0
    ) -> Store:
        limits = {"cache_bytes": cache_bytes, "max_bytes": max_bytes, "min_free_bytes": min_free_bytes}
        made = RemovableApiStore(api.url, tmp_path / local, token=api.token, **limits)
        made.on_disk = api.store
        return made

    return open_store


def test_damaged_bytes_are_refused_and_stored_again_on_both_sides(make: Callable[..., Store], api: StoreServer) -> None:
    store = make()
    sha256 = keep(store, b"weights")
    api.store.path(sha256).write_bytes(b"weighty")
    assert store.path(sha256).read_bytes() == b"weights"  # the cached copy is intact
    with pytest.raises(DamagedError, match="Upload it again"):
        make(local="b").path(sha256)
    assert keep(make(local="c"), b"weights") == sha256
    assert make(local="b").path(sha256).read_bytes() == b"weights"


def test_a_damaged_copy_is_fetched_again(make: Callable[..., Store]) -> None:
    store = make()
    sha256 = keep(store, b"weights")
    store.path(sha256).write_bytes(b"weighty")
    assert store.path(sha256).read_bytes() == b"weights"


def test_bytes_sent_under_another_digest_are_refused(make: Callable[..., Store], api: StoreServer) -> None:
    store, wrong = make(), hashlib.sha256(b"other").hexdigest()
    headers = {"Authorization": f"Bearer {api.token}"}
    answer = httpx.put(f"{api.url}/api/store/{wrong}", content=b"weights", headers=headers, trust_env=False)
    assert answer.status_code == 422
    assert list(store.stored()) == []


def test_the_cache_stays_within_its_limit(make: Callable[..., Store]) -> None:
    store = make(cache_bytes=2500)
    assert isinstance(store, ApiStore)
    digests = [keep(store, bytes([n]) * 1000) for n in range(2)]
    for sha256 in digests:
        os.utime(store.cache.folder / sha256, (0, 0))
    keep(store, b"x" * 1000)
    assert len(list(store.cache.folder.iterdir())) == 2
    assert store.path(digests[0]).read_bytes() == b"\x00" * 1000


@pytest.mark.parametrize("scopes", ["read", "read,submit"])
def test_only_a_token_of_scope_work_opens_the_store(api: StoreServer, tmp_path: Path, scopes: str) -> None:
    token = make_token(api.data, "gpu-box", scopes)["token"]
    store = ApiStore(api.url, tmp_path, token=token, cache_bytes=0, max_bytes=1000)
    with pytest.raises(ForbiddenError, match="landscape token"):
        keep(store, b"weights")
    without_token = ApiStore(api.url, tmp_path, token=None, cache_bytes=0, max_bytes=1000)
    with pytest.raises(ForbiddenError):
        without_token.path("0" * 64)
    assert not without_token.usable()


def test_a_token_of_scope_work_opens_nothing_else(api: StoreServer) -> None:
    for path in ("/api/jobs", "/api/checkpoints", "/api/datasets", "/metrics", "/api/tokens"):
        answer = httpx.get(f"{api.url}{path}", headers={"Authorization": f"Bearer {api.token}"}, trust_env=False)
        assert answer.status_code == 403, path


def test_missing_bytes_are_reported(make: Callable[..., Store]) -> None:
    with pytest.raises(NotFoundError, match="Upload it again"):
        make().path("0" * 64)


def test_an_unreachable_service_is_reported_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ApiStore(f"http://127.0.0.1:{free_port()}", tmp_path, token=None, cache_bytes=0, max_bytes=1000)
    monkeypatch.setattr("service.storage.api_store.BACKOFF_SECONDS", 0.01)
    assert not store.usable()
    with pytest.raises(UnavailableError, match="does not answer"):
        store.path("0" * 64)


@pytest.mark.parametrize(
    ("code", "error"), [("no_space", NoSpaceError), ("too_large", TooLargeError), ("invalid", InvalidError)]
)
def test_a_refusal_of_the_service_is_the_error_of_a_local_store(code: str, error: type[Exception]) -> None:
    answer = httpx.Response(507, json={"error": {"code": code, "message": "Too little room."}})
    assert type(refusal(answer)) is error
    assert str(refusal(answer)) == "Too little room."


def test_a_response_that_is_cut_off_is_requested_again(
    api: StoreServer, make: Callable[..., Store], tmp_path: Path
) -> None:
    from tests.support.cutting_proxy import CuttingProxy

    sha256 = keep(make(max_bytes=1 << 20), b"x" * 900_000)
    broken = iter([True, True, False])
    way = CuttingProxy(api.port, lambda sent, got: got > 300_000 and next(broken, False))
    store = ApiStore(way.url, tmp_path / "far", token=api.token, cache_bytes=1 << 30, max_bytes=1 << 20)
    assert store.path(sha256).stat().st_size == 900_000
    way.close()
    assert way.cuts == 2
    assert not list(store.unfinished.iterdir())
