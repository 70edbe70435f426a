"""The command line against a service: same options and output as for local files; jobs, tokens, exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import landscape as ls
from landscape.models import CifarResNet, build
from tests.support.paths import GALLERY

SKIP = GALLERY / "resnet20-w8-skip.safetensors"


@pytest.fixture
def shell(url: str, token: str, tmp_path: Path) -> Any:
    """Runs `landscape` with the server and the token in environment variables."""

    def run(*words: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "LANDSCAPE_SERVER": url, "LANDSCAPE_TOKEN": token, **variables}
        command = [sys.executable, "-m", "landscape.cli", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=250)

    return run


def test_a_surface_from_a_service_equals_the_one_computed_locally(shell: Any, tmp_path: Path) -> None:
    words = ["surface", SKIP, "--grid", "5x3", "--subset", "40", "--seed", "7", "--range=-0.5:1"]
    there = shell(*words, "-o", "there.npz")
    assert there.returncode == 0, there.stderr
    here = shell(*words, "-o", "here.npz", LANDSCAPE_SERVER="")
    assert here.returncode == 0, here.stderr
    one, other = ls.Result.load(tmp_path / "there.npz"), ls.Result.load(tmp_path / "here.npz")
    assert np.array_equal(one.losses, other.losses)
    assert np.array_equal(one.betas, other.betas)
    assert one.losses.shape == (5, 3)
    assert "written to there.npz" in there.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["plane", *"012", "--grid", "3x2", "--range=0:3", "--weight-decay", "0.1", "--also", "test"],
        ["slice", "0", "--grid", "3", "--repeats", "3", "--drawn", "authors", "--label-smoothing", "0.1"],
        ["surface", "0", "--grid", "3x2", "--directions", "gradient", "--compare-batch-norm", "batch"],
    ],
)
def test_every_option_gives_the_same_numbers_at_a_service(shell: Any, tmp_path: Path, words: list[str]) -> None:
    for seed in range(3):
        state = build(CifarResNet(8, 2, "projection", 10, 1), seed).state_dict()
        kept = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        save_file(kept, tmp_path / f"{seed}.safetensors", {"format": "pt"})
    words = [f"{word}.safetensors" if word in ("0", "1", "2") else word for word in words]
    there = shell(*words, "--subset", "40:7", "-o", "there.npz")
    assert there.returncode == 0, there.stderr
    here = shell(*words, "--subset", "40:7", "-o", "here.npz", LANDSCAPE_SERVER="")
    assert here.returncode == 0, here.stderr
    one, other = ls.Result.load(tmp_path / "there.npz"), ls.Result.load(tmp_path / "here.npz")
    assert one.columns == other.columns
    for name in one.columns:
        assert np.array_equal(one.array(name), other.array(name)), name
    asked = [result.provenance["request"] for result in (one, other)]
    for name in ("kind", "grid", "options", "dataset", "split", "subset"):
        assert asked[0][name] == asked[1][name]


@pytest.mark.parametrize(
    "words",
    [
        ["slice", SKIP, "--grid", "3"],
        ["interpolation", SKIP, "OTHER", "--grid", "3", "--split", "test"],
        ["curvature", SKIP, "--grid", "2x2"],
    ],
)
def test_every_kind_is_computed_by_a_service_with_the_same_options(
    shell: Any, tmp_path: Path, words: list[Any]
) -> None:
    save_file({k: v * 1.01 if k.endswith("weight") else v for k, v in load_file(SKIP).items()}, tmp_path / "OTHER")
    (tmp_path / "OTHER").rename(tmp_path / "other.safetensors")
    words = ["other.safetensors" if word == "OTHER" else word for word in words]
    done = shell(*words, "--subset", "20", "-o", "out.json")
    assert done.returncode == 0, done.stderr
    assert ls.Result.load(tmp_path / "out.json").kind == words[0]


def test_a_data_set_file_is_uploaded_once(shell: Any, client: ls.Client, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    np.savez(tmp_path / "own.npz", images=random.random((30, 1, 8, 8), np.float32), labels=random.integers(0, 10, 30))
    for name in ("first.npz", "second.npz"):
        done = shell("slice", SKIP, "--dataset", "own.npz", "--grid", "3", "-o", name)
        assert done.returncode == 0, done.stderr
    assert len([one for one in client.datasets() if one.name.startswith("own-")]) == 1


def test_upload_list_fetch_cancel_delete(shell: Any, client: ls.Client, tmp_path: Path) -> None:
    uploaded = json.loads(shell("upload", SKIP, "--name", "by shell", "--json").stdout)
    assert uploaded["state"] == "ready"
    told = shell("upload", SKIP, "--name", "by shell")
    assert re.fullmatch(r"[0-9a-f]{32}  by shell  ResNet-20, width 8, with shortcuts\n", told.stdout)
    job = client.slice(uploaded["id"], grid=ls.Grid.line(3), subset=20)
    assert shell("fetch", job.id, "-o", "slice.csv").returncode == 0
    assert (tmp_path / "slice.csv").read_text().startswith("alpha,beta,loss")
    assert json.loads(shell("jobs", "--state", "done", "--json").stdout)[0]["id"] == job.id
    assert job.id in shell("jobs").stdout
    assert shell("refine", job.id, "--factor", "2", "--range=-1:2", "-o", "finer.npz").returncode == 0
    assert ls.Result.load(tmp_path / "finer.npz").provenance["reused"]["points"] == 3
    big = client.surface(uploaded["id"], grid=ls.Grid.square(101))
    assert "cancelled" in shell("cancel", big.id).stdout
    assert shell("delete", big.id).returncode == 0
    gone = shell("fetch", big.id, "-o", "gone.npz")
    assert gone.returncode == 1
    assert gone.stderr.strip() == "There is no job with this id."


def test_a_refusal_of_the_service_is_one_sentence_and_exit_code_1(shell: Any) -> None:
    wrong = shell("jobs", LANDSCAPE_TOKEN="ll_wrong")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.count("\n") == 1
    missing = shell("jobs", LANDSCAPE_SERVER="")
    assert "Name the service" in missing.stderr
    assert missing.returncode == 1
    away = shell("surface", SKIP, "--dataset", "nowhere", "--grid", "3x3", "-o", "x.npz")
    assert away.returncode == 1
    assert "Unknown data set" in away.stderr


def test_a_token_is_taken_from_a_file_or_from_login(shell: Any, token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{token}\n")
    none = {"LANDSCAPE_TOKEN": ""}
    assert shell("jobs", **none).returncode == 1
    assert shell("jobs", "--token-file", "token", **none).returncode == 0
    (tmp_path / "wrong").write_text("ll_wrong")
    assert shell("login", "--token-file", "wrong", **none).returncode == 1
    assert shell("jobs", **none).returncode == 1
    assert shell("login", "--token-file", "token", **none).returncode == 0
    kept = Path(os.environ["XDG_CONFIG_HOME"]) / "landscape/tokens.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert shell("jobs", **none).returncode == 0
    assert shell("login", "--forget", **none).returncode == 0
    assert shell("jobs", **none).returncode == 1


def test_a_result_of_the_service_is_reproduced_on_this_machine_and_by_the_service(shell: Any, tmp_path: Path) -> None:
    words = ["surface", SKIP, "--grid", "3x2", "--subset", "40", "--seed", "7", "--also", "test"]
    there = shell(*words, "-o", "there.npz")
    assert there.returncode == 0, there.stderr
    here = shell(*words, "-o", "here.npz", LANDSCAPE_SERVER="")
    assert here.returncode == 0, here.stderr
    local = shell("reproduce", "there.npz", SKIP, "--json", LANDSCAPE_SERVER="")
    again = shell("reproduce", "here.npz", "--json")
    for done in (local, again):
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["bitwise"] is True
    unnamed = shell("reproduce", "there.npz", LANDSCAPE_SERVER="")
    assert unnamed.returncode == 1
    assert "Give them after the result, in this order: checkpoint." in unnamed.stderr
