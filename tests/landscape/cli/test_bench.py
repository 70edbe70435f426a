"""`landscape bench` on real files, and the meaning of its figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from landscape.cli.main import main
from landscape.directions.random import random_directions
from landscape.engine import exact_float32
from landscape.engine.explain import explain
from landscape.engine.fused.onednn import EMULATED, emulated
from landscape.engine.timing import OURS, PLAIN, Contest, flop, interleaved
from landscape.models import CifarResNet, build
from landscape.objective.objective import Objective
from tests.support.paths import GALLERY

SKIP = str(GALLERY / "resnet20-w8-skip.safetensors")
HERE = [name for name in OURS if not emulated(name, torch.device("cpu"))]


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_bench_prints_a_line_for_every_precision_and_the_chosen_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", SKIP, "--subset", "20", "--seconds", "0") == 0
    printed = capsys.readouterr().out
    for who in (PLAIN, *HERE):
        assert any(line.split()[: len(who.split())] == who.split() for line in printed.splitlines())
    assert (f"No bfloat16: {EMULATED}" in printed) == ("bfloat16" not in HERE)
    assert "ResNet-20, width 8, with shortcuts, 20 samples of digits" in printed
    assert "Chosen for float32: " in printed
    assert '"engine": ' in printed


def test_bench_prints_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", SKIP, "--subset", "20", "--seconds", "0", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["who"] for row in said["rows"]] == [PLAIN, *HERE]
    assert set(said["refused"]) == set(OURS) - set(HERE)
    assert said["samples"] == 20
    assert said["choice"]["engine"] in ("lanes", "fused")


def test_bench_gives_no_error_where_the_loss_overflows_a_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with safe_open(SKIP, framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["linear.weight"] *= -1e38  # every prediction wrong, by far
    save_file(tensors, tmp_path / "large.safetensors", metadata)
    assert run("bench", str(tmp_path / "large.safetensors"), "--subset", "20", "--seconds", "0", "--json") == 0
    errors = {row["who"]: row["error"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert errors["float32"] is None
    assert errors["float64"] < 1e-12


def test_bench_takes_a_data_set_file_and_refuses_one_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    for name, shape in (("fits", (9, 8, 8, 1)), ("other", (9, 8, 8, 3))):
        images = generator.integers(0, 256, shape, dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=generator.integers(0, 10, 9))
    assert run("bench", SKIP, "--dataset", str(tmp_path / "fits.npz"), "--seconds", "0") == 0
    assert "9 samples of fits" in capsys.readouterr().out
    assert run("bench", SKIP, "--dataset", str(tmp_path / "other.npz"), "--seconds", "0") == 1
    assert capsys.readouterr().err.strip()


def test_bench_refuses_a_file_that_is_not_a_checkpoint_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", str(GALLERY / "records.json")) == 1
    said = capsys.readouterr().err
    assert said.strip()
    assert "Traceback" not in said


def some(model: nn.Module, precision: str = "float32") -> Objective:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(6, 3, 8, 8, generator=generator), torch.randint(0, 10, (6,), generator=generator)
    return Objective.of(model, images, labels, precision=precision)


def test_the_work_of_a_network_is_what_torch_counts() -> None:
    given = some(build(CifarResNet(20, 8, "projection")))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        given.model(given.images)
    assert flop(given) * len(given.images) == counter.get_total_flops()


def test_errors_are_relative_to_float64_and_speed_ratios_to_the_plain_loop() -> None:
    given = some(build(CifarResNet(20, 4, "projection")))
    contest = Contest.of(given, random_directions(given.parameters(), seed=0))
    constant = {PLAIN: 0.4, "float32": 0.1, "bfloat16": 0.05, "float64": 0.8}
    times, peaks = interleaved({name: lambda s=constant[name]: s for name in (PLAIN, *HERE)}, seconds=0, turns=2)
    rows = {row.who: row for row in contest.rows(times, peaks)}
    expected = {PLAIN: 1.0, "float32": 4.0, "bfloat16": 8.0, "float64": 0.5}
    assert {who: row.ratio for who, row in rows.items()} == pytest.approx({who: expected[who] for who in rows})
    assert list(rows) == [PLAIN, *HERE]
    errors = {who: row.error or 0.0 for who, row in rows.items()}
    assert errors["float64"] < 1e-12
    assert errors["float32"] < 1e-5
    if "bfloat16" in HERE:
        assert errors["float32"] < errors["bfloat16"] < 0.1


class OnValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(192, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        return self.last(x if bool(x.sum() > 0) else -x)


def test_a_network_that_cannot_be_traced_is_measured_with_the_plain_loop_and_the_reason_is_given() -> None:
    given = some(OnValues())
    along = random_directions(given.parameters(), seed=0)
    contest = Contest.of(given, along)
    assert contest.plans["float32"].name == "plain"
    assert any("depends on values" in remark for remark in contest.remarks)
    assert "depends on values" in explain(given, along, "plain")
    rows = contest.rows(*interleaved(contest.measures(), seconds=0, turns=2))
    assert all(row.peak is None and row.seconds > 0 for row in rows)


def test_float32_disables_tf32_on_a_gpu_and_restores_the_callers_setting() -> None:
    place = torch.backends.cudnn.conv
    before = place.fp32_precision
    try:
        place.fp32_precision = "tf32"
        with exact_float32():
            assert (place.fp32_precision, torch.backends.cuda.matmul.fp32_precision) == ("ieee", "ieee")
        assert place.fp32_precision == "tf32"
    finally:
        place.fp32_precision = before
