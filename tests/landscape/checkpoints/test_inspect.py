"""`landscape inspect`: the service's verdict in the shell."""

import subprocess
import sys
from pathlib import Path

import torch

from landscape.models import build
from landscape.models.mlp_lenet import MLP
from tests.support.paths import GALLERY


def inspected(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "landscape.cli", "inspect", str(path)]
    return subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "120"}, timeout=60)


def test_a_shipped_checkpoint_is_named_with_its_facts_and_every_parameter() -> None:
    shown = inspected(GALLERY / "resnet20-w8-skip.safetensors").stdout
    assert shown.startswith("ResNet-20, width 8, with shortcuts: 68642 parameters\nepoch: ") or "epoch: 80" in shown
    [row] = [line for line in shown.splitlines() if "layer2.0.shortcut.0.weight" in line]
    assert row.split() == ["layer2.0.shortcut.0.weight", "F32", "16", "×", "8", "×", "1", "×", "1", "128"]


def test_where_several_networks_fit_they_are_numbered(tmp_path: Path) -> None:
    torch.save(build(MLP((("[red]a", True), ("b", True)), (4, 3, 2))).state_dict(), tmp_path / "mlp.pt")
    shown = inspected(tmp_path / "mlp.pt").stdout
    assert "0: MLP 4-3-2, ReLU: 23 parameters" in shown
    assert "1: MLP 4-3-2, tanh: 23 parameters" in shown
    assert "[red]a.weight" in shown


def test_a_file_that_is_refused_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"hello" * 9)
    ended = inspected(tmp_path / "bad.pt")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("This is not a checkpoint")
    assert len(ended.stderr.splitlines()) == 1
