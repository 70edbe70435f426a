"""The contract of every store, tested for each: bytes under their digest, durable, verified, no leftovers."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from landscape.disk_cache import DiskCache
from service.errors import DamagedError, NoSpaceError, NotFoundError, TooLargeError, UnavailableError
from service.storage.folder_store import FolderStore
from service.storage.s3 import S3Store
from service.storage.store import Store
from tests.support.objects import BUCKET, KEY, SECRET, ObjectServer, object_server

Make = Callable[..., Store]


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a new empty store of each kind; called again, it opens the same one, as another process would."""
    prefix = uuid4().hex

    def folder(*, max_bytes: int = 1000, min_free_bytes: int = 0, **_: int) -> Store:
        return FolderStore(tmp_path / "store", max_bytes=max_bytes, min_free_bytes=min_free_bytes)

    def s3(*, max_bytes: int = 1000, min_free_bytes: int = 0, cache_bytes: int = 1 << 30, local: str = "a") -> Store:
        server: ObjectServer = request.getfixturevalue("objects")
        return S3Store(
            f"s3://{BUCKET}/{prefix}",
            tmp_path / local,
            client=server.clients,
            cache_bytes=cache_bytes,
            max_bytes=max_bytes,
            min_free_bytes=min_free_bytes,
        )

    return folder if request.param == "folder" else s3


@pytest.fixture
def store(make: Make) -> Store:
    return make()


def keep(store: Store, content: bytes) -> str:
    with store.receive() as incoming:
        incoming.write(content[:3])
        incoming.write(content[3:])
        return incoming.commit()


def stored_digests(store: Store) -> list[str]:
    return sorted(one.sha256 for one in store.stored())


def change(store: Store, sha256: str, content: bytes) -> None:
    """Damage stored bytes and their cached copies, bypassing the store."""
    if isinstance(store, S3Store):
        server = store._client
        server.put_object(Bucket=BUCKET, Key=store.prefix + sha256, Body=content)
        store.cache.remove(sha256)
    else:
        store.path(sha256).write_bytes(content)


# The contract


def test_bytes_come_back_under_their_sha256(store: Store) -> None:
    sha256 = keep(store, b"weights")
    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert store.path(sha256).read_bytes() == b"weights"


def test_another_process_reads_the_same_bytes(make: Make) -> None:
    sha256 = keep(make(), b"weights")
    assert make(local="b").path(sha256).read_bytes() == b"weights"


def test_the_same_bytes_are_stored_once(store: Store) -> None:
    assert keep(store, b"weights") == keep(store, b"weights")
    assert len(stored_digests(store)) == 1


def test_an_upload_that_is_not_committed_leaves_nothing(store: Store) -> None:
    with store.receive() as incoming:
        incoming.write(b"half")
    assert stored_digests(store) == []
    assert not list(store.unfinished.iterdir())


def test_a_file_is_copied_in_and_a_temporary_one_is_moved_in(store: Store, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_bytes(b"weights")
    assert store.copy_in(given) == hashlib.sha256(b"weights").hexdigest()
    assert given.exists()
    with store.temporary_folder() as folder:
        own = folder / "own"
        own.write_bytes(b"made here")
        sha256 = store.move_in(own)
    assert store.path(sha256).read_bytes() == b"made here"
    assert not list(store.unfinished.iterdir())


def test_stored_bytes_are_found_with_their_size_and_age(store: Store) -> None:
    sha256 = keep(store, b"weights")
    found = store.find(sha256)
    assert found is not None
    assert (found.sha256, found.size) == (sha256, 7)
    assert -2 < found.age < 60
    assert [(one.sha256, one.size) for one in store.stored()] == [(sha256, 7)]
    assert store.find("0" * 64) is None


def test_storing_the_same_bytes_again_resets_their_age(make: Make, tmp_path: Path) -> None:
    store = make()
    sha256 = keep(store, b"weights")
    if isinstance(store, FolderStore):
        os.utime(store.path(sha256), (0, 0))
    else:
        time.sleep(2.1)
    before = store.find(sha256)
    keep(store, b"weights")
    after = store.find(sha256)
    assert before is not None
    assert after is not None
    assert after.age < before.age


def test_removed_bytes_are_gone_and_removing_them_again_is_no_error(store: Store) -> None:
    sha256 = keep(store, b"weights")
    store.remove(sha256)
    store.remove(sha256)
    assert store.find(sha256) is None
    with pytest.raises(NotFoundError, match="Upload it again"):
        store.path(sha256)
    with pytest.raises(UnavailableError, match="Send it again"):
        store.require(sha256)


def test_files_that_workers_prepared_from_stored_bytes_are_removed_with_them(store: Store) -> None:
    one, other = keep(store, b"one"), keep(store, b"other")
    cache = DiskCache(store.prepared)
    for sha256 in (one, other):
        assert cache.get_or_write(f"{sha256}-train-1", 8, lambda path: path.write_bytes(b"prepared"))
    store.remove(one)
    assert cache.find(f"{one}-train-1") is None
    assert cache.find(f"{other}-train-1") is not None


def test_a_changed_byte_is_detected_when_reading_and_a_new_upload_repairs_it(store: Store) -> None:
    sha256 = keep(store, b"weights")
    change(store, sha256, b"weighty")
    with pytest.raises(DamagedError, match="Upload it again"):
        store.path(sha256)
    assert keep(store, b"weights") == sha256
    assert store.path(sha256).read_bytes() == b"weights"


def test_an_upload_over_the_limit_is_refused_whether_announced_or_not(store: Store) -> None:
    with pytest.raises(TooLargeError, match="1000 bytes"):
        store.require_space(1001)
    with store.receive() as incoming, pytest.raises(TooLargeError):
        incoming.write(bytes(1001))
    assert stored_digests(store) == []


def test_an_upload_to_a_nearly_full_disk_is_refused(make: Make) -> None:
    store = make(min_free_bytes=1 << 60)
    with pytest.raises(NoSpaceError, match="disk space"), store.receive():
        pass
    assert not list(store.unfinished.iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "0" * 63, "G" * 64, "0" * 65])
def test_only_a_digest_names_a_file(store: Store, name: str) -> None:
    for ask in (store.path, store.find, store.remove):
        with pytest.raises(NotFoundError):
            ask(name)


def test_a_file_of_many_megabytes_comes_back_whole(make: Make) -> None:
    store, other = make(max_bytes=1 << 30), make(max_bytes=1 << 30, local="b")
    digest = hashlib.sha256()
    with store.receive() as incoming:
        for n in range(50):
            block = bytes([n]) * (1 << 20) + b"odd"
            digest.update(block)
            incoming.write(block)
        sha256 = incoming.commit()
    assert sha256 == digest.hexdigest()
    with other.path(sha256).open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == sha256


def test_files_of_dead_processes_are_removed_and_those_of_living_ones_stay(store: Store) -> None:
    dead, empty = store.unfinished / "dead", store.unfinished / "folder"
    dead.write_bytes(b"x")
    empty.mkdir()
    (empty / "inside").write_bytes(b"x")
    with store.receive() as incoming, store.temporary_folder() as folder:
        incoming.write(b"half")
        for path in store.unfinished.iterdir():
            os.utime(path, (0, 0))
        store.sweep()
        assert sorted(store.unfinished.iterdir()) == sorted([incoming.path, folder])
        assert store.path(incoming.commit()).read_bytes() == b"half"


def test_files_of_a_killed_process_are_removed(store: Store) -> None:
    writing = (
        "import sys; from pathlib import Path; from service.storage.folder_store import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]), max_bytes=10**9)\n"
        "with store.receive() as incoming, store.temporary_folder() as folder:\n"
        "    incoming.write(b'half'); incoming.file.flush(); print('ready', flush=True); sys.stdin.read()\n"
    )
    local = store.unfinished.parent
    process = subprocess.Popen(
        [sys.executable, "-c", writing, str(local)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for path in store.unfinished.iterdir():
        os.utime(path, (0, 0))
    store.sweep()
    assert len(list(store.unfinished.iterdir())) == 2
    process.kill()
    process.communicate()
    store.sweep()
    assert not list(store.unfinished.iterdir())


def test_a_store_that_works_reports_that_it_is_usable(store: Store) -> None:
    assert store.usable()


# A bucket alone


@pytest.fixture
def bucket(objects: ObjectServer, tmp_path: Path) -> Callable[..., S3Store]:
    prefix = uuid4().hex

    def open_store(local: str = "a", cache_bytes: int = 1 << 30) -> S3Store:
        address = f"s3://{BUCKET}/{prefix}/"
        return S3Store(address, tmp_path / local, client=objects.clients, cache_bytes=cache_bytes, max_bytes=1 << 30)

    return open_store


def test_a_damaged_copy_is_fetched_again(bucket: Callable[..., S3Store]) -> None:
    store = bucket()
    sha256 = keep(store, b"weights")
    store.path(sha256).write_bytes(b"weighty")
    assert store.path(sha256).read_bytes() == b"weights"


def test_cached_bytes_are_not_fetched_again(bucket: Callable[..., S3Store], objects: ObjectServer) -> None:
    store = bucket()
    sha256 = keep(store, b"weights")
    objects.client.delete_object(Bucket=BUCKET, Key=store.prefix + sha256)
    assert store.path(sha256).read_bytes() == b"weights"


def test_the_cache_stays_within_its_limit_and_keeps_the_last_used_files(bucket: Callable[..., S3Store]) -> None:
    store = bucket(cache_bytes=2500)
    digests = [keep(store, bytes([n]) * 1000) for n in range(2)]
    for age, sha256 in zip((900, 600), digests, strict=True):
        os.utime(store.cache.folder / sha256, (time.time() - age,) * 2)
    store.path(digests[0])
    os.utime(store.cache.folder / digests[0], (time.time() - 300,) * 2)
    third = keep(store, b"x" * 1000)
    assert sorted(path.name for path in store.cache.folder.iterdir()) == sorted([digests[0], third])
    assert store.path(digests[1]).read_bytes() == b"\x01" * 1000


def test_a_copy_that_was_just_returned_stays_even_over_the_limit(bucket: Callable[..., S3Store]) -> None:
    store = bucket(cache_bytes=10)
    path = store.path(keep(store, b"x" * 1000))
    keep(store, b"y" * 1000)
    assert path.read_bytes() == b"x" * 1000


def test_large_files_are_uploaded_in_parts_and_none_is_left(
    bucket: Callable[..., S3Store], objects: ObjectServer
) -> None:
    store = bucket()
    with store.receive() as incoming:
        for _ in range(40):
            incoming.write(bytes(1 << 20))
        sha256 = incoming.commit()
    facts = objects.client.head_object(Bucket=BUCKET, Key=store.prefix + sha256)
    assert facts["ContentLength"] == 40 << 20
    assert facts["ETag"].strip('"').endswith("-3")  # of three parts
    assert objects.parts() == []


def test_old_parts_of_a_dead_process_are_removed_and_recent_ones_stay(
    bucket: Callable[..., S3Store], objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bucket().prefix + "0" * 64
    left = objects.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    objects.client.upload_part(Bucket=BUCKET, Key=key, UploadId=left, PartNumber=1, Body=b"x")
    with monkeypatch.context() as patched:  # this server dates every upload to the year 2010
        patched.setattr("service.storage.s3._PARTS_EXPIRE", timedelta(days=36500))
        bucket().sweep()
    assert key in objects.parts()
    bucket().sweep()
    assert key not in objects.parts()


UPLOADING = """
import sys
from pathlib import Path
from service.storage.s3 import S3Store, client_factory

address, local, url, key, secret, large = sys.argv[1:]
client = client_factory(url, key, secret, "us-east-1")
store = S3Store(address, Path(local), client=client, cache_bytes=0, max_bytes=1 << 30)
while True:
    print(store.copy_in(Path(large)), flush=True)
"""


def test_a_process_killed_during_an_upload_leaves_no_partial_object(
    bucket: Callable[..., S3Store], objects: ObjectServer, tmp_path: Path
) -> None:
    store, large = bucket(), tmp_path / "large"
    large.write_bytes(os.urandom(100 << 20))
    address = f"s3://{BUCKET}/{store.prefix}"
    arguments = [address, str(tmp_path / "sender"), objects.url, KEY, SECRET, str(large)]
    process = subprocess.Popen([sys.executable, "-c", UPLOADING, *arguments], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not any(key.startswith(store.prefix) for key in objects.parts()):
        assert time.monotonic() < end, "nothing was sent"
    process.kill()
    process.wait()
    expected = hashlib.sha256(large.read_bytes()).hexdigest()
    for one in store.stored():  # nothing, or the complete file if the upload was quick
        assert (one.sha256, one.size) == (expected, 100 << 20)
        assert store.path(one.sha256).stat().st_size == 100 << 20
    bucket().sweep()
    assert not [key for key in objects.parts() if key.startswith(store.prefix)]
    sender = bucket("sender")
    for path in sender.unfinished.iterdir():
        os.utime(path, (0, 0))
    sender.sweep()
    assert not list(sender.unfinished.iterdir())


def test_an_upload_that_fails_leaves_neither_object_nor_parts_nor_file(tmp_path: Path) -> None:
    with object_server() as server:
        store = S3Store(f"s3://{BUCKET}", tmp_path, client=server.clients, cache_bytes=1 << 30, max_bytes=1 << 30)
        sha256 = keep(store, b"before")
        server.client.delete_object(Bucket=BUCKET, Key=sha256)
        server.client.delete_bucket(Bucket=BUCKET)
        assert not store.usable()
        with pytest.raises(UnavailableError):
            keep(store, b"weights")
        assert not list(store.unfinished.iterdir())


def test_an_unreachable_server_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with object_server() as server:
        store = S3Store(f"s3://{BUCKET}", tmp_path, client=server.clients, cache_bytes=0, max_bytes=1000)
        sha256 = keep(store, b"weights")
        store.cache.remove(sha256)
    assert not store.usable()
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        store.path(sha256)
    assert server.url not in str(caught.value)
    with pytest.raises(UnavailableError):
        keep(store, b"more")
    assert not list(store.unfinished.iterdir())


def test_the_api_imports_boto3_only_where_a_bucket_is_used() -> None:
    code = "import sys, app.main, service.storage.open; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
