"""`Result.refine`: more points, another range, more seeds, from a result in memory or from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.errors import GridError, LandscapeError, UnknownOptionError
from landscape.evaluation.reuse import DifferentSettingsError
from landscape.result import Result

GRID = ls.Grid(ls.Axis(-0.5, 1.0, 4), ls.Axis(-1.0, 0.5, 3))


class CountedModel(nn.Sequential):
    """A network that counts the samples that it is called with; it runs plainly, since it has a side effect."""

    calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        CountedModel.calls += len(inputs)
        outputs: torch.Tensor = nn.Sequential.forward(self, inputs)  # type: ignore[no-untyped-call]
        return outputs


def classifier(seed: int = 0, make: Callable[..., nn.Module] = nn.Sequential) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(17, 6, generator=generator), torch.randint(0, 3, (17,), generator=generator)


@pytest.fixture(scope="module")
def coarse() -> Result:
    return ls.surface(classifier(), *samples(), grid=GRID, seed=3, progress=False)


def test_a_result_in_memory_is_refined_without_further_arguments(coarse: Result) -> None:
    finer = coarse.refine(2, progress=False)
    at_once = ls.surface(classifier(), *samples(), grid=GRID.refined(2), seed=3, progress=False)
    assert finer == at_once
    assert finer.losses.tobytes() == at_once.losses.tobytes()
    assert finer.provenance["reused"] == {"points": 12, "coordinate_difference": 0.0, "exact": True}
    assert finer.provenance["request"] == at_once.provenance["request"]
    assert finer.reproduce(progress=False).same
    again = finer.refine(alpha=(-1.0, 1.0), progress=False)
    assert again.losses.shape == (9, 5)
    assert again.provenance["reused"]["points"] == 35


def test_a_region_of_more_seeds_reuses_the_points_and_the_seed(coarse: Result) -> None:
    found = coarse.refine(4, alpha=(0, 0.5), beta=(-1, -0.5), repeats=3, progress=False)
    at_once = ls.surface(classifier(), *samples(), grid=found.grid, seed=3, repeats=3, progress=False)
    assert found.losses.shape == (5, 4)
    for name in at_once.columns:
        assert found.array(name) == pytest.approx(at_once.array(name), rel=1e-12)
    assert found.provenance["reused"] == {"points": 2 * 1, "coordinate_difference": 0.0, "exact": False, "seeds": 1}
    assert found.provenance["request"] == at_once.provenance["request"]
    assert found.provenance["repeated"] == at_once.provenance["repeated"]
    again = found.reproduce(progress=False)
    assert (again.same, again.same_environment) == (True, False)
    assert "up to rounding; the environments differ in reused points" in again.verdict
    finer = found.refine(2, progress=False)
    assert finer.provenance["reused"]["exact"] is False  # some of its values are merged
    assert found.refine(repeats=4, progress=False).provenance["repeated"]["seeds"] == [3, 4, 5, 6]


def test_only_the_missing_points_are_evaluated() -> None:
    model, (images, labels) = classifier(make=CountedModel), samples()
    options: dict[str, Any] = {"choice": {"engine": "plain"}, "progress": False}
    made = []
    for count in (3, 5):  # what preparing costs, besides the points
        before = CountedModel.calls
        ls.slice(model, images, labels, grid=ls.Grid.line(count), **options)
        made.append(CountedModel.calls - before)
    each = (made[1] - made[0]) // 2
    assert each == 17
    first = ls.slice(model, images, labels, grid=ls.Grid.line(9), **options)
    before = CountedModel.calls
    first.refine(2, progress=False)
    assert CountedModel.calls - before == made[0] + (8 - 3) * each


@pytest.mark.parametrize("ending", ["npz", "json", "h5"])
def test_a_result_from_a_file_is_refined_with_model_and_samples(coarse: Result, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"coarse.{ending}"
    coarse.save(file)
    loaded = Result.load(file)
    images, labels = samples()
    finer = loaded.refine(2, model=classifier(), images=images, labels=labels, progress=False)
    assert finer == coarse.refine(2, progress=False)
    with pytest.raises(LandscapeError, match="does not hold model, images"):
        loaded.refine(2)
    with pytest.raises(DifferentSettingsError, match="differs in the checkpoint"):
        loaded.refine(2, model=classifier(1), images=images, labels=labels, progress=False)
    with pytest.raises(DifferentSettingsError, match="differs in the samples"):
        loaded.refine(2, model=classifier(), images=images + 1, labels=labels, progress=False)


def test_kinds_with_further_checkpoints_take_them_by_their_names(tmp_path: Path) -> None:
    model, end, (images, labels) = classifier(), classifier(1), samples()
    line = ls.interpolation(model, end, images, labels, grid=ls.Grid.line(5), progress=False)
    line.save(tmp_path / "line.npz")
    finer = Result.load(tmp_path / "line.npz").refine(
        2, model=model, images=images, labels=labels, end=end, progress=False
    )
    assert finer == line.refine(2, progress=False)
    assert finer.losses[::2].tobytes() == line.losses.tobytes()
    with pytest.raises(LandscapeError, match="not random, so there are no further seeds"):
        line.refine(repeats=2)


def test_a_loss_that_is_a_function_is_kept_by_a_result_in_memory() -> None:
    def squared(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (outputs.gather(1, labels[:, None])[:, 0] - 1) ** 2

    first = ls.slice(classifier(), *samples(), grid=ls.Grid.line(5), loss=squared, progress=False)
    at_once = ls.slice(classifier(), *samples(), grid=ls.Grid.line(9), loss=squared, progress=False)
    assert first.refine(2, progress=False).losses.tobytes() == at_once.losses.tobytes()


def test_an_interrupted_result_is_completed(coarse: Result) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    part = ls.surface(classifier(), *samples(), grid=ls.Grid(ls.Axis(count=9), ls.Axis(count=17)), progress=stop)
    assert 0 < part.computed.sum() < part.computed.size
    whole = part.refine(progress=False)
    assert whole.computed.all()
    assert "interrupted" not in whole.provenance
    known = part.computed
    assert whole.losses[known].tobytes() == part.losses[known].tobytes()
    again = whole.refine(repeats=2, progress=stop)  # while the second seed is computed
    assert again.provenance["interrupted"] is True
    assert 0 < again.computed.sum() < again.computed.size
    assert np.isnan(again.losses[~again.computed]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, LandscapeError, "adds nothing to the result. Give a factor above 1, another range, or more repeats"),
        ({"repeats": 1}, LandscapeError, "adds nothing"),
        ({"repeats": 0}, LandscapeError, "the number of seeds in all, at least those of the result, 1; got 0"),
        ({"factor": 0}, GridError, "1 or more; got 0"),
        ({"alpha": (1, 0)}, GridError, "empty or reversed"),
        ({"factr": 2}, UnknownOptionError, "no option 'factr'. Did you mean 'factor'"),
    ],
)
def test_what_is_not_possible_is_refused_before_anything_is_computed(
    coarse: Result, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        coarse.refine(**arguments)
