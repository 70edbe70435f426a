"""Confidence intervals of mean losses: coverage in simulation, the side of the tail, edge cases."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import landscape as ls
from landscape.objective.interval import interval, student
from tests.support.small_models import perceptron, vectors

RUNS = 2000
SOURCES = {  # the mean, and how n losses are drawn
    "normal": (5.0, lambda rng, n: rng.normal(5, 1, n)),
    "uniform": (0.5, lambda rng, n: rng.random(n)),
    "exponential": (1.0, lambda rng, n: rng.exponential(1, n)),
    "chi-squared, 1 degree": (1.0, lambda rng, n: rng.chisquare(1, n)),
    "mirrored exponential": (-1.0, lambda rng, n: -rng.exponential(1, n)),
}


@pytest.mark.parametrize("count", [20, 50, 200])
@pytest.mark.parametrize("name", SOURCES)
def test_intervals_of_moderately_skewed_losses_hold_the_mean_in_93_to_97_of_100_cases(name: str, count: int) -> None:
    mean, draw = SOURCES[name]
    rng = np.random.default_rng(0)
    found = [interval(torch.from_numpy(draw(rng, count))) for _ in range(RUNS)]
    held = np.mean([one.low <= mean <= one.high for one in found])
    spread = 3 * (0.95 * 0.05 / RUNS) ** 0.5
    least = 0.915 if count == 20 else 0.93
    assert least <= held <= 0.97 + spread


def test_losses_that_a_few_samples_carry_are_called_unreliable_or_hold_the_mean() -> None:
    rng = np.random.default_rng(1)
    draws = [torch.from_numpy(rng.lognormal(0, 1.5, 50)) for _ in range(RUNS)]
    found, mean = [interval(one) for one in draws], math.exp(1.5**2 / 2)
    missed = np.mean([one.reliable and not one.low <= mean <= one.high for one in found])
    plain = np.mean([abs(float(one.mean()) - mean) > 2 * float(one.std()) / 50**0.5 for one in draws])
    assert missed < 0.08
    assert plain > 0.15  # what two standard errors to either side miss, without a word


def test_without_skew_it_is_students_interval() -> None:
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    wanted = stats.t.interval(0.95, 6, loc=4.0, scale=stats.sem(losses.double().numpy()))
    found = interval(losses)
    np.testing.assert_allclose((found.low, found.high), wanted, rtol=1e-4)
    assert found.reliable


def test_quantiles_are_students() -> None:
    for degrees in (*range(1, 60), 200, 10_000):
        assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9 if degrees < 3 else 2e-3)


def test_the_side_of_the_tail_is_longer() -> None:
    losses = torch.distributions.Exponential(torch.tensor(1.0)).icdf(torch.linspace(0.01, 0.99, 40))
    found, mean = interval(losses), float(losses.mean())
    assert found.high - mean > 1.2 * (mean - found.low)


@pytest.mark.parametrize(
    "losses", [torch.ones(2), torch.tensor([1.0, math.inf, 2.0]), torch.tensor([1.0, math.nan, 2.0])]
)
def test_too_few_or_infinite_losses_have_none(losses: Tensor) -> None:
    assert interval(losses).to_json() is None


@pytest.mark.parametrize("size", [1e-120, 1e120, 1e300])
def test_the_size_of_the_losses_does_not_matter(size: float) -> None:
    losses = torch.tensor([1.0, 2.0, 5.0, 4.0], dtype=torch.float64)
    found, wanted = interval(size * losses), interval(losses)
    if wanted.low * size < 1e300 and found.to_json():
        np.testing.assert_allclose((found.low, found.high), (size * wanted.low, size * wanted.high), rtol=1e-9)
    else:
        assert size == 1e300, "its variance overflows"


def test_losses_without_spread_are_their_mean() -> None:
    found = interval(torch.full((9,), 0.3))
    assert found.low == found.high == pytest.approx(0.3, abs=1e-7)
    assert found.reliable


def test_a_result_states_the_interval_of_its_center_with_weight_decay() -> None:
    model, (samples, labels) = perceptron(), vectors()
    options = {"grid": ls.Grid.line(3), "precision": "float64"}
    plain, decayed = (ls.slice(model, samples, labels, weight_decay=w, **options) for w in (0.0, 0.1))
    losses = torch.nn.functional.cross_entropy(model.double()(samples.double()), labels, reduction="none").detach()
    wanted, penalty = interval(losses), 0.05 * sum(float(one.detach().square().sum()) for one in model.parameters())
    for result, more in ((plain, 0.0), (decayed, penalty)):
        found = result.provenance["center"]["interval"]
        np.testing.assert_allclose((found["low"], found["high"]), (wanted.low + more, wanted.high + more), rtol=1e-9)


def test_losses_that_depend_on_each_other_have_no_interval() -> None:
    def spread(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - outputs.mean(0)).square().mean(1)

    result = ls.slice(perceptron(), *vectors(), grid=ls.Grid.line(3), loss=spread)
    assert result.provenance["center"]["interval"] is None


def test_a_paired_difference_unpacks_and_has_an_interval() -> None:
    found = ls.paired(perceptron(), *vectors(), (0.3,), (0.0,), weight_decay=0.1)
    difference, error = found
    assert (difference, error) == (found.difference, found.standard_error)
    assert found.interval.low < difference < found.interval.high
