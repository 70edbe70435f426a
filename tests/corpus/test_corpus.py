"""No bad file does harm and every good file is read: a corpus made here, each file through the real sandbox."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from landscape.checkpoints.sandbox import read_in_sandbox
from landscape.models import CifarResNet, build
from tests.corpus.bad import bad_files, live_files
from tests.corpus.bad_data import AGREEING_ZIPS, BAD_DATA
from tests.corpus.good import GOOD_FILES, ROUNDED
from tests.corpus.large import LARGE, write
from tests.corpus.parts import GOOD, legacy, one_tensor, table, tensor, torch_zip
from tests.support.landscapes import landscape_of

Server = Callable[..., dict[str, Any]]
BAD = {name: (content, said) for name, content, said in bad_files()}


def serving(script: str) -> Iterator[Server]:
    """Run a script of this folder that answers requests line by line, each in its own fork."""
    command = [sys.executable, str(Path(__file__).with_name(script))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout

    def ask_for(**request: Any) -> dict[str, Any]:
        print(json.dumps(request), file=process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        return answer

    with process:  # waits at the end
        try:
            yield ask_for
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def careless() -> Iterator[Server]:
    """Loaders without a sandbox, in forks with resource limits."""
    yield from serving("unsafe.py")


@pytest.fixture(scope="module")
def reader() -> Iterator[Server]:
    """Our reader, in forks of one process."""
    yield from serving("forks.py")


def require_clean(sentence: str, folder: Path) -> None:
    """A verdict is a sentence: short, on one line, without path, traceback, escape codes or bad advice."""
    assert 10 < len(sentence) <= 500
    assert sentence.isprintable()
    assert sentence.endswith((".", ")"))
    for word in ("Traceback", "weights_only", str(folder), "/work", "/tmp", "0x", "site-packages"):
        assert word not in sentence


def require_refused(ended: dict[str, Any], said: str, folder: Path) -> None:
    """The reader goes on, and its verdict has these words."""
    assert ended["code"] == 0, ended
    assert said in ended["answer"]["rejected"]
    require_clean(ended["answer"]["rejected"], folder)


def test_the_corpus_is_as_large_as_promised(tmp_path: Path) -> None:
    assert len(BAD) + len(dict(live_files(str(tmp_path / "mark")))) >= 100
    assert len(GOOD_FILES) >= 20


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_a_sentence(name: str, reader: Server, tmp_path: Path) -> None:
    content, said = BAD[name]
    (tmp_path / "bad.pt").write_bytes(content)
    ended = reader(task="checkpoint", path=str(tmp_path / "bad.pt"))
    require_refused(ended, said, tmp_path)
    assert ended["seconds"] < 5


@pytest.mark.parametrize("name", BAD_DATA)
def test_a_bad_data_set_is_refused_with_a_sentence(name: str, reader: Server, tmp_path: Path) -> None:
    content, said = BAD_DATA[name]
    (tmp_path / "bad.npz").write_bytes(content)
    ended = reader(task="dataset", path=str(tmp_path / "bad.npz"))
    require_refused(ended, said, tmp_path)


def test_zip_archives_with_two_end_records_that_agree_are_read(reader: Server, tmp_path: Path) -> None:
    for content in AGREEING_ZIPS:
        (tmp_path / "good.npz").write_bytes(content)
        assert reader(task="dataset", path=str(tmp_path / "good.npz"))["answer"]["splits"] == {"train": 4}


@pytest.mark.parametrize("name", LARGE)
def test_no_small_file_becomes_large_in_the_memory_of_its_reader(name: str, reader: Server, tmp_path: Path) -> None:
    task, said, _ = LARGE[name]
    write(name, tmp_path / "large")
    ended = reader(task=task, path=str(tmp_path / "large"), most=1 << 30, cpu=120)
    require_refused(ended, said, tmp_path)
    assert ended["peak"] < 2 << 30


def test_live_payloads_run_in_an_unsafe_loader_and_not_in_ours(
    careless: Server, reader: Server, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    for name, content in live_files(str(mark)):
        path = tmp_path / "live.pt"
        path.write_bytes(content)
        careless(path=str(path), loader="torch")
        assert mark.exists(), f"{name} is not live"
        mark.rmdir() if mark.is_dir() else mark.unlink()
        ended = reader(task="checkpoint", path=str(path))
        assert not mark.exists(), name
        assert "can run code" in ended["answer"]["rejected"], name
        require_clean(ended["answer"]["rejected"], tmp_path)


DEEP_KEY = BAD["a deep tuple as a key"][0]
TORCH_TAKES = {
    "a deep tuple as a key kills the process": (DEEP_KEY, r"signal"),
    "flipped bits pass": (BAD["flipped bit in the numbers"][0], r"loaded \d+ bytes"),
    "four terabytes are claimed": (torch_zip(table(w=tensor((1 << 20, 1 << 20), (0, 0))), bytes(16)), "4398046511104"),
    "a legacy file shows what was in memory": (BAD["legacy: no storages listed"][0], r"loaded 16 bytes"),
}


@pytest.mark.parametrize("name", TORCH_TAKES)
def test_torch_accepts_unsafe_files_even_with_weights_only(name: str, careless: Server, tmp_path: Path) -> None:
    content, expected = TORCH_TAKES[name]
    (tmp_path / "bad.pt").write_bytes(content)
    ended = careless(path=str(tmp_path / "bad.pt"), loader="torch, weights only")
    assert re.search(expected, "signal" if ended["code"] < 0 else ended["said"]), ended


def test_the_sandbox_answers_as_its_forks_do(tmp_path: Path) -> None:
    for name in ("flipped bit in the numbers", "a deep tuple as a key", "opcode INST", "safetensors: deep JSON"):
        (tmp_path / "bad.pt").write_bytes(BAD[name][0])
        started = time.perf_counter()
        answer = read_in_sandbox("checkpoint", tmp_path / "bad.pt", tmp_path / "clean")
        assert BAD[name][1] in answer["rejected"]
        assert time.perf_counter() - started < 5
    assert not (tmp_path / "clean").exists()


@pytest.mark.parametrize("name", GOOD_FILES)
def test_a_good_file_is_read_with_every_number_its_own(name: str, tmp_path: Path) -> None:
    (tmp_path / "good.pt").write_bytes(GOOD_FILES[name]())
    answer = read_in_sandbox("checkpoint", tmp_path / "good.pt", tmp_path / "clean")
    assert [candidate["label"] for candidate in answer["candidates"]] == ["ResNet-20, width 8, with shortcuts"]
    clean = load_file(tmp_path / "clean")
    assert clean.keys() == GOOD.keys()
    for key, value in GOOD.items():
        assert clean[key].dtype == torch.float32
        torch.testing.assert_close(clean[key], value, rtol=ROUNDED.get(name, 0), atol=ROUNDED.get(name, 0) * 1e-3)


def test_the_landscape_of_a_wrapped_file_is_that_of_the_plain_one(tmp_path: Path) -> None:
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels, results = torch.arange(20) % 10, []
    for name in ("bare", "Lightning", "legacy, nested, with views", "channels last"):
        path, clean = tmp_path / "good.pt", tmp_path / f"clean {name}"
        path.write_bytes(GOOD_FILES[name]())
        read_in_sandbox("checkpoint", path, clean)
        model = build(CifarResNet(20, 8, "projection", 10, 1))
        model.load_state_dict(load_file(clean), strict=False)
        landscape = landscape_of(model, images, labels, choice={"engine": "plain"})
        results.append(landscape.values([(-1.0, 0.5), (0.0, 0.0), (0.5, 1.0)]))
    assert results[1:] == results[:1] * 3


def test_legacy_files_and_zips_of_one_tensor_are_what_the_corpus_damages() -> None:
    assert legacy({"weight": torch.ones(2, 2)}).startswith(b"\x80\x02\x8a\n")
    assert b"FloatStorage" in one_tensor(tensor())
