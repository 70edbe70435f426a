"""The process that reads a stranger's file: its walls and limits, and what its end says about the file."""

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from landscape.checkpoints.sandbox import (
    CRASHED,
    TOO_LARGE,
    KilledError,
    Limits,
    StoppedError,
    read_in_sandbox,
    run_task,
)
from landscape.gallery import FOLDER
from landscape.packing.pack import pack
from landscape.sandbox import available

NETWORK = FOLDER / "resnet56-w8-skip.safetensors"
Stop = Callable[[], bool]


def reader() -> psutil.Process:
    [found] = [one for one in psutil.Process().children() if "landscape.checkpoints.sandbox" in one.cmdline()]
    return found


def sent(number: int) -> Stop:
    """Signals the reader at the first question, and lets it go on."""
    asked: list[int] = []

    def stop() -> bool:
        if not asked:
            reader().send_signal(number)
        asked.append(number)
        return False

    return stop


@pytest.fixture(scope="module")
def costly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed network: reading it takes torch, and computing besides."""
    model = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)), nn.Flatten(), nn.LazyLinear(4))
    example = torch.zeros(2, 16, 48, 48)
    model(example)
    return pack(model, example, tmp_path_factory.mktemp("costly") / "costly.safetensors")


def test_the_process_has_every_wall_of_this_kernel_and_its_limits(costly: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("walls beyond limits are Linux's")
    seen: list[tuple[dict[str, str], str]] = []

    def stop() -> bool:
        folder = Path(f"/proc/{reader().pid}")
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        seen.append((status, (folder / "limits").read_text()))
        return "seccomp" in available() and status["Seccomp"] == "2"

    with pytest.raises(StoppedError):
        read_in_sandbox("checkpoint", costly, tmp_path / "clean", Limits(seconds=7, output=12_345_678), stop=stop)
    status, limits = seen[-1]
    assert (status["NoNewPrivs"], set(status["CapBnd"] if os.geteuid() == 0 else "0")) == ("1", {"0"})
    assert all(set(status[kind]) == {"0"} for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    assert ("user" in available()) == (int(status["Uid"].split()[0]) != os.geteuid())
    size = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max file size")]
    assert size == [["12345678", "12345678"]]
    assert "Max cpu time              7 " in limits
    assert f"{Limits().memory_for(costly.stat().st_size)}" in limits


def test_a_small_file_gets_little_memory() -> None:
    assert Limits().memory_for(2000) == (2 << 30) + 4000
    assert Limits().memory_for(16 << 30) == 6 << 30


def test_computing_decides_not_the_clock(costly: Path, tmp_path: Path) -> None:
    answer = read_in_sandbox("checkpoint", costly, tmp_path / "clean", Limits(seconds=1))
    assert "more than 1 s of computing" in answer["rejected"]
    stopped, limits = sent(signal.SIGSTOP), Limits(seconds=1, wall=0.5)
    with pytest.raises(KilledError, match="too slow just now"):
        read_in_sandbox("checkpoint", NETWORK, tmp_path / "clean", limits, stop=stopped)
    assert not (tmp_path / "clean").exists()


def test_a_stopped_reading_ends_its_process(costly: Path, tmp_path: Path) -> None:
    processes: list[psutil.Process] = []

    def stop() -> bool:
        processes.append(reader())
        return len(processes) == 2

    with pytest.raises(StoppedError):
        read_in_sandbox("checkpoint", costly, tmp_path / "clean", stop=stop)
    assert not processes[-1].is_running()
    assert not (tmp_path / "clean").exists()


def test_a_crash_is_a_sentence_and_a_kill_is_not(tmp_path: Path) -> None:
    crashed = read_in_sandbox("checkpoint", NETWORK, tmp_path / "clean", stop=sent(signal.SIGSEGV))
    assert crashed == {"rejected": CRASHED}
    with pytest.raises(KilledError, match="was killed"):
        read_in_sandbox("checkpoint", NETWORK, tmp_path / "clean", stop=sent(signal.SIGKILL))
    assert not (tmp_path / "clean").exists()
    assert "rejected" not in read_in_sandbox("checkpoint", NETWORK, tmp_path / "clean")


def test_what_is_too_long_to_be_kept_is_refused_before_it_is_written(tmp_path: Path) -> None:
    answer = read_in_sandbox("checkpoint", NETWORK, tmp_path / "clean", Limits(output=100_000))
    assert answer["too_long"] > 100_000
    assert "at most 100000 are possible" in answer["rejected"]
    assert not (tmp_path / "clean").exists()


def test_a_full_disk_says_nothing_about_the_file() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with NETWORK.open("rb") as file:
        answer = run_task("checkpoint", file.fileno(), os.open("/dev/full", os.O_WRONLY))
    assert answer == {"errno": errno.ENOSPC}


def test_too_little_memory_is_a_sentence_too(tmp_path: Path) -> None:
    names = {str(number): "" for number in range(1_000_000)}
    header = json.dumps({"__metadata__": names, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "long.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    tight = read_in_sandbox("checkpoint", tmp_path / "long.safetensors", tmp_path / "clean", Limits(memory=80 << 20))
    assert tight == {"rejected": TOO_LARGE}
    roomy = read_in_sandbox("checkpoint", tmp_path / "long.safetensors", tmp_path / "clean")
    assert "No known network" in roomy["rejected"]
