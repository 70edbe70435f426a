"""A landscape over several seeds is the mean of single ones, and its band contains them all."""

import numpy as np
import pytest
import torch

from landscape.api import surface
from landscape.errors import DataError
from landscape.evaluation.run import Prepared, compute
from landscape.evaluation.seeds import RepeatedLandscape
from landscape.grid import Axis, Grid
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
