"""Commands that compute: interruption and resumption, the process pool, JSON output, export, progress bars."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.cli import pool
from landscape.cli.request import Request, prepared
from landscape.evaluation.progress import reporting
from landscape.evaluation.run import compute, in_this_process
from landscape.formats import FORMATS
from landscape.grid import Axis, Grid
from landscape.kinds import KINDS
from landscape.models import CifarResNet, build
from landscape.options import Subset
from landscape.result import Result
from landscape.training.train import save_checkpoint
from tests.landscape.cli.test_compute import FEW, SKIP, run
from tests.support.paths import GALLERY

COMMAND = [sys.executable, "-m", "landscape.cli"]


def slice_of(output: Path, *more: str) -> list[str]:
    return ["slice", SKIP, *FEW, "--grid", "33", "-o", str(output), *more]


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """The output of a slice that was interrupted after 17 of its 33 points."""
    request = Request("slice", (SKIP,), "digits", subset=Subset(40), grid=Grid(Axis(-1, 1, 33)), options={"seed": 0})

    def stop(done: int, total: int) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    from landscape.evaluation.resume import PartialFile

    output = tmp_path / "slice.npz"
    result = compute(prepared(request), progress=stop, evaluate=in_this_process)
    assert 16 <= result.computed.sum() < 33
    PartialFile(output).write(result)
    return output


def test_ctrl_c_keeps_a_partial_file_and_the_same_command_resumes_from_it(tmp_path: Path) -> None:
    output = tmp_path / "surface.npz"
    command = [*COMMAND, "surface", SKIP, "--grid", "71x71", "-o", str(output), "--json"]
    environment = {**os.environ, "LANDSCAPE_SERVER": ""}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    partial = tmp_path / "surface.npz.partial"
    end = time.monotonic() + 200
    while not partial.exists():  # it is written every few seconds
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    answer = json.loads(out)
    assert answer["interrupted"] is True
    assert 0 < answer["computed"] < 71 * 71
    assert f"Interrupted: {answer['computed']} of 5041 points" in err
    assert "Traceback" not in err
    assert not output.exists()
    assert int(_partial(partial).computed.sum()) == answer["computed"]


def _partial(path: Path) -> Result:
    from landscape.formats import npz

    return npz.read(path.read_bytes(), path.name)


def test_what_was_computed_before_is_not_computed_again(interrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    partial = interrupted.with_name("slice.npz.partial")
    kept = _partial(partial)
    losses = kept.losses.copy()
    where = tuple(np.argwhere(kept.computed & (np.abs(kept.alphas)[:, None] > 0.5))[0])
    losses[where] = 123.0  # no computation gives this
    partial.write_bytes(Result(**{**vars(kept), "losses": losses}).to_bytes("npz"))
    assert run(*slice_of(interrupted)) == 0
    result = Result.load(interrupted)
    assert result.computed.all()
    assert result.losses[where] == 123.0
    assert "interrupted" not in result.provenance
    assert not partial.exists()
    again = interrupted.with_name("again.npz")
    assert run(*slice_of(again)) == 0
    whole = Result.load(again)
    others = np.ones(33, bool)
    others[where[0]] = False
    assert result.losses[others].tolist() == whole.losses[others].tolist()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seed", "1"], "the seed: 0 then, 1 now"),
        (["--grid", "17"], "the grid: 33 points on [-1, 1] then, 17 points on [-1, 1] now"),
        (["--loss", "mse"], "the loss"),
        (["--subset", "41"], "the samples"),
        (["--normalization", "layer"], "the normalization: filter then, layer now"),
    ],
)
def test_a_partial_file_is_not_resumed_with_other_settings(
    interrupted: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = interrupted.with_name("slice.npz.partial").read_bytes()
    assert run(*slice_of(interrupted, *more)) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "To resume, use the same settings; else choose another output, or delete" in said
    assert interrupted.with_name("slice.npz.partial").read_bytes() == before
    assert not interrupted.exists()


def test_a_damaged_partial_file_is_reported(interrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted.with_name("slice.npz.partial").write_bytes(b"half a file")
    assert run(*slice_of(interrupted)) == 1
    assert "slice.npz.partial cannot be read" in capsys.readouterr().err


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that the engine does not compute in lanes."""
    path = tmp_path_factory.mktemp("wide") / "wide.safetensors"
    state = build(CifarResNet(8, 16, "projection", 10, 3), 0).state_dict()
    save_checkpoint(
        path, {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}, {"format": "pt"}
    )
    return str(path)


@pytest.mark.parametrize("options", [{"seed": 2}, {"directions": "gradient"}], ids=["random", "gradient"])
def test_a_process_pool_gives_the_same_bits_as_one_process(
    wide: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STARTUP_SECONDS", -1.0)  # at once
    grid = Grid(Axis(-1, 1, 4), Axis(-1, 1, 3))
    request = Request("surface", (wide,), "synthetic", subset=Subset(9), grid=grid, options=options)
    torch.set_num_threads(1)
    alone = compute(prepared(request), progress=False)
    assert alone.provenance["engine"]["engine"] != "lanes"
    torch.set_num_threads(2)
    shared = compute(prepared(request), progress=False, evaluate=pool.ProcessPool(request, ["cpu", "cpu"]))
    assert shared.computed.all()
    assert shared.losses.tobytes() == alone.losses.tobytes()


def test_a_worker_process_that_dies_is_one_sentence_and_what_was_computed_is_kept(
    wide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "STARTUP_SECONDS", -1.0)
    monkeypatch.setattr(pool, "_evaluate", os._exit)  # the function that a worker calls
    monkeypatch.setattr(pool, "coordinates", lambda grid, points: 1)  # its argument: the exit code
    output = tmp_path / "s.npz"
    few = ["--dataset", "synthetic", "--subset", "9", "--grid", "4x3", "--workers", "2"]
    assert run("surface", wide, *few, "-o", str(output)) == 1
    assert "A worker process ended" in capsys.readouterr().err
    assert int(_partial(tmp_path / "s.npz.partial").computed.sum()) == 1


def test_json_output_describes_the_result_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "s.npz"
    assert run("slice", SKIP, *FEW, "--grid", "5", "-o", str(output), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kind"], answer["shape"], answer["computed"]) == ("slice", [5, 1], 5)
    assert answer["self_check"]["passed"] is True
    assert answer["output"] == str(output)
    assert run("slice", SKIP, "-o", str(tmp_path / "x.pdf"), "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == "unknown_name"
    assert "Unknown format" in said.err
    assert run("inspect", SKIP, "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"][0]["label"] == "ResNet-20, width 8, with shortcuts"


def test_a_result_is_exported_to_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "s.npz"
    assert run("surface", SKIP, *FEW, "--grid", "3x4", "-o", str(output)) == 0
    result = Result.load(output)
    for ending in FORMATS:
        assert run("export", str(output), "-o", str(tmp_path / f"again.{ending}")) == 0
        assert (tmp_path / f"again.{ending}").stat().st_size > 100
    assert Result.load(tmp_path / "again.json").to_json() == result.to_json()
    assert run("export", str(tmp_path / "again.h5"), "-o", str(tmp_path / "from.svg"), "--array", "accuracies") == 0
    capsys.readouterr()
    assert run("export", str(tmp_path / "again.stl"), "-o", str(tmp_path / "x.npz")) == 1
    assert "Unknown format to read" in capsys.readouterr().err
    both = tmp_path / "both.html"
    assert (
        run("compare", str(output), str(tmp_path / "again.json"), "--label", "<one>", "--label", "two", "-o", str(both))
        == 0
    )
    assert "&lt;one&gt;" in both.read_text()
    assert run("compare", str(output), "-o", str(tmp_path / "x.png")) == 1


def test_a_trajectory_is_computed_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    from safetensors.torch import load_file

    state = load_file(GALLERY / "resnet20-w8-skip.safetensors")
    for epoch in (0, 1, 2, 10):
        moved = {
            name: t + epoch * (0.01 + 0.01 * (k % 3)) * (k % (epoch + 1) == 0)
            for k, (name, t) in enumerate(state.items())
        }
        save_checkpoint(folder / f"epoch-{epoch}.safetensors", moved, {"format": "pt"})
    output = tmp_path / "t.json"
    assert run("trajectory", str(folder), *FEW, "--grid", "3x3", "-o", str(output)) == 0
    found = Result.load(output)
    assert len(found.path["coordinates"]) == 4
    assert found.path["coordinates"][-1] == pytest.approx([0, 0], abs=1e-6)  # the last in order: epoch 10


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (*KINDS, "spectrum", "inspect", "export", "compare", "refine", "bench", "train"):
        assert run(command, "--help") == 0
        said = capsys.readouterr().out
        assert "Example" in said
        assert f"landscape {command} " in said
    assert run("--help") == 0
    assert "Exit codes: 0 done; 1 cannot be done" in " ".join(capsys.readouterr().out.split())
    assert run("surface") == 2


def test_shell_completion_offers_the_names_of_an_option(capfd: pytest.CaptureFixture[str]) -> None:
    asked = {"_LANDSCAPE_COMPLETE": "complete_bash", "COMP_WORDS": "landscape surface --loss ", "COMP_CWORD": "3"}
    script = "import sys; sys.argv = ['landscape']; from landscape.cli.main import main; main()"
    found = subprocess.run([sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True, text=True)
    assert found.stdout.split() == ["cross_entropy", "mse"]


def test_no_progress_bar_is_shown_where_stderr_is_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(True, "surface") as told:  # stderr is no terminal here
        told(1, 2)
    with reporting(False, "surface") as told:
        told(1, 2)
    assert capsys.readouterr() == ("", "")
    seen: list[tuple[int, int]] = []
    with reporting(lambda done, total: seen.append((done, total)), "surface") as told:
        told.preparing("loss of checkpoint 2 of 7", 2, 7)
        told(1, 2)
    assert seen == [(1, 2)]


@pytest.mark.parametrize(
    ("last", "shown"),
    [
        ("told(5, 5)", "5/5"),
        ("told.preparing('loss of checkpoint 2 of 7', 2, 7)", "surface, loss of checkpoint 2 of 7"),
    ],
)
def test_a_progress_bar_is_shown_on_stderr_in_a_terminal(last: str, shown: str) -> None:
    import pty

    script = (
        "import landscape.evaluation.progress as p\n"
        "with p.reporting(True, 'surface') as told:\n"
        "    for k in range(5): told(k + 1, 5)\n"
        f"    {last}\n"
    )
    terminal, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    found = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=other, env=environment)
    os.close(other)
    said = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert found.stdout == b""
    assert "surface" in said
    assert shown in said
