"""A result in words, with its numbers; and the colors of the picture in a notebook, light or dark."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import landscape as ls
from tests.support.small_models import perceptron, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2))


@pytest.fixture(scope="module")
def surface() -> ls.Result:
    options: dict[str, Any] = {"also": {"test": vectors(7)}, "weight_decay": 0.01, "seed": 3}
    return ls.surface(perceptron(), *vectors(), grid=GRID, progress=False, **options)


def lines(result: ls.Result) -> dict[str, str]:
    """The lines that `print` shows, by their name."""
    pairs = [line.split(maxsplit=1) for line in str(result).splitlines()]
    return {pair[0]: pair[1] for pair in pairs}


def test_print_shows_a_line_for_grid_values_network_data_directions_and_self_check(surface: ls.Result) -> None:
    shown, facts = lines(surface), surface.provenance
    losses, tests = surface.losses, surface.array("test_losses")
    assert shown["surface"] == "3 × 2 points on [−1, 1] × [0, 1], all computed"
    interval = facts["center"]["interval"]
    assert shown["losses"] == (
        f"{losses.min():.4g} to {losses.max():.4g}, {losses[1, 0]:.4g} at the center, "
        f"95 % interval {interval['low']:.4g} to {interval['high']:.4g}"
    )
    assert shown["test_losses"] == f"{tests.min():.4g} to {tests.max():.4g}, {tests[1, 0]:.4g} at the center"
    assert shown["network"] == f"Sequential, weights of SHA-256 {facts['weights_sha256'][:12]}…"
    assert shown["data"] == f"tensors, 29 given samples, SHA-256 {facts['data_sha256'][:12]}…"
    assert shown["directions"] == "filter-normalized, orthogonal in every filter, seed 3"
    assert shown["objective"] == "cross_entropy in nats, weight decay 0.01, no BatchNorm"
    assert re.fullmatch(r"float32 by the \w+ engine on cpu in [\d.e-]+ s, landscape .*, torch .*", shown["computed"])
    assert shown["self-check"] == "✓ 7 of 7"
    assert "\n" not in repr(surface)


def test_print_says_what_failed_and_what_is_missing(surface: ls.Result) -> None:
    losses = surface.losses.copy()
    losses[0, 0], losses[2, 1] = np.inf, np.nan
    shown = lines(replace(surface, losses=losses))
    assert re.search(r"at the center, 95 % interval \S+ to \S+, 2 NaN or infinite$", shown["losses"])
    assert shown["self-check"] == "✗ finite losses"


def test_print_says_that_a_few_samples_carry_the_loss_and_leaves_out_accuracies_without_classes(
    surface: ls.Result,
) -> None:
    center = surface.provenance["center"]
    facts = {**surface.provenance, "center": {**center, "interval": {**center["interval"], "reliable": False}}}
    shown = lines(replace(surface, provenance=facts, accuracies=np.full(surface.losses.shape, np.nan)))
    assert "which a few samples carry: too few for an interval" in shown["losses"]
    assert "accuracies" not in shown


def test_an_empty_result_can_be_printed_and_has_no_line_without_content() -> None:
    assert lines(ls.Result.empty(GRID)) == {"surface": "3 × 2 points, 0 computed"}


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb", by the definition of WCAG 2.1."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("background", ["#ffffff", "#111111", "#1e1e1e"])
def test_marks_and_lines_in_a_notebook_contrast_with_light_and_dark_backgrounds(background: str) -> None:
    line = ls.slice(perceptron(), *vectors(), grid=ls.Grid.line(5), progress=False)
    broken = replace(line, provenance={**line.provenance, "model_unchanged": False})
    html = broken._repr_mimebundle_()["text/html"]
    colors = re.findall(r'(?:color:|stroke="|fill=")(#\w{3,6})', html)
    assert len(colors) >= 8  # a mark for each of the checks, the line and its frame
    for color in colors:
        whole = color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])
        low, high = sorted((luminance(whole), luminance(background)))
        assert (high + 0.05) / (low + 0.05) >= 3
