"""Packed files carry what the original module answers: errors of recording are refused, and noticed at every use."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import landscape as ls
from landscape.errors import CheckpointError
from landscape.grid import Axis, Grid
from landscape.packing import FORMAT
from landscape.packing.trials import TRIALS, WIDTH, Trial, batch_of, kept, moved, sketch
from landscape.results.self_check import Check
from tests.landscape.evaluation.test_complex import LABELS, Rotary, Spectral, tokens
from tests.support.small_models import convolutional, gaussian, perceptron, pictures, vectors

GRID = Grid(Axis(-1, 1, 3), Axis(-0.5, 1, 4))
FORMAT_1 = Path(__file__).with_name("format1.safetensors")  # Linear(3, 4), ReLU, Linear(4, 2), before this was written


class Two(nn.Module):
    """Two layers; `between` is what a subclass does to the samples, `scale` to the first layer's output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)

    def between(self, x: Tensor) -> Tensor:
        return x

    def scale(self, hidden: Tensor) -> Any:
        return 1.0

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(self.between(x))
        return self.last(hidden * self.scale(hidden))


class MeanInPython(Two):
    def between(self, x: Tensor) -> Tensor:
        return x - float(x.detach().numpy().mean())


class MeanInTorch(Two):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean()


class BranchOnValues(Two):
    def between(self, x: Tensor) -> Tensor:
        return x if x.detach().numpy().sum() > 1e-3 else x.relu()


class BranchInTorch(Two):
    def between(self, x: Tensor) -> Tensor:
        return torch.where(x.sum() > 1e-3, x, x.relu())


class WeightsInPython(Two):
    def scale(self, hidden: Tensor) -> Any:
        return torch.tensor(self.first.weight.tolist()).abs().mean()


class WeightsInTorch(Two):
    def scale(self, hidden: Tensor) -> Any:
        return self.first.weight.abs().mean()


class OneIsSpecial(Two):
    def scale(self, hidden: Tensor) -> Any:
        return 2.0 if len(hidden) == 1 else 1.0


class Captured(Two):
    def __init__(self) -> None:
        super().__init__()
        weight = self.first.weight
        self.spread = lambda: weight.abs().mean()

    def scale(self, hidden: Tensor) -> Any:
        return self.spread()


class HalfInside(Two):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


class Mixing(Two):
    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def original_of(result: ls.Result) -> Check:
    [line] = [check for check in result.checks if check.name == "original module"]
    return line


def surface(model: nn.Module, samples: Tensor, labels: Tensor, **options: Any) -> ls.Result:
    return ls.surface(model, samples, labels, grid=GRID, progress=False, **options)


def read(path: Path) -> nn.Module:
    return ls.inspect(path).model()


WRONG: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], str]] = {
    "a mean by numpy": (MeanInPython, MeanInTorch, "no .numpy()"),
    "a branch on values": (BranchOnValues, BranchInTorch, "no .numpy()"),
    "weights as a list": (WeightsInPython, WeightsInTorch, "for other weights only"),
    "one sample otherwise": (OneIsSpecial, Two, "for one sample"),
    "a captured parameter": (Captured, WeightsInTorch, "Read it from self"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_that_differs_from_its_module_is_not_written_and_the_advice_helps(name: str, tmp_path: Path) -> None:
    wrong, mended, said = WRONG[name]
    with pytest.raises(CheckpointError) as caught:
        ls.pack(wrong(), gaussian(4, 6), tmp_path / "network.safetensors")
    assert said in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert not list(tmp_path.iterdir())
    again, x = read(ls.pack(mended(), gaussian(4, 6), tmp_path / "network.safetensors")), gaussian(9, 6, seed=3)
    torch.testing.assert_close(again(x), mended()(x))


def test_a_module_that_fails_on_the_example_is_refused_with_its_words(tmp_path: Path) -> None:
    class Small(Two):
        def between(self, x: Tensor) -> Tensor:
            if x.detach().numpy().max() > 1:
                raise ValueError("pixels are from 0 to 1")
            return x

    with pytest.raises(CheckpointError, match="fails on example_input: pixels are from 0 to 1"):
        ls.pack(Small(), 9 * gaussian(4, 6), tmp_path / "network.safetensors")
    ls.pack(Small(), gaussian(4, 6) / 9, tmp_path / "network.safetensors")  # noise is too large for it, and left out


@pytest.mark.parametrize(
    ("make", "x", "precision", "most"),
    [
        (perceptron, vectors()[0], "float32", 1e-6),
        (convolutional, pictures()[0], "float32", 1e-6),
        (lambda: perceptron().double(), vectors()[0].double(), "float64", 1e-5),
        (lambda: perceptron().bfloat16(), vectors()[0], "bfloat16", 0.1),
        (lambda: perceptron(), torch.zeros(1, 5), "float32", 1e-6),
    ],
    ids=["perceptron", "convolutional", "float64", "bfloat16", "blank example"],
)  # fmt: skip
def test_a_surface_of_a_packed_network_says_how_far_it_is_from_the_original(
    make: Callable[[], nn.Module], x: Tensor, precision: str, most: float, tmp_path: Path
) -> None:
    model = make()
    samples, labels = pictures() if x.ndim == 4 else vectors()
    result = surface(read(ls.pack(model, x[:3], tmp_path / "network.safetensors")), samples, labels)
    found = result.provenance["original"]
    assert (found["precision"], len(found["trials"])) == (precision, len(TRIALS))
    assert max(found["differences"]) <= most
    assert original_of(result).passed
    assert "6 batches of 20 samples" in original_of(result).text
    assert all(check.passed for check in result.checks)


def test_a_module_itself_has_no_line_about_an_original() -> None:
    names = [check.name for check in surface(perceptron(), *vectors()).checks]
    assert "original module" not in names


def changed(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
    """The packed file with its graph and tensors changed."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    graph = json.loads(metadata["graph"])
    change(graph, tensors)
    save_file(tensors, path, {**metadata, "graph": json.dumps(graph)})
    return path


def another_operator(graph: dict[str, Any], _: dict[str, Tensor]) -> None:
    next(node for node in graph["nodes"] if "tanh" in node[0])[0] = "aten.sin.default"


def another_weight(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    tensors["2.weight"][1, 2] *= 1.05


def not_finite(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    tensors["2.weight"] *= 1e38


@pytest.mark.parametrize("change", [another_operator, another_weight, not_finite])
def test_a_file_that_computes_something_else_than_its_original_fails_the_check(
    change: Callable[..., None], tmp_path: Path
) -> None:
    path = changed(ls.pack(perceptron(), vectors()[0][:3], tmp_path / "network.safetensors"), change)
    result = surface(read(path), *vectors())
    assert not original_of(result).passed
    assert "relative difference" in original_of(result).text


def test_a_file_of_the_first_format_is_not_verified_and_says_so() -> None:
    model = read(FORMAT_1)
    torch.manual_seed(0)
    same, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), gaussian(8, 3)
    torch.testing.assert_close(model(x), same(x))
    line = original_of(surface(model, x, torch.arange(8) % 2))
    assert line.passed
    assert line.text.startswith("not verified against the original: the file holds no outputs of it")


def test_weights_that_were_changed_after_reading_are_not_verified(tmp_path: Path) -> None:
    model = read(ls.pack(perceptron(), vectors()[0][:3], tmp_path / "network.safetensors"))
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    line = original_of(surface(model, *vectors()))
    assert line.text == "not verified against the original: its weights were changed after the file was read"


def test_a_file_of_a_later_format_is_refused_with_advice(tmp_path: Path) -> None:
    path = ls.pack(perceptron(), vectors()[0][:3], tmp_path / "network.safetensors")
    path.write_bytes(path.read_bytes().replace(FORMAT.encode(), FORMAT.replace("2", "9").encode()))
    with pytest.raises(CheckpointError, match=r"packed network 9.*Update the package"):
        ls.inspect(path)


def test_a_file_keeps_at_most_a_mebibyte_of_a_large_example(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 7, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    path = ls.pack(model, gaussian(9, 3, 700, 700), tmp_path / "network.safetensors")
    assert 2**20 < path.stat().st_size < 2**20 + 20_000
    small = ls.pack(model, gaussian(9, 3, 14, 14), tmp_path / "small.safetensors")
    assert small.stat().st_size < 7 * 3 * 14 * 14 * 4 + 20_000


def test_autocast_around_packing_is_not_recorded(tmp_path: Path) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        path = ls.pack(perceptron(), vectors()[0][:3], tmp_path / "network.safetensors")
    torch.testing.assert_close(read(path)(vectors()[0]), perceptron()(vectors()[0]))


def test_autocast_inside_of_a_module_is_recorded_and_compared_at_every_point(tmp_path: Path) -> None:
    """Autocast keeps converted weights, which must not stay those of another point."""
    result = surface(read(ls.pack(HalfInside(), gaussian(4, 6), tmp_path / "network.safetensors")), *vectors_of_six())
    assert original_of(result).passed
    assert max(result.provenance["original"]["differences"]) <= 1e-2


def vectors_of_six() -> tuple[Tensor, Tensor]:
    return gaussian(20, 6, seed=4), torch.arange(20) % 3


def test_a_packed_network_that_mixes_samples_is_computed_over_one_batch_that_the_caption_names(tmp_path: Path) -> None:
    model, (x, labels) = Mixing(), vectors_of_six()
    result = surface(read(ls.pack(model, gaussian(4, 6), tmp_path / "network.safetensors")), x, labels)
    assert result.provenance["forward"]["together"]
    assert result.provenance["batch"] == len(x)
    assert "batch" in result.caption
    assert result.caption == surface(model, x, labels).caption.replace("Mixing", "PackedModule")
    assert result.losses[1, 1] == pytest.approx(nn.functional.cross_entropy(model(x), labels).item(), rel=1e-6)
    assert all(check.passed for check in result.checks)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("make", "x"), [(Rotary, tokens()), (Spectral, gaussian(40, 16))], ids=["rotary", "spectral"])
def test_a_packed_network_of_complex_numbers_has_the_surface_of_its_module(
    make: Callable[[], nn.Module], x: Tensor, precision: str, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns where it drops an imaginary part
        packed = read(ls.pack(make(), x[:3], tmp_path / "network.safetensors"))
        found, expected = (surface(one, x, LABELS, precision=precision) for one in (packed, make()))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-6)
    assert {name: tensor.dtype for name, tensor in packed.named_parameters()} == {
        name: tensor.dtype for name, tensor in make().named_parameters()
    }
    assert all(check.passed for check in found.checks)
    assert max(found.provenance["original"]["differences"]) <= 1e-6


def test_a_dropped_imaginary_part_fails_the_check(tmp_path: Path) -> None:
    def drop(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        tensors["freqs_cis"] = tensors["freqs_cis"].real.to(torch.complex64)

    path = changed(ls.pack(Rotary(), tokens()[:3], tmp_path / "network.safetensors"), drop)
    assert not original_of(surface(read(path), tokens(), LABELS)).passed


def split_mix(count: int) -> list[int]:
    """The first outputs of SplitMix64 with seed 0, one by one."""
    state, found, mask = 0, [], 2**64 - 1
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & mask
        found.append(mixed ^ (mixed >> 31))
    return found


def test_noise_is_that_of_splitmix_on_every_machine() -> None:
    assert split_mix(1) == [0xE220A8397B1DCDAF]  # as in the reference implementation
    numbers = torch.tensor([1.0, 3.0])  # mean 2, standard deviation 1
    found = batch_of(Trial("noise", 2, 0), numbers, (2, 3)).flatten().double()
    expected = [2 + 3**0.5 * ((mixed >> 40) / 2**23 - 1) for mixed in split_mix(12)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_samples_are_those_of_the_example_then_shifted_ones_and_tokens_stay_among_its_tokens() -> None:
    example = torch.arange(12.0).reshape(3, 4)
    found = batch_of(Trial("example", 7, 0), kept(example), (4,))
    assert found[:3].equal(example)
    assert found[3].tolist() == [3.0, 0.0, 1.0, 2.0]
    assert len({tuple(row) for row in found.tolist()}) == 7
    few = torch.tensor([[5, 9, 9, 2]])
    drawn = batch_of(Trial("noise", 7, 1), kept(few), (4,))
    assert set(drawn.flatten().tolist()) == {2, 5, 9}
    assert len({tuple(row) for row in drawn.tolist()}) == 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_every_weight_is_moved_and_keeps_its_sign(dtype: torch.dtype) -> None:
    weight = gaussian(300, 1000).to(dtype)
    weight[0] = 0
    assert moved("w", weight, 0) is weight
    one, other = moved("w", weight, 1), moved("w", weight, 2)
    assert one.dtype == dtype
    share = 0.02 if dtype == torch.bfloat16 else 0.0  # moves that rounding undoes
    assert (one == weight).float().mean() <= share
    assert (one == other).float().mean() <= share
    assert (moved("v", weight, 1) == one).float().mean() <= share
    ratio = (one[1:] / weight[1:] - 1).abs()
    assert ratio.max() < 0.3
    assert float(ratio.double().square().mean().sqrt()) == pytest.approx(0.14 if one.is_complex() else 0.1, rel=0.05)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, WIDTH), (2, 5003)])
def test_a_sketch_is_the_sum_with_signs_and_any_change_shows(shape: tuple[int, ...]) -> None:
    outputs = gaussian(*shape)
    found = sketch(outputs, 2)
    rows, drawn = outputs.reshape(2, -1).double(), [mixed >> 40 for mixed in split_mix(outputs[0].numel())]
    if rows.shape[1] > WIDTH:
        expected = torch.zeros(2, WIDTH, dtype=torch.float64)
        for at, number in enumerate(drawn):
            expected[:, at % WIDTH] += rows[:, at] * (1 if number > 2**23 else -1)
        torch.testing.assert_close(found, expected)
    else:
        assert found.equal(rows)
    for at in range(0, outputs[0].numel(), 97):
        other = outputs.clone()
        other.view(2, -1)[1, at] += 1
        assert float((sketch(other, 2) - found).abs().max()) == pytest.approx(1, rel=1e-5)


def test_a_module_of_several_types_is_compared_by_the_coarsest(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.norm, self.last = nn.LayerNorm(6), nn.Linear(6, 3).bfloat16()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.norm(x).to(self.last.weight.dtype)).float()

    path = ls.pack(Mixed(), gaussian(4, 6, seed=1), tmp_path / "mixed.safetensors")
    facts = ls.inspect(path).model().compared()
    assert facts["precision"] == "bfloat16"
    assert all(one <= facts["limit"] for one in facts["differences"])
