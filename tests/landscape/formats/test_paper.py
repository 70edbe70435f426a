"""The authors' surface and direction files: written and read with their conventions, on non-square grids."""

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from landscape import api
from landscape.directions import files
from landscape.directions.plane import line_between
from landscape.directions.trajectory import principal, principal_plane
from landscape.errors import FormatError, NotFiniteError, ShapeMismatchError, UnknownNameError
from landscape.formats import paper
from landscape.grid import Axis, Grid
from landscape.result import Result
from tests.support.landscapes import landscape_of
from tests.support.small_models import convolutional, perceptron, pictures, vectors

GRID = Grid(Axis(-1, 1, 3), Axis(0, 4, 5))


@pytest.fixture(scope="module")
def surface() -> Result:
    return api.surface(perceptron(), *vectors(), grid=GRID, also={"test": vectors(9, seed=3)}, precision="float64")


def written_by_the_authors_code(
    path: Path, losses: dict[tuple[float, float], float], xs: list[float], ys: list[float]
) -> None:
    """plot_surface.py: the array is declared (n_x, n_y), filled through ravel() in the order of numpy's meshgrid."""
    with h5py.File(path, "w") as file:
        file["dir_file"] = "directions.h5"
        file["xcoordinates"], file["ycoordinates"] = xs, ys
        values = -np.ones((len(xs), len(ys)))
        x, y = np.meshgrid(xs, ys)
        for index in range(values.size):
            at = (x.ravel()[index], y.ravel()[index])
            if at in losses:
                values.ravel()[index] = losses[at]
        file["train_loss"] = values
        file["train_acc"] = np.where(values == -1, -1, 50.0)


def test_the_authors_code_plots_our_surface_file_with_every_value_in_its_place(surface: Result, tmp_path: Path) -> None:
    surface.save(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r") as file:  # as plot_2D.py does
        x, y = np.array(file["xcoordinates"][:]), np.array(file["ycoordinates"][:])
        xs, ys = np.meshgrid(x, y)
        z = np.array(file["train_loss"][:])
        assert z.shape == xs.shape == (5, 3)
        for row in range(5):
            for column in range(3):
                i, j = surface.alphas.tolist().index(xs[row, column]), surface.betas.tolist().index(ys[row, column])
                assert z[row, column] == surface.losses[i, j]
        assert {name for name in file} == {  # noqa: C416
            *("dir_file", "xcoordinates", "ycoordinates", "train_loss", "train_acc", "test_loss", "test_acc"),
            "landscape",  # our own group, which their scripts ignore
        }
        np.testing.assert_allclose(file["test_acc"][:].T, 100 * surface.array("test_accuracies"))
        assert all(file[name].dtype == np.float64 for name in set(file) - {"dir_file", "landscape"})


def test_a_surface_file_of_the_authors_code_is_read_with_every_value_in_its_place(tmp_path: Path) -> None:
    xs, ys = [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]
    losses = {(x, y): 10 * x + y + 100 for x in xs for y in ys if (x, y) != (0.0, 2.0)}
    written_by_the_authors_code(tmp_path / "theirs.h5", losses, xs, ys)
    result = Result.load(tmp_path / "theirs.h5")
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            assert result.computed[i, j] == ((x, y) in losses)
            if (x, y) in losses:
                assert (result.losses[i, j], result.accuracies[i, j]) == (losses[x, y], 0.5)
    assert np.isnan(result.losses[1, 2])


def test_a_surface_file_reads_back_equal(surface: Result, tmp_path: Path) -> None:
    surface.save(tmp_path / "s.h5")
    again = Result.load(tmp_path / "s.h5")
    for name in ("losses", "accuracies", "test_losses", "test_accuracies"):
        np.testing.assert_allclose(again.array(name), surface.array(name), rtol=1e-15)
    assert again.computed.all()


def test_points_not_computed_are_minus_one_in_the_file_and_nan_in_the_result(tmp_path: Path) -> None:
    result = Result.empty(Grid(Axis(-1, 1, 2), Axis(-1, 1, 3)))
    result.put([(0, 2), (1, 0)], [(7.0, 0.25, 0.1), (np.nan, 0.0, 0.1)])
    (tmp_path / "s.h5").write_bytes(result.to_bytes("h5"))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["train_acc"][:].tolist() == [[-1, 0], [-1, -1], [25, -1]]
        stored = file["train_loss"][:]
    assert stored[2, 0] == 7
    assert np.isnan(stored[0, 1])
    again = Result.load(tmp_path / "s.h5")
    assert again.computed.tolist() == result.computed.tolist()


def test_what_the_maximum_over_processes_leaves_of_nan_is_a_computed_nan(tmp_path: Path) -> None:
    losses = np.linspace(0, 2, 11)
    losses[:3] = -np.finfo(float).max
    with h5py.File(tmp_path / "surface.h5", "w") as file:
        file["xcoordinates"], file["train_loss"], file["train_acc"] = losses, losses, np.full(11, 50.0)
    result = Result.load(tmp_path / "surface.h5")
    assert [(odd["i"], odd["value"]) for odd in result.non_finite] == [(0, "nan"), (1, "nan"), (2, "nan")]
    assert np.nanmin(result.losses) == losses[3]


def test_a_slice_has_no_ycoordinates_and_one_axis(tmp_path: Path) -> None:
    line = api.slice(perceptron(), *vectors(), grid=Grid.line(5))
    line.save(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5") as file:
        assert "ycoordinates" not in file
        assert file["train_loss"].shape == (5,)
    np.testing.assert_array_equal(Result.load(tmp_path / "s.h5").losses, line.losses)


@pytest.mark.parametrize("ending", [".h5", ".safetensors"])
def test_direction_files_read_back_equal(ending: str, tmp_path: Path) -> None:
    model = convolutional()
    landscape = landscape_of(model, *pictures(), seed=3)
    files.write(tmp_path / f"d{ending}", landscape.plane, model)
    again = files.read(tmp_path / f"d{ending}", model)
    for one, other in zip(landscape.directions, again.directions, strict=True):
        for name in one:
            torch.testing.assert_close(other[name], one[name], rtol=1e-7 if ending == ".h5" else 0, atol=0)
    assert again.source == "file"
    assert len(again.facts["sha256"]) == 64


def test_the_authors_code_can_read_our_direction_files(tmp_path: Path) -> None:
    model = convolutional()
    landscape = landscape_of(model, *pictures(), seed=3)
    files.write(tmp_path / "d.h5", landscape.plane, model)
    with h5py.File(tmp_path / "d.h5") as file:  # as h5_util.read_list does
        read = [
            [np.array(file[group][str(k)]) for k in range(len(file[group]))] for group in ("xdirection", "ydirection")
        ]
    for given, (_, parameter) in zip(zip(*read, strict=True), model.named_parameters(), strict=True):
        assert all(array.shape == tuple(parameter.shape) and array.dtype == np.float32 for array in given)


def test_directions_from_a_file_give_the_same_surface_as_in_memory(tmp_path: Path) -> None:
    model, samples = convolutional(), pictures()
    landscape = landscape_of(model, *samples, seed=3)
    files.write(tmp_path / "d.safetensors", landscape.plane, model)
    plane = files.read(tmp_path / "d.safetensors", model)
    along = api.surface(model, *samples, grid=GRID, directions=plane)
    np.testing.assert_array_equal(along.losses, api.surface(model, *samples, grid=GRID, seed=3).losses)
    assert "directions of d.safetensors" in along.caption
    assert all(check.passed for check in along.checks)


@pytest.mark.parametrize("ending", [".h5", ".safetensors"])
def test_directions_that_move_statistics_keep_doing_so_through_a_file(ending: str, tmp_path: Path) -> None:
    start, end = convolutional(1), convolutional(2)
    line = line_between(start.state_dict(), end.state_dict())
    files.write(tmp_path / f"d{ending}", line, start)
    [again] = files.read(tmp_path / f"d{ending}", start).directions
    torch.testing.assert_close(again["1.running_var"], line.directions[0]["1.running_var"], rtol=1e-6, atol=1e-7)


def test_a_file_of_principal_directions_has_their_shares_of_variance_under_the_authors_names(tmp_path: Path) -> None:
    states = [perceptron(seed).state_dict() for seed in range(5)]
    plane = principal_plane(principal(states, parameters=list(states[0])))
    files.write(tmp_path / "pca.h5", plane, perceptron())
    with h5py.File(tmp_path / "pca.h5") as file:
        shares = file["explained_variance_ratio_"][:]
        assert {"singular_values_", "explained_variance_"} < set(file)
    np.testing.assert_allclose(shares, plane.facts["explained_variance_ratio_"])
    assert files.read(tmp_path / "pca.h5", perceptron()).facts["explained_variance_ratio_"] == shares.tolist()


def test_directions_of_another_network_are_refused_with_file_and_parameter(tmp_path: Path) -> None:
    model, other, deeper = perceptron(), perceptron(hidden=8), nn.Sequential(*perceptron(), nn.Linear(3, 3))
    plane = landscape_of(other, *vectors()).plane
    for ending in (".h5", ".safetensors"):
        files.write(tmp_path / f"d{ending}", plane, other)
        with pytest.raises(ShapeMismatchError, match=r"'0\.weight' has"):
            files.read(tmp_path / f"d{ending}", model)
    with pytest.raises(ShapeMismatchError, match=r"d\.h5 has directions of 4 tensors; the network has 6 parameters"):
        files.read(tmp_path / "d.h5", deeper)


def test_files_without_directions_are_refused_with_their_name(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(FormatError, match=r"text\.h5 cannot be read as HDF5"):
        files.read(tmp_path / "text.h5", perceptron())
    (tmp_path / "text.safetensors").write_text("hello, world")
    with pytest.raises(FormatError, match=r"text\.safetensors cannot be read as safetensors"):
        files.read(tmp_path / "text.safetensors", perceptron())
    with pytest.raises(FormatError, match=r"none\.h5 cannot be read"):
        files.read(tmp_path / "none.h5", perceptron())
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(FormatError, match=r"empty\.h5 holds no direction"):
        files.read(tmp_path / "empty.h5", perceptron())
    with pytest.raises(FormatError, match=r"empty\.h5 lacks the array 'xcoordinates'"):
        Result.load(tmp_path / "empty.h5")
    with pytest.raises(UnknownNameError, match=r"'\.txt'\. Known: \.safetensors, \.h5"):
        files.read(tmp_path / "d.txt", perceptron())


def test_directions_that_are_not_finite_are_refused_with_the_parameter(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for index, parameter in enumerate(perceptron().parameters()):
            file[f"xdirection/{index}"] = np.full(parameter.shape, np.nan)
    with pytest.raises(NotFiniteError, match=r"'0\.weight' of the direction holds NaN"):
        files.read(tmp_path / "d.h5", perceptron())


def test_a_surface_file_whose_sizes_do_not_match_is_refused_with_both() -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["xcoordinates"], file["ycoordinates"] = np.zeros(3), np.zeros(4)
        file["train_loss"] = np.zeros((3, 3))
    with pytest.raises(FormatError, match=r"'train_loss' holds 9 numbers for 3 × 4 coordinates"):
        paper.read(content.getvalue(), "s.h5")
