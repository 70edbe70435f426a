"""Thousands of damaged files: each quickly gets a clean verdict, and none crashes its process."""

import io
import os
import pickle
import tarfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save

from landscape.models import CifarResNet, build
from tests.corpus.parts import legacy, saved
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


DATA = {
    "data.npz": lambda: arrays(np.savez),
    "packed.npz": lambda: arrays(np.savez_compressed),
    "data.h5": lambda: arrays(hdf5),
    "data.tar.gz": archive,
    "data.safetensors": lambda: save({"images": torch.zeros(4, 1, 2, 2), "labels": torch.arange(4)}),
}


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
    assert [one for one in ended if one["code"] != 0] == []
    assert max(one["seconds"] for one in ended) < 2
    said = Counter(one["answer"].get("rejected", "accepted") for one in ended)
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
        found.append(ask(task="dataset" if path.name in DATA else "checkpoint", path=str(path), seed=seed))
    servers.close()  # type: ignore[attr-defined]
    return found
