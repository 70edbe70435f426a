"""Figures show every value at its coordinates, with caption and self-check."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import landscape as ls
from landscape.errors import UnknownNameError
from landscape.grid import Grid
from landscape.plots.heights import fitting, heights, plotly_z
from landscape.results.arrays import Arrays

GRID = ls.Grid(ls.Axis(-1.0, 1.0, 5), ls.Axis(0.0, 0.5, 3))


@pytest.fixture(scope="module")
def result() -> ls.Result:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 3)
    images, labels = torch.randn(20, 4, generator=generator), torch.randint(0, 3, (20,), generator=generator)
    return ls.surface(model, images, labels, grid=GRID)


def test_plotly_draws_each_loss_at_its_alpha_and_beta(result: ls.Result) -> None:
    surface = result.figure(height="linear").data[0]
    assert np.shape(surface.z) == (3, 5)
    for i, alpha in enumerate(result.alphas):
        for j, beta in enumerate(result.betas):
            assert surface.z[list(surface.y).index(beta)][list(surface.x).index(alpha)] == result.losses[i, j]
    assert plotly_z(result.losses).tolist() == [[row[j] for row in result.losses] for j in range(3)]


def test_the_height_of_the_paper_is_the_logarithm_of_the_clipped_loss() -> None:
    losses = np.array([[0.0, 2.0], [50.0, np.inf], [np.nan, 10.0]])
    drawn = heights(losses)
    assert drawn[0].tolist() == pytest.approx([math.log(0.1), math.log(2.1)])
    assert drawn[1, 0] == drawn[2, 1] == pytest.approx(math.log(10.1))
    assert np.isnan([drawn[1, 1], drawn[2, 0]]).all()


def test_caption_and_self_check_are_on_the_figure_and_escaped(result: ls.Result) -> None:
    named = replace(result, caption="<b>net</b> & more")
    texts = [note.text for note in named.figure().layout.annotations]
    assert texts[0] == "&lt;b&gt;net&lt;/b&gt; &amp; more"
    assert texts[1].startswith("✓ self-check")
    broken = replace(result, provenance={**result.provenance, "model_unchanged": False})
    assert broken.contour().layout.annotations[1].text == "✗ self-check: model unchanged"


def test_points_that_are_not_finite_have_their_own_legend_entry(result: ls.Result) -> None:
    losses = result.losses.copy()
    losses[2, 1] = np.inf
    holes = replace(result, losses=losses).figure().data[1]
    assert holes.name == "1 points NaN or infinite"
    assert (list(holes.x), list(holes.y)) == ([result.alphas[2]], [result.betas[1]])


def test_a_slice_is_a_line_with_its_standard_error(result: ls.Result) -> None:
    line = replace(
        result,
        betas=np.zeros(1),
        **{name: getattr(result, name)[:, :1] for name in ("losses", "accuracies", "standard_errors", "computed")},
    )
    band, loss = line.figure().data
    assert list(loss.y) == result.losses[:, 0].tolist()
    assert list(band.y)[:5] == (result.losses + result.standard_errors)[:, 0].tolist()


def test_an_unknown_height_or_array_is_refused_with_the_known_ones(result: ls.Result) -> None:
    with pytest.raises(UnknownNameError, match="paper, linear, log"):
        result.figure(height="cubic")
    with pytest.raises(UnknownNameError, match="accuracies"):
        result.figure(array="test_losses")


def numbered(losses: list[float], unit: str) -> Arrays:
    grid = Grid.square(3)
    result = Arrays.empty(grid)
    points = [(i, j) for i in range(3) for j in range(3)]
    result.put(points, [(loss, math.nan, math.nan) for loss in losses])
    return replace(result, provenance={"loss": {"unit": unit}})


@pytest.mark.parametrize(
    ("losses", "unit", "height"),
    [
        ([0.5, 1, 2, 3, 4, 5, 6, 7, 1000], "nats", "paper"),
        ([-0.5, 1, 2, 3, 4, 5, 6, 7, 8], "nats", "linear"),
        ([11, 12, 13, 14, 15, 16, 17, 18, 19], "nats", "linear"),
        ([0.5, 1, 2, 3, 4, 5, 6, 7, 30], "", "linear"),
        ([0.01, 1, 2, 3, 4, 5, 6, 7, 300], "", "log"),
    ],
)
def test_the_default_height_fits_the_losses_so_that_none_is_left_out(
    losses: list[float], unit: str, height: str
) -> None:
    result = numbered(losses, unit)
    assert fitting([result]) == height
    assert np.isfinite(heights(result.losses, fitting([result]))).all()


def test_an_unknown_height_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="auto, paper, linear, log"):
        fitting([numbered([1.0] * 9, "nats")], "papper")
