"""Thousands of damaged files: each quickly gets a clean verdict, and none crashes its process."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save

from landscape.models import CifarResNet, build
from tests.corpus.parts import legacy, saved, zipped
from tests.corpus.test_corpus import require_clean, serving

COUNT = int(os.environ.get("LANDSCAPE_MUTATIONS", "10000"))
PROCESSES = 2


def small() -> dict[str, torch.Tensor]:
    return build(CifarResNet(8, 1)).state_dict()


BASES = {
    "zip": lambda: saved(small()),
    "nested zip": lambda: saved({"state_dict": {f"module.{k}": v for k, v in small().items()}, "acc": 93.5}),
    "half": lambda: saved({k: v.half() if v.is_floating_point() else v for k, v in small().items()}),
    "legacy": lambda: legacy(small()),
    "nested legacy": lambda: legacy({"model": small(), "epoch": 3}),
    "safetensors": lambda: save(small(), {"epoch": "3"}),
    "safetensors of bfloat16": lambda: save({k: v.bfloat16() for k, v in small().items()}),
}


def arrays(write: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    write(file, images=np.arange(6 * 48).reshape(6, 3, 4, 4).astype(np.uint8), labels=np.arange(6) % 3)
    return file.getvalue()


def hdf5(file: io.BytesIO, **given: Any) -> None:
    with h5py.File(file, "w") as opened:
        for name, array in given.items():
            opened[name] = array


def archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        content = pickle.dumps({"labels": [1, 2], "data": np.zeros((2, 3072), np.uint8)}, protocol=2)
        info = tarfile.TarInfo("data_batch_1")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def mnist(write: Callable[[dict[str, bytes]], bytes]) -> bytes:
    """The four files of MNIST, one of them packed."""
    files = {}
    for split in ("train", "t10k"):
        files[f"{split}-images-idx3-ubyte"] = bytes((0, 0, 8, 3)) + np.array([2, 28, 28], ">u4").tobytes() + bytes(1568)
        files[f"{split}-labels-idx1-ubyte"] = bytes((0, 0, 8, 1)) + np.array([2], ">u4").tobytes() + b"\1\2"
    name = "t10k-images-idx3-ubyte"
    return write({**files, f"{name}.gz": gzip.compress(files.pop(name))})


def tar(files: dict[str, bytes]) -> bytes:
    """A tar archive with a pax header before every member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{'long/' * 30}{name}")
            info.size, info.mtime = len(content), 1.5  # type: ignore[assignment]
            opened.addfile(info, io.BytesIO(content))
    return file.getvalue()


def normalized(file: io.BytesIO, **given: Any) -> None:
    np.savez(file, **given, mean=np.full(3, 0.5), std=np.full(3, 0.25))


HDF5 = "data.h5"
DATA = {
    "data.npz": lambda: arrays(np.savez),
    "packed.npz": lambda: arrays(np.savez_compressed),
    HDF5: lambda: arrays(hdf5),
    "normalized.npz": lambda: arrays(normalized),
    "data.tar.gz": archive,
    "mnist.tar": lambda: mnist(tar),
    "mnist.zip": lambda: mnist(partial(zipped, method=zipfile.ZIP_DEFLATED)),
    "data.safetensors": lambda: save({"images": torch.zeros(4, 1, 2, 2), "labels": torch.arange(4)}),
}


def test_what_is_mutated_is_good(tmp_path: Path) -> None:
    servers = serving("forks.py")
    ask = next(servers)
    for name, make in {**BASES, **DATA}.items():
        (tmp_path / name).write_bytes(make())
        answer = ask(task="dataset" if name in DATA else "checkpoint", path=str(tmp_path / name))["answer"]
        assert "rejected" not in answer, (name, answer)
    servers.close()  # type: ignore[attr-defined]


@pytest.mark.timeout(900 + COUNT // 10)
def test_every_mutation_of_a_good_file_ends_in_a_clean_verdict(tmp_path: Path) -> None:
    paths = []
    for name, make in {**BASES, **DATA}.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make())
    with ThreadPoolExecutor(PROCESSES) as pool:
        parts = list(pool.map(lambda part: verdicts(paths, range(part, COUNT, PROCESSES)), range(PROCESSES)))
    ended = [verdict for part in parts for verdict in part]
    assert len(ended) == COUNT
    crashed = [one for one in ended if one["code"] != 0]
    assert [one for one in crashed if one["name"] != HDF5] == []
    assert len(crashed) <= COUNT // 10_000  # of a C library; the sandbox makes a verdict of that
    assert max(one["seconds"] for one in ended) < 2
    said = Counter(one["answer"].get("rejected", "accepted") for one in ended)
    print(f"{COUNT} files, {said['accepted']} accepted, {len(crashed)} crashes: {crashed}", len(said), "verdicts")
    for sentence in said:
        if sentence != "accepted":
            require_clean(sentence, tmp_path)
    assert len(said) > 50 or COUNT < 2000
    assert 0.5 * COUNT < COUNT - said["accepted"] < 0.99 * COUNT


def verdicts(paths: list[Path], seeds: range) -> list[dict[str, Any]]:
    """The outcome of our reader on one mutation for each seed, the good files in turn."""
    servers = serving("forks.py")
    ask = next(servers)
    found = []
    for seed in seeds:
        path = paths[seed % len(paths)]
        task = "dataset" if path.name in DATA else "checkpoint"
        found.append({"name": path.name, "seed": seed, "answer": {}, **ask(task=task, path=str(path), seed=seed)})
    servers.close()  # type: ignore[attr-defined]
    return found
