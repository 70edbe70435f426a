"""The grid: coordinates without drift, refinement that covers every point once, impossible ranges."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.errors import GridError
from landscape.grid import Axis, Grid, tiles

counts = st.integers(2, 60)


@given(counts, st.integers(-50, 50), st.integers(1, 50))
def test_every_coordinate_is_its_fraction_of_the_range_up_to_rounding(count: int, low: int, width: int) -> None:
    axis = Axis(low / 8, (low + width) / 8, count)
    for index, coordinate in enumerate(axis.coordinates):
        exact = Fraction(low, 8) + Fraction(width, 8) * Fraction(index, count - 1)
        assert abs(Fraction(coordinate) - exact) <= Fraction(2.0**-52) * 14  # a few roundings at most, no running sum


@given(counts)
def test_a_symmetric_range_is_symmetric_bit_for_bit_and_an_odd_count_has_an_exact_zero(count: int) -> None:
    coordinates = Axis(-0.7, 0.7, count).coordinates
    assert all(a == -b for a, b in zip(coordinates, reversed(coordinates), strict=True))
    assert (0.0 in coordinates) == (count % 2 == 1)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), counts)
def test_both_ends_are_exactly_those_requested_and_coordinates_increase(low: float, width: float, count: int) -> None:
    coordinates = Axis(low, low + width, count).coordinates
    assert (coordinates[0], coordinates[-1]) == (low, low + width)
    assert list(coordinates) == sorted(coordinates)


@given(counts, counts | st.none(), st.integers(1, 40))
def test_the_tiles_of_all_levels_hold_each_point_exactly_once(n: int, m: int | None, size: int) -> None:
    grid = Grid(Axis(count=n), Axis(count=m) if m else None)
    found = [point for level in grid.levels() for tile in tiles(level, size) for point in tile]
    assert len(found) == len(set(found))
    assert set(found) == {(i, j) for i in range(n) for j in range(m or 1)}
    assert all(0 < len(tile) <= size for level in grid.levels() for tile in tiles(level, size))


@given(counts, counts)
def test_the_points_up_to_any_level_are_a_product_of_two_axes_with_the_four_corners(n: int, m: int) -> None:
    seen: set[tuple[int, int]] = set()
    for level in Grid(Axis(count=n), Axis(count=m)).levels():
        seen |= set(level)
        rows, columns = {i for i, _ in seen}, {j for _, j in seen}
        assert seen == {(i, j) for i in rows for j in columns}
        assert {(0, 0), (0, m - 1), (n - 1, 0), (n - 1, m - 1)} <= seen


@given(st.integers(3, 300))
def test_every_level_of_an_axis_halves_the_widest_gap(count: int) -> None:
    levels = Axis(count=count).levels
    for level in range(1, max(levels) + 1):
        known = [i for i, of in enumerate(levels) if of <= level]
        assert max(b - a for a, b in pairwise(known)) <= math.ceil((count - 1) / 2**level)


def test_the_first_level_of_a_9_by_5_grid_is_its_coarse_5_by_5_picture() -> None:
    first = Grid(Axis(count=9), Axis(count=5)).levels()[0]
    assert first == [(i, j) for i in range(0, 9, 2) for j in range(5)]


def test_the_center_is_found_only_if_it_is_on_the_grid() -> None:
    assert Grid(Axis(-1, 1, 5), Axis(-2, 1, 4)).center == (2, 2)
    assert Grid(Axis(-1, 1, 4), Axis(-2, 1, 4)).center is None
    assert Grid.line(5).center == (2, 0)
    assert Grid(Axis(0.5, 1, 3)).center is None


def test_a_slice_has_one_beta_which_is_zero() -> None:
    line = Grid.line(7, radius=2)
    assert (line.shape, line.betas, line.alphas[0]) == ((7, 1), (0.0,), -2.0)


@pytest.mark.parametrize(
    ("low", "high", "count", "sentence"),
    [
        (math.nan, 1, 5, r"range \[nan, 1\] is not finite"),
        (-1, math.inf, 5, "not finite"),
        (1, -1, 5, r"range \[1, -1\] is empty or reversed"),
        (2, 2, 5, "empty or reversed"),
        (-1, 1, 1, "at least 2 points; got 1"),
        (-1e308, 1e308, 5, "too wide"),
    ],
)
def test_an_impossible_range_is_refused_with_its_numbers(low: float, high: float, count: int, sentence: str) -> None:
    with pytest.raises(GridError, match=sentence):
        Axis(low, high, count)
