"""A landscape over several seeds is the mean of single ones, and its band contains them all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape.api import slice, surface
from landscape.errors import DataError
from landscape.evaluation.run import Prepared, compute
from landscape.evaluation.seeds import RepeatedLandscape
from landscape.grid import Axis, Grid
from landscape.plots.figures import slice_traces
from landscape.results.metrics import numbers
from tests.support.landscapes import landscape_of

GRID = Grid(Axis(-1.0, 1.0, 4), Axis(-0.5, 0.5, 3))


def classifier() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    return model, torch.randn(17, 6, generator=generator), torch.randint(0, 3, (17,), generator=generator)


def test_the_mean_and_band_are_those_of_the_single_surfaces() -> None:
    model, images, labels = classifier()
    together = compute(Prepared(landscape_of(model, images, labels, make=RepeatedLandscape, seed=5, repeats=3), GRID))
    singles = [surface(model, images, labels, grid=GRID, seed=seed) for seed in (5, 6, 7)]
    losses = np.stack([one.losses for one in singles])
    assert together.losses == pytest.approx(losses.mean(axis=0), rel=1e-12)
    assert together.array("seed_deviations") == pytest.approx(losses.std(axis=0, ddof=1), rel=1e-9)
    assert (together.array("lowest_losses") == losses.min(axis=0)).all()
    assert (together.array("highest_losses") == losses.max(axis=0)).all()
    assert together.provenance["repeated"]["seeds"] == [5, 6, 7]
    assert all(check.passed for check in together.checks)


def test_a_single_seed_is_refused() -> None:
    with pytest.raises(DataError, match="at least two seeds; got 1"):
        RepeatedLandscape(*classifier(), repeats=1)


def test_a_second_data_set_is_refused_for_several_seeds() -> None:
    model, images, labels = classifier()
    with pytest.raises(DataError, match="one data set"):
        landscape_of(model, images, labels, make=RepeatedLandscape, repeats=2, also={"test": (images, labels)})


def test_the_band_of_a_mean_is_the_spread_of_its_seeds_in_picture_and_words() -> None:
    model, images, labels = classifier()
    line, repeats = Grid.line(5), 4
    result = slice(model, images, labels, grid=line, seed=3, repeats=repeats, progress=False)
    singles = [slice(model, images, labels, grid=line, seed=3 + k, progress=False).losses for k in range(repeats)]
    deviation = np.std(singles, axis=0, ddof=1)[:, 0]
    band, drawn = slice_traces(result, "losses")
    assert band["name"] == "± standard deviation over 4 seeds"
    upper = band["y"][: len(line.alphas)] - drawn["y"]
    assert upper == pytest.approx(deviation, rel=1e-9)
    assert "mean of seeds 3 to 6" in result.caption


def test_the_error_of_a_number_holds_the_choice_of_the_plane() -> None:
    model, images, labels = classifier()
    result = surface(model, images, labels, grid=Grid.square(9), repeats=4, progress=False)
    alone = surface(model, images, labels, grid=Grid.square(9), progress=False)
    of_samples = replace(result, extra={})
    with_seeds, without = ({one.name: one.error for one in numbers(each)} for each in (result, of_samples))
    assert all((with_seeds[name] or 0) >= (error or 0) - 1e-12 for name, error in without.items())
    assert (with_seeds["sharpness in 0.5"] or 0) > (without["sharpness in 0.5"] or 0)
    assert result.band[1] == "± standard deviation over 4 seeds"
    assert alone.band[1] == "± standard error of the mean over the samples"
