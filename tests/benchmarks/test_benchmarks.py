"""The parts of `make bench` run on small cases and print the expected rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import memory
from landscape.engine.fused.onednn import EMULATED, emulated
from tests.support.paths import ROOT


def printed(*arguments: str, given: str = "") -> str:
    """The output of a module of benchmarks/."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_has_a_row_for_every_precision_and_the_plain_loop() -> None:
    lines = printed("benchmarks", "table", "--short", "--no-peers", "--only", "MLP").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| MLP")]
    lacking = emulated("bfloat16", torch.device("cpu"))
    half = [] if lacking else ["**ours, bfloat16**"]
    assert [row[1].split(" (")[0] for row in rows] == ["**ours, float32**", *half, "plain loop"]
    assert (f"MLP, digits: no bfloat16: {EMULATED}" in lines) == lacking
    for row in rows:
        assert float(row[2]) > 0
        assert float(row[3]) > 0
        assert 0 < float(row[4].rstrip("%")) < 500
        assert 0 <= float(row[5]) < 0.1
    assert float(rows[0][3]) == 1.0


def test_a_process_of_the_scaling_benchmark_prints_points_per_second() -> None:
    told = [["float32", "ResNet-20", 16], 0.01, 0.01, ["plain", "MLP, digits", 16], 0.01, ["neighbor", "", 0], 0.01]
    given = "".join(f"{json.dumps(one)}\n" for one in told)
    answers = [float(answer) for answer in printed("benchmarks.scaling", "1", given=given).split()]
    assert len(answers) == 4
    assert min(answers) > 0


def test_memory_beyond_the_data_does_not_grow_with_the_number_of_images() -> None:
    found = [json.loads(printed("benchmarks.memory", "ResNet-8", str(samples))) for samples in (500, 6000)]
    data = [500 * 12288 / 1e6, 6000 * 12288 / 1e6]
    assert [one["data"] for one in found] == data
    few, many = (one["most"] - one["before"] - one["data"] for one in found)
    assert many - few < 20  # MB; the images alone are 68 MB more


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux reports shared memory")
def test_processes_that_share_a_data_set_use_one_copy_less(tmp_path: Path) -> None:
    memory._write(tmp_path / "images.npz", 6000)
    shared, said = memory.together(tmp_path / "images.npz", 2, "shared", tmp_path / "caches")
    alone, _ = memory.together(tmp_path / "images.npz", 2, "alone", tmp_path / "caches")
    assert len(said) == 2
    assert alone - shared > 0.6 * 6000 * 12288 / 1e6


def test_the_headline_job_runs_on_this_machine_and_prints_how_much_of_it_was_computed() -> None:
    precision = "float32" if emulated("bfloat16", torch.device("cpu")) else "bfloat16"
    said = printed("benchmarks.headline", "--precision", precision)
    assert ("No GPU here. Computed: 3 points over 500 images" in said) == ("took" not in said)
    rows = [line for line in said.splitlines() if line.startswith(("| arithmetic", "| traffic"))]
    assert len(rows) == 3
    assert all(float(row.split("|")[2]) > 0 for row in rows)
