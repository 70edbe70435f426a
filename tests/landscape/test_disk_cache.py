"""Processes share one memory-mapped copy of a data set; damaged files and other users' files are replaced."""

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape import disk_cache
from landscape.data import Dataset, load, load_clean, load_file
from landscape.disk_cache import DiskCache, evict, own_cache
from landscape.parsers.dataset import read

COUNT = 2000  # images of CIFAR's shape: 24.6 MB as float32
SIZE = COUNT * 3072 * 4


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "many.npz"
    generator = np.random.default_rng(3)
    pixels = generator.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.arange(COUNT) % 10, test_images=pixels[:7], test_labels=np.arange(7))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache" / "samples")


def files(cache: DiskCache) -> list[Path]:
    """The cached files, without hidden ones."""
    return sorted(path for path in cache.folder.iterdir() if not path.name.startswith("."))


def same(one: Dataset, other: Dataset) -> bool:
    """Whether samples and metadata are identical."""
    facts = [(found.name, found.split, found.classes, found.mean, found.std, found.targets) for found in (one, other)]
    return one.digest == other.digest and facts[0] == facts[1]


def mappings(folder: Path, process: int | str = "self") -> list[str]:
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    return [line for line in lines if str(folder) in line]


LOAD = """
import os, sys
from landscape.data import load_file
from landscape.disk_cache import DiskCache
found = load_file(sys.argv[1], cache=DiskCache(Path(sys.argv[2])))
print(found.digest, flush=True)
sys.stdin.readline()
"""


def loading(count: int, *arguments: Path) -> "list[subprocess.Popen[str]]":
    """Processes that load the file, print its digest, and run until their input ends."""
    command = [sys.executable, "-c", "from pathlib import Path" + LOAD, *map(str, arguments)]
    return [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def proportional(process: "subprocess.Popen[str]", file: Path) -> int:
    """Proportional set size (PSS) of a mapped file in bytes: pages shared by n processes count 1/n."""
    lines = Path(f"/proc/{process.pid}/smaps").read_text().splitlines()
    [at] = [at for at, line in enumerate(lines) if line.endswith(str(file))]
    return 1024 * int(next(line for line in lines[at:] if line.startswith("Pss:")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what processes share")
def test_processes_that_load_at_once_make_one_file_and_hold_its_bytes_once(file: Path, cache: DiskCache) -> None:
    expected = load_file(file).digest
    started = loading(3, file, cache.folder)
    try:
        assert [said(process) for process in started] == [expected] * 3
        [kept] = files(cache)
        assert sum(proportional(process, kept) for process in started) == pytest.approx(SIZE, rel=0.05)
    finally:
        for process in started:
            process.communicate("\n")


@pytest.mark.parametrize("split", ["train", "test"])
def test_cached_samples_equal_fresh_ones_bit_for_bit(file: Path, cache: DiskCache, split: str) -> None:
    expected = load_file(file, split)
    assert same(load_file(file, split, cache=cache), expected)
    assert same(load_file(file, split, cache=cache), expected)
    assert len(files(cache) if cache.folder.exists() else []) == (split == "train")  # seven images are not worth it


def test_a_cached_file_is_not_read_again(file: Path, cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_file(file, cache=cache)
    monkeypatch.setattr("landscape.data.files.read", lambda _: pytest.fail("the file was read"))
    found = load_file(file, cache=cache)
    assert same(found, expected)
    assert mappings(cache.folder)


def test_another_file_of_the_same_name_is_another_set(file: Path, cache: DiskCache, tmp_path: Path) -> None:
    own = Path(shutil.copy(file, tmp_path / "many.npz"))
    before = load_file(own, cache=cache)
    arrays = dict(np.load(file))
    np.savez(own, **{**arrays, "images": arrays["images"][::-1]})
    after = load_file(own, cache=cache)
    assert not same(before, after)
    assert same(after, load_file(own))


def test_a_clean_file_of_the_service_is_shared_by_its_digest(file: Path, cache: DiskCache, tmp_path: Path) -> None:
    with file.open("rb") as opened:
        read(opened).save(tmp_path / "clean")
    digest = hashlib.sha256((tmp_path / "clean").read_bytes()).hexdigest()
    expected = load_clean(tmp_path / "clean", "many", "train")
    for _ in range(2):
        assert same(load_clean(tmp_path / "clean", "many", "train", cache=cache, key=digest), expected)
    [kept] = files(cache)
    assert kept.name.startswith(digest)
    cache.remove(digest)
    assert files(cache) == []


def test_floating_samples_and_numbers_to_predict_are_shared_too(cache: DiskCache, tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    inputs = generator.standard_normal((5000, 1000), dtype=np.float32)
    np.savez(tmp_path / "values.npz", inputs=inputs, targets=inputs[:, :2])
    expected = load_file(tmp_path / "values.npz")
    assert same(load_file(tmp_path / "values.npz", cache=cache), expected)
    assert len(files(cache)) == 1


def test_the_synthetic_set_is_shared(cache: DiskCache) -> None:
    assert same(load("synthetic", "test", cache=cache), load("synthetic", "test"))
    [kept] = files(cache)
    assert same(load("synthetic", "test", cache=cache), load("synthetic", "test"))
    assert kept.name.startswith("synthetic-test-")


def test_a_large_subset_is_cached_too_and_removed_with_its_data_set(file: Path, cache: DiskCache) -> None:
    whole, expected = load_file(file, cache=cache), load_file(file)
    assert same(whole.subset(1900, 3), expected.subset(1900, 3))
    assert same(whole.subset(1900, 4), expected.subset(1900, 4))
    assert same(whole.subset(1900, 3).subset(1800, 3), expected.subset(1900, 3).subset(1800, 3))
    assert same(whole.subset(1800, 3), expected.subset(1800, 3))
    assert same(whole.subset(50), expected.subset(50))  # too small
    assert len(files(cache)) == 5
    [kept] = [path for path in files(cache) if "-1900-3-" in path.name and "-1800-" not in path.name]
    again = load_file(file, cache=cache).subset(1900, 3)
    assert same(again, expected.subset(1900, 3))
    assert any(str(kept) in line for line in mappings(cache.folder))
    cache.remove(hashlib.sha256(file.read_bytes()).hexdigest())
    assert files(cache) == []


def test_writing_to_samples_stays_in_the_process(file: Path, cache: DiskCache) -> None:
    found = load_file(file, cache=cache)
    expected = found.images.clone()
    found.images.zero_()
    assert torch.equal(load_file(file, cache=cache).images, expected)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def linked(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("harm", [flipped, cut_off, linked])
def test_a_file_that_does_not_match_its_digest_is_rewritten(file: Path, cache: DiskCache, harm: Any) -> None:
    expected = load_file(file)
    load_file(file, cache=cache)
    [kept] = files(cache)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    kept.chmod(0o600)
    harm(kept)
    assert same(load_file(file, cache=cache), expected)
    [again] = files(cache)
    assert again == kept
    assert not again.is_symlink()
    assert hashlib.sha256(again.read_bytes()).hexdigest() == digest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_another_user_is_not_used(file: Path, cache: DiskCache) -> None:
    load_file(file, cache=cache)
    [kept] = files(cache)
    os.chown(kept, 12345, -1)
    load_file(file, cache=cache)
    assert [path.stat().st_uid for path in files(cache)] == [0]


def test_cached_files_are_private_to_the_user(file: Path, cache: DiskCache) -> None:
    before = os.umask(0)
    try:
        load_file(file, cache=cache)
    finally:
        os.umask(before)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in cache.folder.iterdir()} == {0}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_a_folder_that_other_users_can_enter_is_not_used(file: Path, cache: DiskCache, mode: int) -> None:
    cache.folder.mkdir(parents=True)
    cache.folder.chmod(mode)
    assert same(load_file(file, cache=cache), load_file(file))
    assert list(cache.folder.iterdir()) == []


def test_without_a_folder_that_can_be_written_samples_are_in_memory(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with caplog.at_level(logging.INFO):
        for folder in (Path("/proc/landscape/samples"), tmp_path / "taken" / "samples", tmp_path / "taken"):
            assert same(load_file(file, cache=DiskCache(folder)), load_file(file))
    assert len([line for line in caplog.messages if "not shared between processes" in line]) == 3


def test_a_disk_that_fills_up_leaves_nothing_and_samples_in_memory(file: Path, cache: DiskCache) -> None:
    code = LOAD.replace(
        "import os, sys", "import os, sys, resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)"
    )
    command = [sys.executable, "-c", "from pathlib import Path" + code, str(file), str(cache.folder)]
    done = subprocess.run(command, input="\n", capture_output=True, text=True)
    assert done.stdout.strip() == load_file(file).digest, done.stderr
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]


def test_a_tenth_of_the_disk_stays_free(file: Path, cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("/"))
    for total, kept in ((10 * SIZE + (11 << 30), 0), (5 << 30, 1)):
        free = SIZE + (1 << 30) + (1 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, total=total, free=free: usage(total, total - free, free))
        load_file(file, cache=cache)
        assert len(files(cache)) == kept


def test_the_least_recently_used_file_is_evicted_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "s", 2500)
    for key in "abcd":
        path = cache.get_or_write(key, 1000, lambda path, key=key: path.write_bytes(key.encode() * 1000))  # type: ignore[misc]
        assert path is not None
        if key == "b":
            age(cache, "a", 50)
            age(cache, "b", 100)
            assert cache.find("a")  # used again
    assert [path.name[0] for path in files(cache)] == ["c", "d"]
    age(cache, "c", 50)
    age(cache, "d", 100)
    assert cache.find("d")
    cache.get_or_write("e", 1000, lambda path: path.write_bytes(b"e" * 1000))
    assert [path.name[0] for path in files(cache)] == ["d", "e"]
    assert cache.get_or_write("f", 2501, lambda path: path.write_bytes(b"f" * 2501)) is None
    assert [path.name[0] for path in files(cache)] == ["d", "e"]


def age(cache: DiskCache, key: str, seconds: float) -> None:
    [path] = cache.folder.glob(f"{key}.*")
    os.utime(path, (time.time() - seconds,) * 2)


def test_recently_used_files_may_be_spared(tmp_path: Path) -> None:
    for name in ("old", "young"):
        (tmp_path / name).write_bytes(bytes(1000))
    os.utime(tmp_path / "old", (time.time() - 200,) * 2)
    evict(tmp_path, 1000, 500, spared_seconds=120)
    assert [path.name for path in tmp_path.iterdir()] == ["young"]


def _hold(folder: Path, ready: Any) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        ready.set()
        time.sleep(600)

    DiskCache(folder).get_or_write("key", 8, write)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_writer_that_dies_or_hangs_does_not_block_others_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, cache = context.Event(), DiskCache(tmp_path / "s")
    writer = context.Process(target=_hold, args=(cache.folder, ready))
    writer.start()
    try:
        assert ready.wait(120)
        os.kill(writer.pid or 0, number)
        if number == signal.SIGKILL:
            writer.join()
        else:
            monkeypatch.setattr(disk_cache, "LOCK_TIMEOUT", 0.5)
        found = cache.get_or_write("key", 8, lambda path: path.write_bytes(b"complete"))
        assert (found is not None) == (number == signal.SIGKILL)
        if found is not None:
            assert found.read_bytes() == b"complete"
            assert files(cache) == [found]
    finally:
        writer.kill()
        writer.join()


def test_the_shells_cache_is_in_the_cache_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert own_cache() == DiskCache(tmp_path / "landscape" / "samples")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_cache() == DiskCache(tmp_path / ".cache" / "landscape" / "samples")


def test_the_processes_of_a_command_map_one_file(file: Path, tmp_path: Path) -> None:
    """In the shell: the command reads the file, its workers use the cached copy."""
    code = """
import json, os, sys
from pathlib import Path
from landscape.cli.request import samples
def mapped(_):
    found = samples(sys.argv[1], "train")
    return found.digest, any("landscape/samples" in line for line in open("/proc/self/maps"))
if __name__ == "__main__":
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    here = mapped(0)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        print(json.dumps([here, *pool.map(mapped, range(2))]))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    around = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, script, file], env=around, capture_output=True, text=True)
    assert json.loads(done.stdout) == [[load_file(file).digest, True]] * 3, done.stderr
