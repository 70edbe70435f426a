"""Results: every value in its place in every format, holes and infinite losses, partial results, the self-check."""

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from landscape import api
from landscape.directions.plane import from_directions
from landscape.errors import FormatError, UnknownNameError
from landscape.grid import Axis, Grid
from landscape.result import Result
from tests.support.small_models import ALONG_X_AND_Y, TwoNumbers, convolutional, pictures, the_answer

GRID = Grid(Axis(-1, 1, 3), Axis(0, 4, 5))
EXPECTED = [[10 * alpha + beta for beta in (0, 1, 2, 3, 4)] for alpha in (-1, 0, 1)]  # f = 10x + y


@pytest.fixture(scope="module")
def ten_x_plus_y() -> Result:
    model = TwoNumbers()
    plane = from_directions(ALONG_X_AND_Y, dict(model.named_parameters()))
    return api.surface(model, torch.zeros(7, 1), torch.zeros(7), grid=GRID, directions=plane, loss=the_answer)


@pytest.fixture(scope="module")
def whole() -> Result:
    return api.surface(convolutional(), *pictures(), grid=GRID, precision="float64")


def partial() -> Result:
    """Four of six points: 1.5, NaN, inf, -inf at (0, 0), (0, 2), (1, 1), (1, 2)."""
    result = Result.empty(Grid(Axis(-1, 1, 2), Axis(-1, 1, 3)))
    points = [(0, 0), (0, 2), (1, 1), (1, 2)]
    result.put(points, [(loss, 0.5, 0.1) for loss in (1.5, math.nan, math.inf, -math.inf)])
    return result


def test_ten_x_plus_y_is_in_its_place_in_python(ten_x_plus_y: Result) -> None:
    assert ten_x_plus_y.alphas.tolist() == [-1, 0, 1]
    assert ten_x_plus_y.betas.tolist() == [0, 1, 2, 3, 4]
    assert ten_x_plus_y.losses.tolist() == EXPECTED


def test_ten_x_plus_y_is_in_its_place_in_json(ten_x_plus_y: Result) -> None:
    read = json.loads(ten_x_plus_y.to_bytes("json"))
    assert (read["alphas"], read["betas"], read["losses"]) == ([-1, 0, 1], [0, 1, 2, 3, 4], EXPECTED)
    assert read["accuracies"] == [[None] * 5] * 3
    assert read["non_finite"] == []


def test_ten_x_plus_y_is_in_its_place_in_npz(ten_x_plus_y: Result, tmp_path: Path) -> None:
    ten_x_plus_y.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as file:
        assert file["losses"].tolist() == EXPECTED
        assert (file["alphas"].tolist(), file["betas"].tolist()) == ([-1, 0, 1], [0, 1, 2, 3, 4])
        assert file["computed"].all()


def test_ten_x_plus_y_is_in_its_place_in_csv(ten_x_plus_y: Result) -> None:
    head, *lines = ten_x_plus_y.to_bytes("csv").decode().splitlines()
    assert head == "alpha,beta,loss,accuracy,standard_error"
    numbers = [[float(text) for text in line.split(",")] for line in lines]
    assert len(numbers) == 15
    assert all(loss == 10 * alpha + beta for alpha, beta, loss, *_ in numbers)


def test_ten_x_plus_y_is_transposed_in_the_papers_hdf5_and_nowhere_else(ten_x_plus_y: Result, tmp_path: Path) -> None:
    ten_x_plus_y.save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["train_loss"].shape == (5, 3)
        x, y = np.meshgrid(file["xcoordinates"][:], file["ycoordinates"][:])  # as the authors' plot_2D does
        np.testing.assert_array_equal(file["train_loss"][:], 10 * x + y)


def test_an_npz_file_read_back_is_the_same_result(whole: Result, tmp_path: Path) -> None:
    whole.save(tmp_path / "r.npz")
    again = Result.load(tmp_path / "r.npz")
    assert again.to_json() == whole.to_json()
    assert again.losses.tobytes() == whole.losses.tobytes()


def test_json_has_null_for_holes_and_lists_the_losses_that_are_not_finite() -> None:
    read = json.loads(partial().to_bytes("json"))
    assert read["losses"] == [[1.5, None, None], [None, None, None]]
    assert read["accuracies"] == [[0.5, None, 0.5], [None, 0.5, 0.5]]
    assert read["non_finite"] == [
        {"i": 0, "j": 2, "value": "nan"},
        {"i": 1, "j": 1, "value": "inf"},
        {"i": 1, "j": 2, "value": "-inf"},
    ]
    assert (read["provenance"], read["self_check"], read["caption"]) == (None, None, "")


def test_a_partial_result_knows_its_computed_points_and_csv_holds_only_those() -> None:
    result = partial()
    assert result.computed.tolist() == [[True, False, True], [False, True, True]]
    assert len(result.to_bytes("csv").decode().splitlines()) == 1 + 4
    assert np.isnan(result.losses[0, 1])


def test_closing_a_result_counts_losses_that_are_not_finite_and_makes_arrays_read_only() -> None:
    closed = partial().closed(seconds=2.0)
    assert (closed.provenance["nan_count"], closed.provenance["infinite_count"]) == (1, 2)
    with pytest.raises(ValueError, match="read-only"):
        closed.put([(0, 1)], [(0.0, 0.0, 0.0)])
    with pytest.raises(ValueError, match="read-only"):
        closed.losses[0, 0] = 3


def test_extra_columns_are_kept_by_every_format(tmp_path: Path) -> None:
    columns = ("losses", "accuracies", "standard_errors", "lambda_min")
    result = Result.empty(Grid(Axis(-1, 1, 2), Axis(-1, 1, 3)), columns=columns)
    result.put([(1, 2)], [(1.0, 0.5, 0.1, -7.0)])
    assert result.to_json()["extra"] == {"lambda_min": [[None] * 3, [None, None, -7.0]]}
    assert result.to_bytes("csv").decode() == (
        "alpha,beta,loss,accuracy,standard_error,lambda_min\n1.0,1.0,1.0,0.5,0.1,-7.0\n"
    )
    result.save(tmp_path / "r.npz")
    assert Result.load(tmp_path / "r.npz").array("lambda_min")[1, 2] == -7
    with pytest.raises(UnknownNameError, match=r"array 'lambda_max'\. Known: losses, accuracies"):
        result.array("lambda_max")


def test_every_check_passes_for_a_correct_surface(whole: Result) -> None:
    assert [(check.name, check.passed) for check in whole.checks] == [
        ("center loss", True),
        ("directions orthogonal", True),
        ("filter norms", True),
        ("model unchanged", True),
        ("evaluation mode", True),
        ("data digest", True),
        ("finite losses", True),
    ]
    assert whole.to_json()["self_check"]["passed"] is True


def center(facts: dict[str, Any], **change: object) -> dict[str, Any]:
    return {"center": {**facts["center"], **change}}


RED = {
    "center loss": lambda facts: center(facts, loss=facts["center"]["loss"] * (1 + 1e-6)),
    "center loss, not finite": lambda facts: center(facts, independent_loss=None),
    "directions orthogonal": lambda facts: {"cosine": 1e-3},
    "filter norms": lambda facts: {"filter_ratio_max": 1.001},
    "filter norms, unknown": lambda facts: {"filter_ratio_min": None},
    "model unchanged": lambda facts: {"model_unchanged": False},
    "evaluation mode": lambda facts: {"mode": "training"},
    "data digest": lambda facts: {"data_unchanged": False},
}


@pytest.mark.parametrize("case", RED)
def test_each_check_fails_for_its_own_fault_only(whole: Result, case: str) -> None:
    broken = whole.closed(**RED[case](whole.provenance))
    assert [check.name for check in broken.checks if not check.passed] == [case.split(",")[0]]
    assert broken.to_json()["self_check"]["passed"] is False


def test_a_hole_fails_the_check_of_finite_losses_with_the_counts(whole: Result) -> None:
    losses = whole.losses.copy()
    losses[0, 1], losses[2, 4] = math.nan, math.inf
    broken = Result(**{**vars(whole), "losses": losses})
    [line] = [check for check in broken.checks if not check.passed]
    assert line.name == "finite losses"
    assert line.text.startswith("1 NaN, 1 infinite of 15 points; numbers overflow there: ")


def test_a_center_on_the_grid_that_differs_from_the_checkpoints_loss_fails_its_check(whole: Result) -> None:
    losses = whole.losses.copy()
    losses[1, 0] *= 1.01
    broken = Result(**{**vars(whole), "losses": losses})
    assert [check.name for check in broken.checks if not check.passed] == ["center loss"]


def test_the_caption_names_every_choice(whole: Result) -> None:
    assert whole.caption == (
        "Sequential · tensors, 23 given samples · 3 × 5 points on [−1, 1] × [0, 4] · "
        "filter-normalized, orthogonal in every filter · BatchNorm frozen · seed 0 · float64"
    )


def test_provenance_in_json_is_plain_and_finite(whole: Result) -> None:
    text = json.dumps(whole.to_json(), allow_nan=False)
    assert json.loads(text)["provenance"]["center"]["point"] == [1, 0]


def test_an_unknown_format_is_refused_with_the_known_ones(whole: Result, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"format 'xlsx'\. Known: json, npz, csv, h5"):
        whole.save(tmp_path / "r.xlsx")


def test_a_file_without_a_result_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(FormatError, match=r"broken\.npz cannot be read as an \.npz file"):
        Result.load(tmp_path / "broken.npz")
    np.savez(tmp_path / "other.npz", alphas=np.zeros(3))
    with pytest.raises(FormatError, match=r"other\.npz holds no result: it lacks 'betas'"):
        Result.load(tmp_path / "other.npz")
