"""Numbers of a landscape against closed forms: a paraboloid, an egg-box, a plane, a line."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from landscape import api, pointwise
from landscape.errors import GridError
from landscape.grid import Axis, Grid
from landscape.hessian.spectrum import numbers_of
from landscape.result import Result
from landscape.results import metrics
from landscape.results.field import Field
from landscape.results.minima import minima, resolved
from landscape.results.negative import negative_curvature_error
from tests.support.small_models import perceptron, vectors

Function = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def field(function: Function, n: int = 81, m: int = 61, half: tuple[float, float] = (2.0, 1.5)) -> Field:
    alphas, betas = np.linspace(-half[0], half[0], n), np.linspace(-half[1], half[1], m)
    return Field(alphas, betas, function(alphas[:, None], betas[None, :]))


def line(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], n: int = 101, half: float = 2.0) -> Field:
    alphas = np.linspace(-half, half, n)
    return Field(alphas, np.zeros(1), function(alphas)[:, None])


def paraboloid(a: float = 1.0, b: float = 3.0, c: float = 0.2) -> Function:
    return lambda x, y: a * x**2 + b * y**2 + c


def egg_box(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minima of −2 at all (2π i, 2π j) + (π, π), saddles of 0 between."""
    return np.cos(x) + np.cos(y)


def result(given: Field, errors: float = 0.0) -> Result:
    grid = Grid(
        Axis(float(given.alphas[0]), float(given.alphas[-1]), len(given.alphas)),
        None if given.line else Axis(float(given.betas[0]), float(given.betas[-1]), len(given.betas)),
    )
    empty = Result.empty(grid)
    points = [(i, j) for i in range(grid.shape[0]) for j in range(grid.shape[1])]
    empty.put(points, [(given.losses[i, j], 1.0, errors) for i, j in points])
    return empty


@pytest.mark.parametrize("level", [0.25, 0.7, 1.2])
def test_the_area_under_a_level_of_a_paraboloid_is_that_of_its_ellipse(level: float) -> None:
    expected = math.pi * (level - 0.2) / math.sqrt(3)
    assert metrics.size_under(field(paraboloid()), level) == pytest.approx(expected, rel=0.04)
    fine, finer = (abs(metrics.size_under(field(paraboloid(), n, n), level) - expected) for n in (81, 161))
    assert finer < fine / 2


def test_the_area_under_a_level_of_a_plane_is_exact() -> None:
    slope = field(lambda x, y: x + 2 * y, n=5, m=4)
    corner = 4.0 * 1.5 * 2 - _triangle(2 + 3 - 1)
    assert metrics.size_under(slope, 1.0) == pytest.approx(corner, rel=1e-12)
    assert metrics.size_under(slope, 100) == pytest.approx(12, rel=1e-12)
    assert metrics.size_under(slope, -100) == 0


def _triangle(excess: float) -> float:
    """Area of the corner where x + 2 y exceeds its maximum minus `excess`."""
    return excess * (excess / 2) / 2


def test_the_length_under_a_level_of_a_parabola_is_that_between_its_two_crossings() -> None:
    found = metrics.size_under(line(lambda x: x**2), 0.5)
    assert found == pytest.approx(2 * math.sqrt(0.5), rel=1e-3)


def test_a_flat_surface_at_the_level_counts_as_under_it() -> None:
    assert metrics.size_under(field(lambda x, y: 0 * x * y + 1), 1.0) == pytest.approx(12)


def test_convex_surfaces_have_no_negative_curvature_and_saddles_have_it_everywhere() -> None:
    assert metrics.negative_curvature(field(paraboloid())) == 0
    assert metrics.negative_curvature(field(lambda x, y: x**2 - 0.1 * y**2)) == 1
    assert metrics.negative_curvature(field(lambda x, y: x * y + 0.4 * (x**2 + y**2))) == 1  # seen by the mixed term


def test_the_egg_box_is_convex_on_a_quarter_of_the_plane() -> None:
    whole = field(
        lambda x, y: egg_box(x + 0.1, y + 0.1), n=201, m=161, half=(2.5 * math.pi, 5 * math.pi)
    )  # whole periods, a tenth off the border
    assert metrics.negative_curvature(whole) == pytest.approx(0.75, abs=0.02)
    assert metrics.negative_curvature(line(np.cos, 401, 2.5 * math.pi)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_convex_surfaces_with_kinks_have_no_negative_curvature(seed: int) -> None:
    planes = np.random.default_rng(seed).normal(size=(20, 3))
    for n, m in ((9, 7), (15, 25), (51, 41), (80, 60)):
        largest = field(lambda x, y: np.max([a * x + b * y + c / 2 for a, b, c in planes], axis=0), n, m)
        assert metrics.negative_curvature(largest) == 0, (n, m)


def test_negative_curvature_of_a_network_like_surface_settles_within_its_errors() -> None:
    random = np.random.default_rng(0)
    hidden, out = random.normal(size=(40, 3)), random.normal(size=40)

    def relu(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(
            sum(w * np.maximum(a * x + b * y + c / 2, 0) for (a, b, c), w in zip(hidden, out, strict=True))
        )

    shares = {n: metrics.negative_curvature(field(relu, n, n, (1, 1))) for n in (25, 51, 101, 201, 401)}
    assert shares[401] > 0.2
    for n in (25, 51, 101, 201):
        error = negative_curvature_error(field(relu, n, n, (1, 1)))
        assert abs(shares[n] - shares[401]) <= error < 0.1, n
    assert abs(shares[101] - shares[51]) < 0.02


@pytest.mark.parametrize(("precision", "expected"), [("float64", 1.0), ("float32", 0.0), ("bfloat16", 0.0)])
def test_negative_curvature_must_be_beyond_the_rounding_of_the_precision(precision: str, expected: float) -> None:
    hill = field(lambda x, y: 2 - 1e-6 * (x**2 + y**2), 41, 41)
    found = metrics.numbers(replace(result(hill), provenance={"precision": precision}))
    assert {number.name: number.value for number in found}["negative curvature"] == expected


def test_in_bfloat16_the_threshold_is_the_worst_error_that_the_audit_saw() -> None:
    hill = field(lambda x, y: 2 - 0.3 * (x**2 + y**2), 41, 41, (1, 1))
    shares = [
        {number.name: number.value for number in metrics.numbers(replace(result(hill), provenance=facts))}
        for facts in ({"precision": "bfloat16", "audit": {"worst": worst}} for worst in (0.001, 0.1))
    ]
    plain = metrics.numbers(replace(result(hill), provenance={"precision": "float32"}))
    assert {number.name: number.value for number in plain}["negative curvature"] == 1
    assert [share["negative curvature"] for share in shares] == [0, 0]


def test_a_flat_surface_with_the_noise_of_single_precision_has_no_negative_curvature() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (41, 31)) * 1e-7
    flat = Field(np.linspace(-1, 1, 41), np.linspace(-1, 1, 31), 2.0 + noise)
    assert metrics.negative_curvature(flat) == 0


def test_gradients_of_a_round_bowl_point_to_its_center_and_those_of_a_hill_away() -> None:
    assert metrics.gradient_deviation(field(paraboloid(1, 1))) == pytest.approx(0, abs=1e-5)
    assert metrics.gradient_deviation(field(paraboloid(-1, -1))) == pytest.approx(180, abs=1e-5)
    assert metrics.gradient_deviation(field(lambda x, y: x**2 - y**2, 101, 101, (1, 1))) == pytest.approx(90, abs=0.1)


def test_gradient_deviation_of_a_long_bowl_is_the_integral_of_the_angle_between_the_two_vectors() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 2001), np.linspace(-1, 1, 2001))
    dots = x**2 + 9 * y**2
    cosine = dots / (np.hypot(x, 9 * y) * np.hypot(x, y) + 1e-300)
    expected = np.degrees(np.arccos(np.clip(cosine, -1, 1)))[np.hypot(x, y) > 0].mean()
    found = metrics.gradient_deviation(field(paraboloid(1, 9), 201, 201, (1, 1)))
    assert found == pytest.approx(expected, rel=0.01)


def test_sharpness_of_a_paraboloid_is_its_steepest_curvature_times_the_radius_squared() -> None:
    assert metrics.sharpness(field(paraboloid()), 1.0) == pytest.approx(3.0, rel=2e-3)
    assert metrics.sharpness(line(lambda x: 5 * x**2), 0.6) == pytest.approx(5 * 0.36, rel=1e-3)
    bump = field(lambda x, y: np.exp(-50 * ((x - 0.3) ** 2 + y**2)))  # inside the ball, not on its rim
    assert metrics.sharpness(bump, 1.0) == pytest.approx(1 - math.exp(-4.5), rel=1e-2)


def test_sharpness_is_nan_if_the_ball_is_not_within_the_grid() -> None:
    assert math.isnan(metrics.sharpness(field(paraboloid()), 1.6))
    with pytest.raises(GridError, match="must be above 0; got 0"):
        metrics.sharpness(field(paraboloid()), 0)


def test_sharpness_needs_no_grid_point_at_the_center() -> None:
    assert metrics.sharpness(field(paraboloid(), n=80, m=60), 1.0) == pytest.approx(3.0, rel=2e-2)


def test_total_variation_of_a_plane_is_its_slope_times_the_area_and_of_a_line_its_ups_and_downs() -> None:
    assert metrics.total_variation(field(lambda x, y: 3 * x + 4 * y, 5, 4)) == pytest.approx(5 * 12, rel=1e-12)
    assert metrics.total_variation(line(np.cos, 4001, 2 * math.pi)) == pytest.approx(8, rel=1e-5)


def test_total_variation_of_a_cone_is_its_area() -> None:
    cone = field(lambda x, y: np.hypot(x, y), 201, 151)
    assert metrics.total_variation(cone) == pytest.approx(12, rel=1e-2)


def test_the_minima_of_an_egg_box_are_counted_and_as_deep_as_its_saddles() -> None:
    whole = field(egg_box, n=121, m=241, half=(2 * math.pi, 4 * math.pi))
    found = minima(whole.losses)
    assert len(found) == 2 * 4
    assert found[0].persistence == math.inf
    assert [minimum.persistence for minimum in found[1:]] == pytest.approx([2] * 7, abs=1e-2)
    assert {(minimum.birth < -1.99) for minimum in found} == {True}


def test_persistence_on_a_line_is_that_computed_by_hand() -> None:
    heights = np.array([[3.0], [1.0], [2.0], [0.0], [5.0], [4.0], [4.0], [6.0]])
    found = [(minimum.i, minimum.birth, minimum.death) for minimum in minima(heights)]
    assert found == [(3, 0, math.inf), (1, 1, 2), (5, 4, 5)]  # the flat patch at 5 and 6 is one


def test_persistence_counts_the_components_that_scipy_labels_at_every_level() -> None:
    noise = np.random.default_rng(3).normal(size=(23, 17))
    found = minima(noise)
    for level in np.linspace(-2, 2, 9):
        alive = sum(minimum.birth <= level < minimum.death for minimum in found)
        assert alive == label(noise <= level, structure=np.ones((3, 3)))[1]


def test_persistence_counts_components_with_flat_patches_and_holes() -> None:
    random = np.random.default_rng(4)
    for _ in range(300):
        heights = random.integers(0, random.integers(1, 9), size=random.integers(1, 9, 2)).astype(float)
        heights[random.random(heights.shape) < random.choice([0, 0.2, 0.5])] = random.choice([np.nan, np.inf, -np.inf])
        found = minima(heights)
        for level in np.unique(heights[np.isfinite(heights)]):
            alive = sum(minimum.birth <= level < minimum.death for minimum in found)
            below = np.isfinite(heights) & (heights <= level)
            assert alive == label(below, structure=np.ones((3, 3)))[1]


def test_diagonal_neighbors_count() -> None:
    assert len(minima(np.array([[0.0, 5.0], [5.0, 1.0]]))) == 1


def test_holes_separate_islands_and_nothing_is_averaged_over_them() -> None:
    heights = np.array([[0.0, np.nan, 1.0], [2.0, np.inf, 3.0]])
    assert [(found.birth, found.death) for found in minima(heights)] == [(0, math.inf), (1, math.inf)]
    holed = field(paraboloid())
    holed.losses[40, 30] = np.nan
    assert math.isnan(metrics.sharpness(holed, 1.0))
    cell = 4 / 80 * 3 / 60
    whole, left = (metrics.size_under(given, 10) for given in (field(paraboloid(), 81, 61), holed))
    assert whole - left == pytest.approx(4 * cell, rel=1e-9)
    assert metrics.negative_curvature(holed) == 0


def test_every_number_has_a_definition_a_unit_and_an_error_that_covers_the_exact_value() -> None:
    found = {
        number.name: number for number in metrics.numbers(result(field(paraboloid())), levels=(0.5, 1.0), radius=1)
    }
    truths = {
        "area under 0.5": math.pi * 0.3 / math.sqrt(3),
        "area under 1": math.pi * 0.8 / math.sqrt(3),
        "negative curvature": 0,
        "sharpness in 1": 3,
        "local minima": 1,
        "depth of other minima": 0,
    }
    for name, truth in truths.items():
        error = found[name].error
        assert error is not None
        assert abs(found[name].value - truth) <= error + 1e-12, name
    assert all(number.definition and number.unit for number in found.values())


def test_the_error_includes_that_of_the_samples() -> None:
    found = metrics.numbers(result(field(paraboloid()), errors=0.1), levels=(1.0,))[0]
    sampled = math.pi * 0.1 / math.sqrt(3)
    assert found.error == pytest.approx(sampled, rel=0.1)


def test_of_a_grid_that_cannot_be_halved_errors_that_are_a_change_are_unknown() -> None:
    found = {number.name: number.error for number in metrics.numbers(result(field(paraboloid(), 80, 61)))}
    unknown = {"gradient deviation", "total variation", "local minima", "depth of other minima"}
    assert {name for name, error in found.items() if error is None} == unknown


def test_numbers_of_real_slices_and_of_a_spectrum_are_named() -> None:
    model, samples = perceptron(), vectors()
    surface = api.surface(model, *samples, grid=Grid(Axis(-1, 1, 9), Axis(-1, 1, 5)))
    names = [number.name for number in metrics.numbers(surface, levels=(1.0,))]
    assert names[:2] == ["area under 1", "negative curvature"]
    line_numbers = metrics.numbers(api.slice(model, *samples, grid=Grid.line(9)))
    assert line_numbers[0].name == "length under 0.1"
    spectrum = pointwise.spectrum(model, *samples, steps=20)
    assert [number.name for number in numbers_of(spectrum)] == ["λ_max", "λ_min", "trace"]


def test_numbers_can_be_computed_from_the_test_losses() -> None:
    both = api.surface(perceptron(), *vectors(), grid=Grid.square(5), also={"test": vectors(9, seed=3)})
    train, test = (metrics.numbers(both, array=name)[4].value for name in ("losses", "test_losses"))
    assert train != test


@pytest.mark.parametrize("condition", [10, 100, 1e3, 1e4])
def test_a_convex_valley_has_one_minimum_on_every_grid(condition: float) -> None:
    random = np.random.default_rng(int(condition))
    made = 0
    for _ in range(40):
        angle, move, half = random.uniform(0, 2 * np.pi), random.uniform(-1.2, 1.2, 2), random.uniform(0.5, 2, 2)
        for n, m in ((9, 9), (15, 9), (25, 25), (51, 41), (101, 101)):
            given = field(_valley(condition, angle, move), n, m, tuple(half))
            found = given.minima
            made += len(found) - 1
            assert len(resolved(found)) == 1, (angle, move, half, n, m)
            bends = max(float(bends.max()) for bends in given.bends())
            assert all(one.persistence <= bends / 8 * (1 + 1e-9) for one in found[1:])  # as minima.py derives
    assert made > 100 or condition < 100  # the grids do make minima along such a valley


@pytest.mark.parametrize("slope", [3.0, 100.0])
def test_a_convex_valley_with_a_sharp_bottom_has_one_minimum_on_every_grid(slope: float) -> None:
    def sharp(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(0.1 * np.abs(x) + slope * np.abs(y))

    random = np.random.default_rng(0)
    for _ in range(40):
        angle, move = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5, 2)
        for n in (9, 15, 25, 51, 101):
            assert len(resolved(field(_turned(sharp, angle, move), n, n).minima)) == 1, (angle, move, n)


def _turned(function: Function, angle: float, move: NDArray[np.float64]) -> Function:
    cos, sin = math.cos(angle), math.sin(angle)
    return lambda x, y: function(cos * (x - move[0]) - sin * (y - move[1]), sin * (x - move[0]) + cos * (y - move[1]))


def _valley(condition: float, angle: float, move: NDArray[np.float64]) -> Function:
    return _turned(paraboloid(1, condition, 0), angle, move)


@pytest.mark.parametrize("n", [25, 51, 101])
def test_two_real_wells_are_both_counted_with_their_depth(n: int) -> None:
    double = field(lambda x, y: (x**2 - 1) ** 2 + 3 * y**2 + 0.1 * x, n, n)
    found = resolved(double.minima)
    low, high, over = (min(np.roots([4, 0, -4, 0.1]).real, key=lambda at: abs(at - near)) for near in (-1, 1, 0))
    depth = ((over**2 - 1) ** 2 + 0.1 * over) - ((high**2 - 1) ** 2 + 0.1 * high)
    assert [one.i for one in found] == [int(np.argmin(np.abs(double.alphas - at))) for at in (low, high)]
    assert found[1].persistence == pytest.approx(depth, rel=0.02)


def test_a_shallow_second_well_counts_once_the_grid_resolves_it() -> None:
    def shallow(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(0.05 * (x**2 + y**2) - 0.04 * np.exp(-((x - 1) ** 2 + y**2) / (2 * 0.15**2)))

    assert [len(resolved(field(shallow, n, n).minima)) for n in (51, 101, 201)] == [2, 2, 2]
    assert len(minima(field(shallow, 101, 101).losses)) == 2


@pytest.mark.parametrize("n", [25, 51, 101])
def test_the_minima_of_an_egg_box_count_on_every_grid_that_resolves_them(n: int) -> None:
    assert len(resolved(field(egg_box, n, n, (2 * math.pi, 2 * math.pi)).minima)) == 4


def test_rounding_is_no_depth() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (41, 31)) * 1e-7
    smooth = field(paraboloid(1e-9, 1e-9, 2.0), 41, 31)
    noisy = replace(smooth, losses=smooth.losses + noise)
    assert len(noisy.minima) > 10
    assert len(resolved(noisy.minima)) == 1


@pytest.mark.parametrize("n", [9, 15, 25, 51, 101])
def test_the_error_of_an_area_holds_that_of_a_basin_narrower_than_the_cells(n: int) -> None:
    for width in (0.03, 0.02, 0.005):  # half of the basin at 0.1; a cell is 0.5 × 0.375 to 0.04 × 0.03
        for condition in (1.0, 100.0):
            turned = _turned(paraboloid(0.1 / width**2, condition * 0.1 / width**2, 0.0), 0.4, np.zeros(2))
            found = metrics.numbers(result(field(turned, n, n)))[0]
            truth = math.pi * width**2 / math.sqrt(condition)
            assert found.error is not None
            assert abs(found.value - truth) <= found.error, (width, condition)
            assert found.note is not None
            assert found.note.startswith("The basin is under two cells wide: compute a window of α from −")
            assert found.window is not None
            inside = found.window["alpha"]
            assert inside["min"] < -width / 2 < width / 2 < inside["max"]
            assert inside["max"] - inside["min"] < 2


def test_a_checkpoint_outside_of_the_window_is_no_basin_in_it() -> None:
    axis = np.linspace(0.5, 1.5, 11)
    losses = 0.01 + 5 * (axis[:, None] ** 2 + axis[None] ** 2)
    blank = np.full(losses.shape, np.nan)
    center = {"center": {"loss": 0.01, "on_grid": False}}
    found = metrics.numbers(
        Result("surface", axis, axis, losses, blank, 0 * losses, np.ones(losses.shape, bool), center)
    )[0]
    assert (found.value, found.note, found.window) == (0.0, None, None)


def test_a_wide_basin_has_no_note() -> None:
    found = metrics.numbers(result(field(paraboloid())), levels=(1.0,))
    assert all((number.note, number.window) == (None, None) for number in found)
    assert metrics.numbers(result(line(lambda x: x**2)))[0].note is None
    narrow = metrics.numbers(result(line(lambda x: 1000 * x**2)))[0]
    assert narrow.note == "The basin is under two cells wide: compute a window of α from −0.04 to 0.04."
    assert narrow.error == pytest.approx(0.08 - narrow.value)
    assert narrow.to_json()["window"] == {"alpha": {"min": pytest.approx(-0.04), "max": pytest.approx(0.04)}}


def test_a_center_under_the_level_that_no_grid_point_shows_is_noted() -> None:
    steep = result(field(lambda x, y: 100 * (x**2 + y**2), 50, 40))
    hidden = metrics.numbers(replace(steep, provenance={"center": {"on_grid": False, "loss": 0.0}}))[0]
    assert hidden.value == 0
    assert hidden.note is not None
    assert hidden.window is not None
    assert hidden.error is not None
    assert hidden.error >= math.pi * 0.1 / 100
    assert metrics.numbers(replace(steep, provenance={"center": {"on_grid": False, "loss": 0.2}}))[0].note is None


def test_sharpness_knows_of_peaks_between_its_grid_points() -> None:
    for n in (9, 15, 25, 51):
        hills = field(lambda x, y: np.cos(4 * x + 1) + np.cos(4 * y + 2), n, n, (1, 1))
        truth = metrics.sharpness(field(lambda x, y: np.cos(4 * x + 1) + np.cos(4 * y + 2), 801, 801, (1, 1)), 0.6)
        assert abs(metrics.sharpness(hills, 0.6) - truth) <= metrics.sharpness_error(hills, 0.6), n


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (2, 5), (5, 2), (4, 3), (3, 1)])
def test_numbers_of_the_smallest_grids_have_no_error_that_is_too_small(n: int, m: int) -> None:
    given = line(lambda x: x**2, n) if m == 1 else field(paraboloid(1, 1, 0), n, m)
    for number in metrics.numbers(result(given), levels=(0.5,)):
        if min(n, m if m > 1 else n) < 3:
            assert number.error is None, number.name
        if number.name.startswith("area") and number.error is not None:
            assert abs(number.value - math.pi / 2) <= number.error


def test_nothing_is_known_of_a_result_of_holes() -> None:
    holes = replace(field(paraboloid(), 9, 7), losses=np.full((9, 7), np.nan))
    found = {number.name: number for number in metrics.numbers(result(holes))}
    assert found["local minima"].value == found["area under 0.1"].value == 0
    assert found["negative curvature"].to_json()["value"] is None
