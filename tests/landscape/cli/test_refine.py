"""`landscape refine`: only missing points are computed, from the files that a result records; Ctrl-C and resumption."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape.evaluation import run as evaluation
from landscape.result import Result
from tests.landscape.cli.test_compute import FEW, SKIP, run


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A surface of 5 × 3 points."""
    output = tmp_path_factory.mktemp("refine") / "coarse.npz"
    assert run("surface", SKIP, *FEW, "--grid", "5x3", "--range=-1:1", "--seed", "2", "-o", str(output)) == 0
    return output


def marked(coarse: Path, folder: Path) -> tuple[Path, Result]:
    """The same result with losses that no computation gives, so that a point computed again is noticed."""
    result = Result.load(coarse)
    odd = Result(**{**vars(result), "losses": result.losses + 100 * (abs(result.alphas[:, None]) > 0.7)})
    odd.save(folder / "marked.npz")
    return folder / "marked.npz", odd


def test_a_finer_result_is_the_one_computed_at_once_and_has_the_points_of_the_file(
    coarse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finer, at_once = tmp_path / "finer.npz", tmp_path / "at-once.npz"
    assert run("refine", str(coarse), "--factor", "2", "-o", str(finer), "--json") == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["shape"], answer["reused"]["points"]) == ([9, 5], 15)
    assert "15 of 45 points were reused." in said.err
    assert run("surface", SKIP, *FEW, "--grid", "9x5", "--range=-1:1", "--seed", "2", "-o", str(at_once)) == 0
    assert Result.load(finer) == Result.load(at_once)
    assert run("reproduce", str(finer)) == 0
    assert not list(tmp_path.glob("*.partial"))


def test_points_of_the_file_are_not_computed_again(coarse: Path, tmp_path: Path) -> None:
    file, odd = marked(coarse, tmp_path)
    output = tmp_path / "wider.npz"
    assert run("refine", str(file), "--range=-1.4:1", "--range-beta=-1:2", "-o", str(output)) == 0
    wider = Result.load(output)
    assert (wider.alphas.tolist(), wider.betas.tolist()) == ([-1.5, -1, -0.5, 0, 0.5, 1], [-1, 0, 1, 2])
    assert wider.losses[1:, :3].tobytes() == odd.losses.tobytes()
    assert np.isfinite(wider.losses).all()


def test_a_region_over_more_seeds(coarse: Path, tmp_path: Path) -> None:
    region, at_once = tmp_path / "region.npz", tmp_path / "at-once.npz"
    assert run("refine", str(coarse), "--factor", "2", "--range=0:0.5", "--repeats", "3", "-o", str(region)) == 0
    assert (
        run(
            "surface", SKIP, *FEW, "--grid", "3x2", "--range=0:0.5", "--seed", "2", "--repeats", "3", "-o", str(at_once)
        )
        == 0
    )
    found, expected = Result.load(region), Result.load(at_once)
    assert found.columns == expected.columns
    for name in found.columns:
        assert found.array(name) == pytest.approx(expected.array(name), rel=1e-9)
    assert found.provenance["reused"] == {"points": 2, "coordinate_difference": 0.0, "exact": False, "seeds": 1}
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("part", [0, 1])
def test_ctrl_c_keeps_what_is_computed_in_either_part_and_the_same_command_continues(
    coarse: Path, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, calls = tmp_path / "finer.npz", []
    command = ["refine", str(coarse), "--factor", "2", "--repeats", "2", "-o", str(output)]
    original = evaluation.compute

    def interrupted(prepared: Any, **options: Any) -> Result:
        calls.append(prepared)

        def stop(done: int, total: int) -> None:
            if len(calls) == part + 1:
                raise KeyboardInterrupt

        return original(prepared, **{**options, "progress": stop})

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "compute", interrupted)
        assert run(*command) == 130
    assert "The same command continues from there" in capsys.readouterr().err
    partial = tmp_path / ("finer.npz.seeds.partial" if part else "finer.npz.partial")
    assert partial.exists()
    assert not output.exists()
    computed = int(_read(partial).computed.sum())
    assert 0 < computed < 45
    counted: list[int] = []

    def counting(prepared: Any, **options: Any) -> Result:
        started = options["started"]
        counted.append(0 if started is None else int(started.computed.sum()))
        return original(prepared, **options)

    monkeypatch.setattr(evaluation, "compute", counting)
    assert run(*command) == 0
    assert counted == ([45, computed] if part else [computed, 0])
    assert Result.load(output).provenance["reused"] == {
        "points": 15,
        "coordinate_difference": 0.0,
        "exact": False,
        "seeds": 1,
    }
    assert not list(tmp_path.glob("*.partial"))


def _read(path: Path) -> Result:
    from landscape.formats import npz

    return Result(**vars(npz.read(path.read_bytes(), path.name)))


def test_a_slice_and_files_that_are_elsewhere_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(Path(SKIP).read_bytes())
    line, finer = tmp_path / "line.json", tmp_path / "finer.json"
    assert run("slice", str(moved), *FEW, "--grid", "4", "-o", str(line)) == 0
    moved.unlink()
    assert run("refine", str(line), "--factor", "3", "-o", str(finer)) == 1
    assert "moved.safetensors', which is not on this machine" in capsys.readouterr().err
    assert run("refine", str(line), SKIP, "--factor", "3", "--range=-1:2", "-o", str(finer)) == 0
    first, found = Result.load(line), Result.load(finer)
    assert found.losses[:10:3].tobytes() == first.losses.tobytes()
    assert np.isfinite(found.losses).all()
    assert run("refine", str(line), SKIP, "--range-beta=0:1", "-o", str(finer)) == 1
    assert "A slice has one axis" in capsys.readouterr().err
    assert run("refine", str(line), SKIP.replace("-skip", "-plain"), "--factor", "2", "-o", str(finer)) == 1
    assert "differs in the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "This adds nothing to the result"),
        (["--range=1"], "--range must be like -1:1; got '1'"),
        (["--range=1:-1"], "empty or reversed"),
        (["--subset", "41", "--factor", "2"], "differs in the samples"),
    ],
)
def test_what_is_not_possible_is_one_sentence(
    coarse: Path, tmp_path: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("refine", str(coarse), *words, "-o", str(tmp_path / "x.npz")) == 1
    assert sentence in capsys.readouterr().err
    assert run("refine", "nowhere.npz", "-o", str(tmp_path / "x.npz")) == 1
    assert "There is no file 'nowhere.npz'. Name a result file; or a job of a service" in capsys.readouterr().err
