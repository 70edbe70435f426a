"""The options of the commands, one per kind of result, do what they say.

The network is a softmax regression: losses, gradients and Hessians are written out in NumPy.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import landscape as ls
from landscape.data import load
from landscape.models import CifarResNet, build
from landscape.training.train import save_checkpoint
from tests.landscape.cli.test_compute import run

Array = NDArray[np.float64]
NAMES = ("linear.weight", "linear.bias")
FEW = ("--subset", "40:7")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three checkpoints of one network: the third is half the way to the second, and then at right angles."""
    random = np.random.default_rng(3)
    first, second, third = (random.normal(size=650) / 5 for _ in range(3))
    way = second - first
    aside = third - (third @ way) / (way @ way) * way
    return [_written(tmp_path_factory, at) for at in (first, second, first + way / 2 + aside)]


def _written(folders: pytest.TempPathFactory, numbers: Array) -> str:
    path = folders.mktemp("checkpoint") / "linear.safetensors"
    weight, bias = numbers[:640].reshape(10, 64), numbers[640:]
    tensors = (torch.tensor(part, dtype=torch.float32) for part in (weight, bias))
    save_file(dict(zip(NAMES, tensors, strict=True)), path, {"format": "pt"})
    return str(path)


def numbers_in(file: str) -> Array:
    """The parameters in a checkpoint: the weights row by row, then the biases."""
    state = load_file(file)
    return np.concatenate([state[name].double().flatten().numpy() for name in NAMES])


def samples(count: int | None = 40, seed: int = 7, split: str = "train") -> tuple[Array, NDArray[np.int64]]:
    """Pixels with a one behind them, (N, 65), and labels, (N,)."""
    found = load("digits", split)
    found = found.subset(count, seed) if count else found
    pixels = found.images.flatten(1).double().numpy()
    return np.hstack([pixels, np.ones((len(pixels), 1))]), found.labels.numpy()


def log_softmax(at: Array, inputs: Array) -> Array:
    """(N, 10)."""
    scores = inputs @ np.hstack([at[:640].reshape(10, 64), at[640:, None]]).T
    scores -= scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def loss(at: Array, inputs: Array, labels: NDArray[np.int64], smoothing: float = 0.0) -> float:
    """The mean cross-entropy, written out."""
    logs = log_softmax(at, inputs)
    right = logs[np.arange(len(labels)), labels]
    return float(-((1 - smoothing) * right + smoothing * logs.mean(axis=1)).mean())


def gradient(at: Array, inputs: Array, labels: NDArray[np.int64]) -> Array:
    """Σ (p − one-hot) xᵀ / N, in the order of `numbers_in`."""
    errors = np.exp(log_softmax(at, inputs))
    errors[np.arange(len(labels)), labels] -= 1
    slopes = errors.T @ inputs / len(labels)
    return np.concatenate([slopes[:, :64].ravel(), slopes[:, 64]])


def hessian(at: Array, inputs: Array) -> Array:
    """Σ (diag p − p pᵀ) ⊗ x xᵀ / N, in the order of `numbers_in`."""
    shares = np.exp(log_softmax(at, inputs))
    between = shares[:, :, None] * np.eye(10) - shares[:, :, None] * shares[:, None, :]
    blocks = np.einsum("nab,nx,ny->axby", between, inputs, inputs) / len(inputs)
    order = [row * 65 + column for row in range(10) for column in range(64)] + [row * 65 + 64 for row in range(10)]
    return np.asarray(blocks.reshape(650, 650)[np.ix_(order, order)])


def computed(tmp_path: Path, *words: object) -> ls.Result:
    """The result of a command."""
    output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}.npz"
    assert run(*map(str, words), "-o", str(output)) == 0
    return ls.Result.load(output)


def test_a_plane_goes_through_three_checkpoints(tmp_path: Path, files: list[str]) -> None:
    first, second, third = map(numbers_in, files)
    across = float(np.linalg.norm(second - first))
    up = float(np.linalg.norm(third - (first + second) / 2))
    grid = ["--grid", "3x2", f"--range=0:{across}", f"--range-beta=0:{up}"]
    found = computed(tmp_path, "plane", *files, *grid, *FEW)
    corners = {(0, 0): first, (2, 0): second, (1, 1): third, (1, 0): (first + second) / 2}
    for point, at in corners.items():
        assert found.losses[point] == pytest.approx(loss(at, *samples()), rel=1e-5)
    assert all(check.passed for check in found.checks)
    assert [one["name"] for one in found.provenance["landmark_losses"]] == ["second", "third"]


def test_a_plane_without_a_grid_lies_around_the_checkpoints(tmp_path: Path, files: list[str]) -> None:
    found = computed(tmp_path, "plane", *files, *FEW)
    across = float(np.linalg.norm(numbers_in(files[1]) - numbers_in(files[0])))
    assert found.losses.shape == (25, 25)
    assert found.alphas[[0, -1]] == pytest.approx([-0.2 * across, 1.2 * across], rel=1e-5)


def test_repeats_give_the_mean_of_slices_of_as_many_seeds(tmp_path: Path, files: list[str]) -> None:
    words = ["slice", files[0], *FEW, "--grid", "5"]
    together = computed(tmp_path, *words, "--seed", "3", "--repeats", "2")
    alone = np.array([computed(tmp_path, *words, "--seed", seed).losses for seed in (3, 4)])
    assert together.losses == pytest.approx(alone.mean(axis=0), rel=1e-12)
    assert together.array("seed_deviations") == pytest.approx(alone.std(axis=0, ddof=1), rel=1e-6)
    assert (together.array("lowest_losses") == alone.min(axis=0)).all()
    assert (together.array("highest_losses") == alone.max(axis=0)).all()
    assert "mean of seeds 3 to 4" in together.caption


def test_a_slice_along_the_gradient_is_the_line_of_steepest_ascent(tmp_path: Path, files: list[str]) -> None:
    found = computed(tmp_path, "slice", files[0], *FEW, "--grid", "5", "--directions", "gradient")
    at, data = numbers_in(files[0]), samples()
    slope = gradient(at, *data)
    along = slope / np.linalg.norm(slope)
    expected = [loss(at + alpha * along, *data) for alpha in found.alphas]
    assert found.losses[:, 0] == pytest.approx(expected, rel=1e-5)
    assert found.provenance["request"]["options"]["directions"] == "gradient"


def test_a_surface_along_eigenvectors_has_the_two_largest_eigenvalues_as_curvatures(
    tmp_path: Path, files: list[str]
) -> None:
    words = ["--grid", "3x3", "--range=-0.02:0.02", "--directions", "eigenvectors", "--precision", "float64"]
    found = computed(tmp_path, "surface", files[0], *FEW, *words)
    middle, h = found.losses[1, 1], found.alphas[2]
    bends = [(found.losses[2, 1] - 2 * middle + found.losses[0, 1]) / h**2]
    bends += [(found.losses[1, 2] - 2 * middle + found.losses[1, 0]) / h**2]
    largest = np.linalg.eigvalsh(hessian(numbers_in(files[0]), samples()[0]))[-2:]
    assert sorted(bends) == pytest.approx(largest, rel=1e-3)


def test_directions_from_a_file_are_recorded_and_used(tmp_path: Path, files: list[str]) -> None:
    way = tmp_path / "way.safetensors"
    first, second = (load_file(file) for file in files[:2])
    between = {f"delta.{name}": second[name] - first[name] for name in NAMES}
    save_file(between, way, {"format": "landscape directions"})
    words = ["slice", files[0], *FEW, "--grid", "3", "--range=0:1", "--directions", way]
    found = computed(tmp_path, *words)
    path = [numbers_in(files[0]) + share * (numbers_in(files[1]) - numbers_in(files[0])) for share in (0, 0.5, 1)]
    assert found.losses[:, 0] == pytest.approx([loss(at, *samples()) for at in path], rel=1e-5)
    assert found.provenance["request"]["options"]["directions"] == {"file": str(way)}
    assert run(*map(str, words), "--repeats", "2", "-o", str(tmp_path / "x.npz")) == 1


def test_a_second_split_is_computed_in_the_same_pass(tmp_path: Path, files: list[str]) -> None:
    found = computed(tmp_path, "slice", files[0], *FEW, "--grid", "3", "--also", "test")
    inputs, labels = samples(None, split="test")
    assert found.array("test_losses")[1, 0] == pytest.approx(loss(numbers_in(files[0]), inputs, labels), rel=1e-5)
    right = log_softmax(numbers_in(files[0]), inputs).argmax(axis=1) == labels
    assert found.array("test_accuracies")[1, 0] == right.mean()
    assert found.losses[1, 0] == pytest.approx(loss(numbers_in(files[0]), *samples()), rel=1e-5)


@pytest.mark.parametrize(("decay", "smoothing"), [(0.03, 0.0), (0.0, 0.2), (0.5, 0.9)])
def test_weight_decay_and_label_smoothing_enter_the_loss_as_defined(
    tmp_path: Path, files: list[str], decay: float, smoothing: float
) -> None:
    words = ["--weight-decay", decay, "--label-smoothing", smoothing, "--grid", "3", "--range=0:1"]
    found = computed(tmp_path, "interpolation", *files[:2], *FEW, *words)
    start, end = map(numbers_in, files[:2])
    path = [start + share * (end - start) for share in found.alphas]
    expected = [loss(at, *samples(), smoothing) + decay / 2 * float(at @ at) for at in path]
    assert found.losses[:, 0] == pytest.approx(expected, rel=1e-5)


def test_a_subset_is_that_of_the_data_set_with_its_seed(tmp_path: Path, files: list[str]) -> None:
    digits = load("digits", "train")
    for words, chosen in (
        (["--subset", "40:7"], (40, 7)),
        (["--subset", "40"], (40, 0)),
        (["--images", "40"], (40, 0)),
    ):
        found = computed(tmp_path, "slice", files[0], *words, "--grid", "3")
        assert found.provenance["data_sha256"] == digits.subset(*chosen).digest
        assert found.provenance["request"]["subset"] == {"count": chosen[0], "seed": chosen[1]}
        assert found.losses[1, 0] == pytest.approx(loss(numbers_in(files[0]), *samples(*chosen)), rel=1e-5)


def test_a_curvature_map_may_be_a_line(tmp_path: Path, files: list[str]) -> None:
    found = computed(tmp_path, "curvature", files[0], *FEW, "--grid", "3", "--steps", "60")
    assert found.losses.shape == found.array("lambda_max").shape == (3, 1)
    weights = hessian(numbers_in(files[0]), samples()[0])[:640, :640]  # by default those of parameters with filters
    largest = np.linalg.eigvalsh(weights)[-1]
    assert found.array("lambda_max")[1, 0] == pytest.approx(largest, rel=2e-3)
    said = computed(tmp_path, "curvature", files[0], *FEW, "--grid", "3x2", "--steps", "8", "--over", "all")
    assert said.array("lambda_max").shape == (3, 2)


def test_further_options_of_directions_are_those_of_the_library(tmp_path: Path, files: list[str]) -> None:
    words = ["--drawn", "authors", "--orthogonality", "overall", "--normalization", "layer", "--biases", "random"]
    found = computed(tmp_path, "surface", files[0], *FEW, "--grid", "3x2", "--range=-0.5:1", *words)
    digits = load("digits", "train").subset(40, 7)
    options: dict[str, Any] = dict(zip((word.strip("-") for word in words[::2]), words[1::2], strict=True))
    grid = ls.Grid(ls.Axis(-0.5, 1, 3), ls.Axis(-0.5, 1, 2))
    model = ls.inspect(Path(files[0])).model()
    library = ls.surface(model, digits.images, digits.labels, grid=grid, progress=False, **options)
    assert found.losses == pytest.approx(library.losses, rel=1e-6)
    plain = computed(tmp_path, "surface", files[0], *FEW, "--grid", "3x2", "--range=-0.5:1")
    assert abs(found.losses - plain.losses).max() > 1e-3
    for name in options:
        assert found.provenance["request"]["options"][name] == options[name]


def test_batch_norm_policies_are_compared_in_columns(tmp_path: Path) -> None:
    file = tmp_path / "resnet.safetensors"
    state = build(CifarResNet(8, 2, "projection", 10, 1), 0).state_dict()
    save_checkpoint(file, {name: one for name, one in state.items() if one.is_floating_point()}, {"format": "pt"})
    words = ["slice", str(file), *FEW, "--grid", "3", "--calibration", "30"]
    both = computed(tmp_path, *words, "--compare-batch-norm", "recalibrated")
    alone = computed(tmp_path, *words, "--batch-norm", "recalibrated")
    [column] = [name for name in both.extra if name.startswith("recalibrated") and name.endswith("losses")]
    assert both.array(column) == pytest.approx(alone.losses, rel=1e-6)
    assert abs(both.losses - alone.losses).max() > 1e-3
    assert "recalibrated on 30 samples" in alone.caption


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--subset", "0"], "--subset must be like 1000 or 1000:7, at least 1 sample; got '0'"),
        (["--subset", "abc"], "got 'abc'"),
        (["--subset", "40:"], "got '40:'"),
        (["--subset", "40:x"], "got '40:x'"),
        (["--directions", "gradeint"], "there is no file 'gradeint'. Did you mean 'gradient'?"),
        (["--directions", "nowhere.h5"], "random, gradient, eigenvectors or a file; there is no file 'nowhere.h5'."),
        (["--biases", "fixd"], "Did you mean 'fixed'?"),
        (["--orthogonality", "overal"], "Did you mean 'overall'?"),
        (["--drawn", "author"], "Did you mean 'authors'?"),
        (["--batch-norm", "frozn"], "Did you mean 'frozen'?"),
        (["--compare-batch-norm", "recalibrate"], "Did you mean 'recalibrated'?"),
        (["--also", "tset"], "Did you mean 'test'?"),
        (["--label-smoothing", "1"], "'label_smoothing' must be a finite number, 0 or more and less than 1; got 1.0."),
        (["--weight-decay", "-1"], "'weight_decay' must be a finite number, 0 or more; got -1.0."),
        (["--repeats", "2", "--also", "test"], "repeats above 1 take random directions"),
        (["--repeats", "2", "--directions", "gradient"], "repeats above 1 take random directions"),
    ],
)
def test_a_value_that_is_not_possible_is_answered_with_what_is(
    tmp_path: Path, files: list[str], words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("slice", files[0], "--grid", "3", *words, "-o", str(tmp_path / "x.npz")) == 1
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plane", "--range=0:2"], "A range needs the number of points too: add --grid"),
        (["plane", "--range-beta=0:2"], "add --grid"),
        (["plane", "--grid", "3"], "--grid must be like 51x51; got '3'"),
        (["curvature", "--grid", "3", "--range-beta=0:2"], "--range-beta needs a grid with two axes; got --grid 3"),
    ],
)
def test_a_range_that_would_be_ignored_is_refused(
    tmp_path: Path, files: list[str], words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *options = words
    checkpoints = files if command == "plane" else files[:1]
    assert run(command, *checkpoints, *options, "-o", str(tmp_path / "x.npz")) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["--weight-deacy", "1"], "--weight-decay"),
        (["--repeat", "2"], "--repeats"),
        (["--repeats", "0"], "greater than or equal to 1"),
        (["--calibration", "1"], "greater than or equal to 2"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_near_option_or_the_bound(
    files: list[str], words: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("slice", files[0], *words, "-o", "x.npz") == 2
    assert near in capsys.readouterr().err
