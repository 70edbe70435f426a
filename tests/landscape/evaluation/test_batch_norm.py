"""BatchNorm in unusual networks: layers that run twice, keep no statistics, or gather them over processes."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from landscape import api
from landscape.directions.random import random_directions
from landscape.errors import DataError
from landscape.grid import Grid
from tests.support.small_models import gaussian, stirred

GRID = Grid.line(5)
IMAGES, LABELS = gaussian(65, 2, 6, 5), torch.arange(65) % 3
ENGINES = [None, {"engine": "plain"}]


class Twice(nn.Module):
    """One convolution and one BatchNorm, run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.last = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).relu()
        x = self.norm(self.again(x) * 3 + 1).relu()
        return self.last(x.mean((2, 3)))


def network(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 8, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def moved(model: nn.Module, alpha: float) -> nn.Module:
    """The model in float64, moved along the direction of seed 0."""
    copied = copy.deepcopy(model).double()
    [delta] = random_directions(dict(model.named_parameters()), seed=0, count=1)
    for name, parameter in copied.named_parameters():
        parameter.data += alpha * delta[name]
    return copied


def loss(model: nn.Module, batches: list[slice]) -> float:
    with torch.no_grad():
        losses = [F.cross_entropy(model(IMAGES[one].double()), LABELS[one], reduction="none") for one in batches]
    return float(torch.cat(losses).mean())


@pytest.mark.parametrize("choice", ENGINES)
def test_recalibrated_statistics_of_a_layer_that_runs_twice_are_those_of_update_bn(choice: dict[str, str]) -> None:
    model = stirred(Twice())
    result = api.slice(
        model, IMAGES, LABELS, grid=GRID, batch_norm="recalibrated", calibration=65, choice=choice, progress=False
    )
    expected = []
    for alpha in GRID.alphas:
        at = moved(model, alpha)
        update_bn([IMAGES.double()], at)
        expected.append(loss(at.eval(), [slice(None)]))
    np.testing.assert_allclose(result.losses[:, 0], expected, rtol=1e-5)
    assert all(check.passed for check in result.checks), result.checks


@pytest.mark.parametrize("policy", ["frozen", "recalibrated", "batch"])
def test_synchronized_batchnorm_is_batchnorm_in_one_process(policy: str) -> None:
    torch.manual_seed(0)
    model = network(nn.BatchNorm2d(8))
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))
    options = {"grid": GRID, "batch_norm": policy, "progress": False}
    one, other = (api.slice(each, IMAGES, LABELS, **options) for each in (model, synchronized))  # type: ignore[arg-type]
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-6)
    assert type(synchronized[1]) is nn.SyncBatchNorm
    assert all(check.passed for check in other.checks), other.checks


@pytest.mark.parametrize("policy", ["frozen", "recalibrated", "batch"])
def test_batchnorm_without_statistics_takes_those_of_each_batch_and_the_caption_says_so(policy: str) -> None:
    torch.manual_seed(0)
    model = network(nn.BatchNorm2d(8, track_running_stats=False))
    result = api.slice(model, IMAGES, LABELS, grid=GRID, batch_norm=policy, progress=False)  # type: ignore[arg-type]
    expected = [loss(moved(model, alpha).eval(), [slice(None)]) for alpha in GRID.alphas]
    np.testing.assert_allclose(result.losses[:, 0], expected, rtol=1e-5)
    assert "BatchNorm of batches of" in result.caption
    assert all(check.passed for check in result.checks), result.checks


@pytest.mark.parametrize("kind", ["tracked", "untracked"])
def test_a_last_batch_of_one_sample_joins_the_one_before(kind: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 8), nn.BatchNorm1d(8, track_running_stats=kind == "tracked"))
    model.append(nn.Linear(8, 3))
    policy = "batch" if kind == "tracked" else "frozen"
    result = api.slice(model, IMAGES, LABELS, grid=GRID, batch_norm=policy, batch=32, progress=False)  # type: ignore[arg-type]
    expected = [loss(moved(model, alpha).train(), [slice(32), slice(32, 65)]) for alpha in GRID.alphas]
    np.testing.assert_allclose(result.losses[:, 0], expected, rtol=1e-5)
    assert all(check.passed for check in result.checks), result.checks


def test_one_sample_has_no_statistics_of_a_batch() -> None:
    with pytest.raises(DataError, match="at least 2"):
        api.slice(network(nn.BatchNorm2d(8)), IMAGES[:1], LABELS[:1], grid=GRID, batch_norm="batch", progress=False)
