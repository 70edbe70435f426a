"""Lines of the self-check where one rule does not fit all results."""

from typing import Any

import numpy as np
import pytest

from landscape import api
from landscape.grid import Grid
from landscape.results.self_check import Check, self_check
from tests.support.small_models import perceptron, vectors


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    images, labels = vectors()
    return dict(api.surface(perceptron(), images, labels, grid=Grid.square(3), progress=False).provenance)


def line(name: str, facts: dict[str, Any]) -> Check:
    ones = np.ones((3, 3))
    [found] = [one for one in self_check(facts, ones, ones > 0) if one.name == name]
    return found


@pytest.mark.parametrize(("kind", "passed"), [("overall", True), ("filter", False)])
def test_one_filter_may_make_up_for_another_only_where_directions_are_orthogonal_overall(
    facts: dict[str, Any], kind: str, passed: bool
) -> None:
    facts = {**facts, "cosine": 1e-16, "turned_cosine": 0.3, "parallel_filters": 4}
    facts["directions"] = {**facts["directions"], "orthogonality": kind}
    assert line("directions orthogonal", facts).passed == passed


def test_directions_that_are_not_orthogonal_overall_are_red(facts: dict[str, Any]) -> None:
    facts = {**facts, "cosine": 1e-3, "turned_cosine": 0.3, "parallel_filters": 4}
    facts["directions"] = {**facts["directions"], "orthogonality": "overall"}
    assert not line("directions orthogonal", facts).passed


def test_layers_without_filters_have_no_norms_to_compare(facts: dict[str, Any]) -> None:
    empty = {"filters": 0, "zero_filters": 0, "layer_ratio_min": None, "layer_ratio_max": None}
    assert line("filter norms", {**facts, "normalization": "layer", **empty}).passed


def test_at_most_three_parameters_are_named(facts: dict[str, Any]) -> None:
    forward = {**facts["forward"], "still": ["a", "b", "c", "d", "e"]}
    found = line("forward pass", {**facts, "forward": forward})
    assert found.passed
    assert "'a', 'b', 'c' and 2 more" in found.text
