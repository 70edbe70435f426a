"""`landscape surface` and the other commands that compute, on real files: results and error messages."""

import json
from pathlib import Path

import numpy as np
import pytest

from landscape.cli.main import main
from tests.support.paths import GALLERY

SKIP, OTHER = str(GALLERY / "resnet20-w8-skip.safetensors"), str(GALLERY / "resnet56-w4-skip.safetensors")
FEW = ["--subset", "40"]


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture
def pixels(tmp_path: Path) -> str:
    """A data set file: channels-last uint8 images, and labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "pixels.npz", images=images, labels=generator.integers(0, 10, 30))
    return str(tmp_path / "pixels.npz")


def test_a_surface_of_a_data_set_file_is_written_as_npz(tmp_path: Path, pixels: str) -> None:
    output = tmp_path / "surface.npz"
    arguments = ["--dataset", pixels, "--grid", "4x3", "--range=-0.5:1", "--range-beta=-1:0.5", "-o", str(output)]
    assert run("surface", SKIP, *arguments) == 0
    with np.load(output, allow_pickle=False) as result:
        assert result["losses"].shape == result["accuracies"].shape == (4, 3)
        assert result["alphas"].tolist() == [-0.5, 0.0, 0.5, 1.0]
        assert result["betas"].tolist() == [-1.0, -0.25, 0.5]
        assert np.isfinite(result["losses"]).all()


def test_a_result_names_the_network_and_the_data_and_reports_its_self_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "slice.json"
    assert run("slice", SKIP, *FEW, "--grid", "5", "-o", str(output)) == 0
    result = json.loads(output.read_text())
    assert result["provenance"]["dataset"] == "digits"
    assert "ResNet-20, width 8, with shortcuts · digits, 40 of 1500 train samples" in result["caption"]
    said = capsys.readouterr()
    assert "✓ center loss" in said.err
    assert result["caption"] in said.out


def test_directions_from_a_file_give_the_surface_they_came_from(tmp_path: Path) -> None:
    from landscape.checkpoints.inspect import inspect
    from landscape.directions.files import write
    from landscape.directions.plane import from_directions
    from landscape.directions.random import random_directions

    model = inspect(Path(SKIP)).model()
    center = {name: parameter.detach() for name, parameter in model.named_parameters()}
    write(tmp_path / "directions.h5", from_directions(random_directions(center, seed=3), model.state_dict()), model)
    drawn, read_back = tmp_path / "drawn.csv", tmp_path / "read.csv"
    common = [*FEW, "--grid", "3x2", "-o"]
    assert run("surface", SKIP, "--seed", "3", *common, str(drawn)) == 0
    assert run("surface", SKIP, "--directions", str(tmp_path / "directions.h5"), *common, str(read_back)) == 0
    one, other = (np.loadtxt(path, delimiter=",", skiprows=1) for path in (drawn, read_back))
    assert one == pytest.approx(other, rel=1e-4)


def test_a_spectrum_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "spectrum.json"
    few = ["--subset", "20", "--steps", "8", "--probes", "2"]
    assert run("spectrum", SKIP, *few, "-o", str(output)) == 0
    found = json.loads(output.read_text())
    assert found["lambda_min"] < found["lambda_max"]
    assert f"λ_max = {found['lambda_max']:.6g} ±" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["surface", SKIP, "--grid", "5", "-o", "x.npz"], "--grid must be like 51x51"),
        (["surface", SKIP, "--grid", "5x1", "-o", "x.npz"], "at least 2 points"),
        (["slice", SKIP, "--range", "1:-1", "-o", "x.npz"], "reversed"),
        (["slice", SKIP, "--range", "a", "-o", "x.npz"], "--range must be like"),
        (["slice", SKIP, "--dataset", "imagenet", "-o", "x.npz"], "Known:"),
        (["slice", SKIP, "--precision", "float8", "-o", "x.npz"], "Known: float32"),
        (["slice", SKIP, "--subset", "5000", "-o", "x.npz"], "1500"),
        (["slice", SKIP, "-o", "x.pdf"], "Unknown format"),
        (["spectrum", SKIP, "-o", "x.npz"], "Known: .json"),
        (["slice", SKIP, "-o", "none/x.npz"], "Make it first"),
        (["slice", __file__, "-o", "x.npz"], "not a checkpoint"),
        (["interpolation", SKIP, OTHER, *FEW, "-o", "x.npz"], "Use checkpoints of one architecture"),
        (["trajectory", SKIP, SKIP, SKIP, *FEW, "-o", "x.npz"], "4"),
    ],
)
def test_an_invalid_request_fails_with_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
