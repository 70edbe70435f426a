"""Thousands of damaged files: each ends in a clean verdict, quickly, and none brings its process down."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from landscape.models import CifarResNet, build

from .parts import legacy, saved
from .test_corpus import require_clean, serving

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


@pytest.mark.timeout(900)
def test_every_mutation_of_a_good_file_ends_in_a_clean_verdict(tmp_path: Path) -> None:
    paths = []
    for name, make in BASES.items():
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
    """How our reader ends on a mutation for each seed, the good files in turn."""
    servers = serving("forks.py")
    ask = next(servers)
    found = [ask(task="checkpoint", path=str(paths[seed % len(paths)]), seed=seed) for seed in seeds]
    servers.close()  # type: ignore[attr-defined]
    return found
