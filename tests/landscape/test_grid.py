"""The grid: coordinates without drift, refinement that covers every point once, impossible ranges."""

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.errors import GridError
from landscape.grid import Axis, Grid, Overlap, overlap, tiles

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


ranges = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ranges, st.integers(2, 40), st.integers(1, 7), st.integers(-30, 60), st.integers(1, 60))
def test_every_coordinate_inside_the_range_is_on_the_refined_axis(
    ends: tuple[float, float], count: int, factor: int, first: int, length: int
) -> None:
    axis = Axis(*ends, count)
    low = ends[0] + first * axis.spacing * 0.3
    finer = axis.refined(factor, (low, low + length * axis.spacing * 0.3))
    found = overlap(Grid(axis), Grid(finer))
    inside = {i for i, one in enumerate(axis.coordinates) if finer.min <= one <= finer.max}
    assert inside <= found.rows.keys()
    assert len({j - i * factor for i, j in found.rows.items()}) <= 1  # the same shift for all
    assert finer.min <= low + 1e-6 * axis.spacing
    assert low + length * axis.spacing * 0.3 - 1e-6 * axis.spacing <= finer.max
    assert finer.spacing == pytest.approx(axis.spacing / factor, rel=1e-9)


@given(counts, counts, st.integers(1, 6))
def test_a_refined_grid_has_every_point_and_halving_keeps_the_bits(n: int, m: int, factor: int) -> None:
    grid = Grid(Axis(-0.7, 1.1, n), Axis(-1.3, 0.9, m))
    finer = grid.refined(factor)
    assert finer.shape == ((n - 1) * factor + 1, (m - 1) * factor + 1)
    shared = overlap(grid, finer)
    assert len(shared) == n * m
    assert all(shared.later((i, j)) == (i * factor, j * factor) for i in range(n) for j in range(m))
    if factor in (1, 2, 4):
        assert shared.difference == 0


def test_a_wider_range_keeps_the_spacing_and_moves_its_ends_outwards() -> None:
    wider = Grid(Axis(-1, 1, 51), Axis(-1, 1, 26)).refined(alpha=(-1.5, 1.5), beta=(-1, 2))
    assert wider == Grid(Axis(-1.52, 1.52, 77), Axis(-1.0, 2.04, 39))
    assert wider.center is None  # as before: 26 points along beta have no zero


def test_a_region_is_cut_finer_and_keeps_the_points_inside() -> None:
    grid = Grid(Axis(-1, 1, 51), Axis(-1, 1, 21))
    region = grid.refined(5, alpha=(-0.2, 0.2), beta=(0.13, 0.27))
    assert region.alpha == Axis(-0.2, 0.2, 51)
    assert region.beta is not None
    assert (region.beta.min, region.beta.max, region.beta.count) == (pytest.approx(0.12), pytest.approx(0.28), 9)
    shared = overlap(grid, region)
    assert [round(grid.alphas[i], 9) for i in shared.rows] == [round(0.04 * k, 9) for k in range(-5, 6)]
    assert [round(grid.betas[j], 9) for j in shared.columns] == [0.2]
    assert len(shared) == 11


def test_grids_that_share_nothing_have_an_empty_overlap() -> None:
    assert overlap(Grid.line(4), Grid(Axis(2, 3, 4))) == Overlap({}, {0: 0}, 0.0)
    assert len(overlap(Grid.line(4), Grid(Axis(2, 3, 4)))) == 0
    assert overlap(Grid.line(3), Grid(Axis(-1, 1 + 1e-9, 3))).rows == {0: 0}  # more than rounding


def test_the_grid_of_coordinates_is_the_one_they_came_from() -> None:
    for grid in (Grid(Axis(-0.3, 0.9, 7), Axis(-1, 1, 4)), Grid.line(5)):
        assert Grid.of(grid.alphas, grid.betas) == grid
    with pytest.raises(GridError, match="along beta are not equally spaced"):
        Grid.of([0, 1, 2], [0, 1, 3])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"factor": 0}, "a whole number of parts, 1 or more; got 0"),
        ({"beta": (0.0, 1.0)}, "A slice has one axis; got a range of beta, 0 to 1"),
        ({"alpha": (1.0, 0.0)}, "empty or reversed"),
        ({"alpha": (0.0, math.inf)}, "not finite"),
        ({"alpha": (0.0, 1e12)}, "too wide for intervals of 0.5"),
    ],
)
def test_an_impossible_refinement_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GridError, match=sentence):
        Grid.line(5).refined(**arguments)
