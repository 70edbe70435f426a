"""`landscape reproduce`: files where they were and elsewhere, what is said when they changed, and the exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import landscape as ls
from landscape.checkpoints.inspect import inspect
from landscape.cli.main import main
from landscape.data.builtin import load
from landscape.errors import LandscapeError
from tests.support.paths import GALLERY
from tests.support.small_models import stirred

SKIP = GALLERY / "resnet20-w8-skip.safetensors"
FEW = ["--subset", "40:3", "--grid", "3x2"]


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Commands set the number of threads of their process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copy(SKIP, tmp_path / "checkpoint.safetensors"))


def change_a_weight(file: Path, by: float) -> None:
    state = load_file(file)
    next(tensor for tensor in state.values() if tensor.ndim == 4)[0, 0, 0, 0] += by
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    save_file(state, file, metadata=metadata)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set file with images and labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=generator.integers(0, 10, 30))
    return tmp_path / "data.npz"


KINDS = {
    "surface": ["--seed", "2", "--also", "test", "--weight-decay", "0.01", *FEW],
    "slice": ["--normalization", "layer", "--repeats", "2", "--subset", "40", "--grid", "3"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_reproduced_bit_for_bit_from_its_file_alone(
    kind: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "result.npz")
    assert run(kind, str(checkpoint), *KINDS[kind], "-o", output) == 0
    capsys.readouterr()
    assert run("reproduce", output) == 0
    said = capsys.readouterr().out
    assert said.startswith("They agree bit for bit.")
    assert "✓  weights" in said
    with pytest.raises(
        LandscapeError, match=rf"from {checkpoint} and the data set digits: `landscape reproduce` reads"
    ):
        ls.Result.load(output).reproduce()


def test_eigenvalues_are_reproduced_with_the_architecture_that_was_chosen(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    save_file(stirred(network).state_dict(), tmp_path / "perceptron.safetensors")
    output, chosen = str(tmp_path / "result.h5"), ["--architecture", "1"]
    arguments = [*chosen, "--subset", "40", "--grid", "3x2", "--steps", "5", "-o", output]
    assert run("curvature", str(tmp_path / "perceptron.safetensors"), *arguments) == 0
    assert run("reproduce", output) == 0
    assert run("reproduce", output, "--architecture", "0") == 1  # ReLU instead of tanh: other losses


def test_several_checkpoints_are_reproduced_and_another_one_is_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, end, other = str(tmp_path / "line.json"), tmp_path / "end.safetensors", tmp_path / "other.safetensors"
    change_a_weight(Path(shutil.copy(SKIP, end)), 1e-3)
    change_a_weight(Path(shutil.copy(SKIP, other)), 2e-3)
    assert run("interpolation", str(checkpoint), str(end), "--subset", "40", "--grid", "3", "-o", output) == 0
    assert run("reproduce", output) == 0
    assert run("reproduce", output, str(checkpoint), str(other)) == 1
    assert "The directions, or the other checkpoints, are not those of this result" in capsys.readouterr().err


def test_moved_files_are_given_again(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "surface.npz")
    assert run("surface", str(checkpoint), "--dataset", str(data), "--grid", "2x3", "-o", output) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = [str(shutil.move(file, elsewhere)) for file in (checkpoint, data)]
    assert run("reproduce", output) == 1
    assert f"names {str(checkpoint)!r}, which is not on this machine. Give them" in capsys.readouterr().err
    assert run("reproduce", output, moved[0]) == 1
    assert "Give the data set: --dataset NAME|FILE." in capsys.readouterr().err
    assert run("reproduce", output, moved[0], "--dataset", moved[1]) == 0


def test_a_changed_weight_is_named_with_exit_code_1_and_nothing_is_computed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "surface.npz")
    assert run("surface", str(checkpoint), *FEW, "-o", output) == 0
    change_a_weight(checkpoint, 1e-6)
    capsys.readouterr()
    assert run("reproduce", output, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["error"]["code"] == "different_inputs"
    assert said["error"]["message"].startswith("The weights are not those of this result: their SHA-256 is")


def test_other_samples_are_named(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "surface.npz")
    assert run("surface", str(checkpoint), *FEW, "-o", output) == 0
    assert run("reproduce", output, "--subset", "40:4") == 1
    assert "The samples are not those of this result" in capsys.readouterr().err


def test_a_value_changed_in_the_file_is_reported_as_json_with_exit_code_1(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "surface.npz"
    assert run("surface", str(checkpoint), *FEW, "-o", str(output)) == 0
    with np.load(output) as file:
        arrays = dict(file)
    arrays["losses"][2, 1] += 1e-3
    np.savez(output, **arrays)
    capsys.readouterr()
    assert run("reproduce", str(output), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["bitwise"]) == (False, False)
    [losses] = [one for one in found["arrays"] if one["name"] == "losses"]
    assert (losses["differing"], losses["absolute"]) == (1, pytest.approx(1e-3))


def test_a_result_of_the_library_is_reproduced_by_the_command_with_the_files(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, samples = inspect(checkpoint).model(), load("digits", "train").subset(40)
    output = tmp_path / "library.npz"
    ls.slice(model, samples, grid=ls.Grid.line(3), progress=False).save(output)
    assert run("reproduce", str(output)) == 1
    assert "does not name its checkpoint files. Give them after the result, in this order: checkpoint." in (
        capsys.readouterr().err
    )
    assert run("reproduce", str(output), str(checkpoint), "--subset", "40") == 0


def test_objects_of_python_are_named_with_what_to_do(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, samples = inspect(checkpoint).model(), load("digits", "train").subset(40)
    output = tmp_path / "library.npz"
    own = lambda outputs, labels: outputs.square().mean(1)  # noqa: E731
    ls.slice(model, samples, grid=ls.Grid.line(2), loss=own, progress=False).save(output)
    assert run("reproduce", str(output), str(checkpoint)) == 1
    assert "Use Result.load(file).reproduce(model, images, labels, loss=…)." in capsys.readouterr().err
