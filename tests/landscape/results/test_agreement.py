"""Agreement of two results: what differs is named, and how far every array is apart, against number by number."""

import json
import math
import re
import struct
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import landscape as ls
from landscape.results.agreement import Agreement
from landscape.results.deviation import Deviation, deviation
from tests.support.small_models import convolutional, perceptron, pictures, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2))
NUMBERS = st.lists(
    st.tuples(st.floats(), st.floats()) | st.floats().map(lambda one: (one, one)), min_size=1, max_size=9
)


@pytest.fixture(scope="module")
def surface() -> ls.Result:
    return ls.surface(perceptron(), *vectors(), grid=GRID, progress=False, also={"test": vectors(7)})


def elsewhere(result: ls.Result, **facts: Any) -> ls.Result:
    """The result as if computed on another device."""
    return replace(result, provenance={**result.provenance, "device": "cuda:0", **facts})


def moved(result: ls.Result, name: str, by: Any) -> ls.Result:
    array = result.array(name) + by
    return replace(result, **({name: array} if name not in result.extra else {"extra": {**result.extra, name: array}}))


def of(found: Agreement, name: str) -> Deviation:
    [one] = [one for one in found.deviations if one.name == name]
    return one


def differing(found: Agreement) -> list[str]:
    return [fact.name for fact in found.facts if not fact.same]


def test_a_result_agrees_with_itself_and_with_a_second_computation_bit_for_bit(surface: ls.Result) -> None:
    again = ls.surface(perceptron(), *vectors(), grid=GRID, progress=False, also={"test": vectors(7)})
    for other in (surface, again):
        found = surface.difference(other)
        assert (found.same, found.bitwise, found.same_environment) == (True, True, True)
        assert found.verdict == "They agree bit for bit."
    names = ["alphas", "betas", "losses", "accuracies", "standard_errors", "test_losses"]
    assert [one.name for one in found.deviations][:6] == names


@given(NUMBERS)
def test_a_deviation_is_what_a_loop_over_the_numbers_finds(pairs: list[tuple[float, float]]) -> None:
    differing, absolute, share = 0, 0.0, 0.0
    for one, other in pairs:
        if struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other)):
            continue
        differing += 1
        apart = abs(other - one)
        absolute = max(absolute, math.inf if math.isnan(apart) else apart)
        share = max(share, (math.inf if math.isnan(apart) else apart) / 0.5)
    first, second = np.array(pairs).T
    found = deviation("x", first, second, np.full(len(pairs), 0.5))
    assert (found.count, found.differing, found.absolute, found.bound_used) == (len(pairs), differing, absolute, share)
    assert found.bitwise == (differing == 0)
    assert found.by_rounding == (share <= 1)


def test_differences_are_given_absolutely_relatively_and_in_standard_errors() -> None:
    first, second = np.array([2.0, 4.0, 0.0]), np.array([2.5, 3.0, 0.0])
    found = deviation("losses", first, second, errors=np.array([0.1, 0.5, 0.1]))
    assert (found.differing, found.absolute, found.relative, found.bound_used) == (2, 1.0, 0.25, None)
    assert found.standard_errors == pytest.approx(5)
    assert deviation("losses", first, second, errors=np.zeros(3)).standard_errors == math.inf


def test_a_nan_with_other_bits_is_the_same_and_a_zero_with_another_sign_is_not() -> None:
    other_nan = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]
    found = deviation("x", np.array([math.nan, 0.0]), np.array([other_nan, -0.0]))
    assert (found.differing, found.absolute) == (1, 0.0)


def test_a_last_bit_is_no_agreement_in_the_same_environment_and_is_one_elsewhere(surface: ls.Result) -> None:
    nudged = replace(surface, losses=np.nextafter(surface.losses, 9))
    here, there = surface.difference(nudged), surface.difference(elsewhere(nudged))
    assert (here.same, here.bitwise, here.same_environment) == (False, False, True)
    assert here.verdict.startswith("They differ by no more than rounding, but in the same environment every bit")
    assert (there.same, there.bitwise, there.same_environment) == (True, False, False)
    assert there.verdict == "They agree up to rounding; the environments differ in device."
    assert 0 < of(there, "losses").absolute < 1e-15
    assert of(there, "losses").differing == 6


# What rounding may do at most, by the definitions: float32 moves a loss by 1e-5 of itself.
BOUNDS: dict[str, Any] = {
    "losses": lambda result: 1e-5 * result.losses,
    "standard_errors": lambda result: 1e-5 * result.losses,
    "test_losses": lambda result: 1e-5 * result.extra["test_losses"],
    "accuracies": lambda result: np.full((3, 2), 1 / 29),  # one of 29 samples
}


@pytest.mark.parametrize("name", BOUNDS)
def test_values_agree_elsewhere_up_to_the_bound_and_no_further(surface: ls.Result, name: str) -> None:
    bound = BOUNDS[name](surface)
    within, beyond = (surface.difference(elsewhere(moved(surface, name, share * bound))) for share in (0.99, 1.01))
    assert (within.same, beyond.same) == (True, False)
    assert of(within, name).bound_used == pytest.approx(0.99, rel=1e-3)
    assert beyond.verdict == f"They differ by more than rounding in {name}."


def test_eigenvalues_agree_up_to_the_errors_that_both_state() -> None:
    one = ls.curvature(perceptron(), *vectors(), grid=ls.Grid.line(3), steps=6, progress=False)
    stated = 2 * one.array("lambda_max_error") + 1e-3 * one.array("lambda_max")
    assert one.difference(elsewhere(moved(one, "lambda_max", 0.99 * stated))).same
    assert not one.difference(elsewhere(moved(one, "lambda_max", 1.01 * stated))).same


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_two_engines_agree_within_a_tenth_of_the_bound_and_not_bit_for_bit(precision: Any) -> None:
    def computed(**choice: Any) -> ls.Result:
        samples: Any = pictures(100)
        grid, policy = ls.Grid.square(5), "recalibrated"
        how: dict[str, Any] = {"precision": precision, "batch_norm": policy, "progress": False, **choice}
        return ls.surface(convolutional(), *samples, grid=grid, **how)

    found = computed().difference(computed(choice={"engine": "plain"}))
    assert (found.same, found.bitwise, found.same_environment) == (True, False, False)
    assert all(one.bound_used is not None and one.bound_used < 0.1 for one in found.deviations)


def test_a_hole_where_the_other_has_a_number_differs_infinitely(surface: ls.Result) -> None:
    losses = surface.losses.copy()
    losses[1, 1] = np.nan
    found = surface.difference(elsewhere(replace(surface, losses=losses)))
    assert (of(found, "losses").differing, of(found, "losses").absolute) == (1, math.inf)
    assert not found.same
    assert [row["absolute"] for row in found.to_json()["arrays"] if row["name"] == "losses"] == [None]


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seed": 1}, "seed"),
    "normalization": ({"normalization": "layer"}, "normalization"),
    "loss": ({"weight_decay": 0.1}, "loss"),
    "precision": ({"precision": "float64"}, "precision"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_another_setting_is_named(surface: ls.Result, case: str) -> None:
    options, name = CHANGED[case]
    other = ls.surface(perceptron(), *vectors(), grid=GRID, progress=False, also={"test": vectors(7)}, **options)
    found = surface.difference(other)
    asked = [fact.name for fact in found.facts if not fact.same and fact.part != "environment"]
    assert asked == [name]
    assert found.verdict == f"These are results of different requests: they differ in {name}."
    assert not found.same


def test_other_weights_and_other_samples_are_named_even_if_the_values_were_equal(surface: ls.Result) -> None:
    for key, name in (("weights_sha256", "weights"), ("data_sha256", "data")):
        other = replace(surface, provenance={**surface.provenance, key: "0" * 64})
        assert differing(surface.difference(other)) == [name]
        without = {one: fact for one, fact in surface.provenance.items() if one != key}
        found = surface.difference(replace(surface, provenance=without))
        assert (differing(found), found.same, found.bitwise) == ([name], False, True)


def test_versions_and_engine_are_compared_one_by_one(surface: ls.Result) -> None:
    versions = {**surface.provenance["versions"], "torch": "1.0"}
    other = elsewhere(surface, versions=versions, engine={"engine": "plain"})
    assert differing(surface.difference(other)) == ["engine", "device", "version of torch"]
    assert surface.difference(other).same


def test_on_other_grids_and_with_other_arrays_no_values_are_compared(surface: ls.Result) -> None:
    for other, name in (
        (ls.surface(perceptron(), *vectors(), grid=ls.Grid.square(3), progress=False), "grid"),
        (replace(surface, alphas=surface.alphas + 1e-6), "grid"),
        (replace(surface, extra={}), "arrays"),
    ):
        found = surface.difference(other)
        assert name in differing(found)
        assert (found.deviations, found.same, found.bitwise) == ((), False, False)


def test_an_interrupted_result_is_compared_at_its_points_and_a_comparison_with_one_says_so(surface: ls.Result) -> None:
    begun = surface.computed.copy()
    begun[1:] = False
    part = replace(surface, computed=begun, losses=np.where(begun, surface.losses, np.nan))
    found = part.difference(surface)
    assert (found.same, found.bitwise, of(found, "losses").count) == (True, True, 2)
    for other in (surface.difference(part), part.difference(replace(surface, computed=~begun))):
        assert (differing(other), other.same) == (["computed points"], False)


def test_print_and_notebook_show_every_fact_and_every_array(surface: ls.Result) -> None:
    other = elsewhere(moved(surface, "losses", 1e-7), seed=5)
    found = surface.difference(other)
    text, html = str(found), found._repr_html_()
    assert re.search(r"^✗  seed +0 +5$", text, re.MULTILINE)
    assert re.search(r"^✓  accuracies +6 +0 +bit for bit$", text, re.MULTILINE)
    assert re.search(r"^✓  losses +6 +6 +1\.00e-07 +\d\.\d\de-08 +\d\.\d\de-07 +[\d.]+ %$", text, re.MULTILINE)
    for fact in found.facts:
        assert fact.name in text
        assert fact.name in html
    ElementTree.fromstring(f"<div>{html}</div>")  # well formed
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["same"] is False
