"""Points of an earlier result are reused bit for bit, and nothing that was computed is computed again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import landscape as ls
from landscape.errors import GridError
from landscape.evaluation.reuse import DifferentSettingsError, combined, with_more_seeds
from landscape.evaluation.run import Prepared, Rows, compute, in_this_process
from landscape.grid import Axis, Grid, Point
from landscape.kinds.prepare import prepare
from landscape.result import Result

GRID = Grid(Axis(-0.6, 1.0, 5), Axis(-0.5, 0.4, 4))


class Counted:
    """Evaluates tiles in this process, and counts the points."""

    def __init__(self) -> None:
        self.coordinates: list[tuple[float, float]] = []

    def __call__(self, landscape: Any, grid: Grid, work: list[list[Point]]) -> Iterator[tuple[list[Point], Rows]]:
        for points, rows in in_this_process(landscape, grid, work):
            self.coordinates += [(grid.alphas[i], grid.betas[j]) for i, j in points]
            yield points, rows


def classifier(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(17, 6, generator=generator), torch.randint(0, 3, (17,), generator=generator)


def again(prepared: Prepared, grid: Grid, earlier: Result) -> tuple[Result, int]:
    """The result on another grid from an earlier one, and the number of points that were computed."""
    counted = Counted()
    found = compute(replace(prepared, grid=grid), progress=False, evaluate=counted, started=earlier)
    return found, len(counted.coordinates)


def bits(result: Result) -> dict[str, bytes]:
    return {name: result.array(name).tobytes() for name in result.columns}


def prepared(kind: str, grid: Grid | None, **options: Any) -> Prepared:
    """A landscape of each kind, of a small network."""
    model, (images, labels) = classifier(), samples()
    path = [{name: t + 0.1 * k * (k + n) for n, (name, t) in enumerate(model.state_dict().items())} for k in range(4)]
    path = [{name: t * (1 + 0.05 * k) for name, t in one.items()} for k, one in enumerate(path)]
    others: dict[str, list[Any]] = {
        "interpolation": [classifier(1)],
        "plane": [classifier(1), classifier(2)],
        "trajectory": [path],
    }
    return prepare(kind, model, *others.get(kind, []), images=images, labels=labels, grid=grid, **options)


CASES: list[tuple[str, Grid | None, dict[str, Any]]] = [
    ("surface", GRID, {"also": {"more": (samples()[0][:5], samples()[1][:5])}, "weight_decay": 0.01}),
    ("surface", GRID, {"repeats": 3}),
    ("slice", Grid(Axis(-0.5, 1.5, 5)), {"seed": 4, "normalization": "layer"}),
    ("curvature", Grid(Axis(-0.6, 1.0, 3), Axis(-0.5, 0.4, 2)), {"steps": 4}),
    ("interpolation", Grid(Axis(-0.5, 1.5, 5)), {}),
    ("plane", None, {}),
    ("trajectory", None, {}),
]


@pytest.mark.parametrize(("kind", "grid", "options"), CASES)
def test_a_refined_result_is_the_one_computed_at_once_bit_for_bit(
    kind: str, grid: Grid | None, options: dict[str, Any]
) -> None:
    landscape = prepared(kind, grid, **options)
    if grid is None:  # around the checkpoints
        axes = [
            replace(axis, count=3 + n) for n, axis in enumerate((landscape.grid.alpha, landscape.grid.beta)) if axis
        ]
        landscape = replace(landscape, grid=Grid(*axes))
    coarse = compute(landscape, progress=False)
    finer = landscape.grid.refined(2)
    found, computed = again(landscape, finer, coarse)
    expected = compute(replace(landscape, grid=finer), progress=False)
    assert bits(found) == bits(expected)
    assert found.path == expected.path
    assert computed == expected.losses.size - coarse.losses.size
    assert found.provenance["reused"] == {"points": coarse.losses.size, "coordinate_difference": 0.0, "exact": True}
    assert "reused" not in expected.provenance
    assert [vars(check) for check in found.checks] == [vars(check) for check in expected.checks]


def test_a_wider_range_and_a_region_compute_only_the_points_that_are_missing() -> None:
    landscape = prepared("surface", Grid(Axis(-1, 1, 9), Axis(-0.5, 0.5, 5)))
    first = compute(landscape, progress=False)
    wider = landscape.grid.refined(alpha=(-2, 1), beta=(-0.5, 0.75))
    found, computed = again(landscape, wider, first)
    assert (found.losses.shape, computed) == ((13, 6), 13 * 6 - 9 * 5)
    assert found.losses[4:, :5].tobytes() == first.losses.tobytes()
    region = wider.refined(4, alpha=(-0.25, 0.25), beta=(0, 0.25))
    zoomed, computed = again(landscape, region, found)
    assert (zoomed.losses.shape, computed) == ((9, 5), 9 * 5 - 3 * 2)
    assert bits(zoomed) == bits(compute(replace(landscape, grid=region), progress=False))
    assert zoomed.provenance["center"]["point"] == [4, 0]


def test_coordinates_that_differ_by_rounding_are_reused_and_the_difference_is_recorded() -> None:
    landscape = prepared("slice", Grid(Axis(-0.7, 1.1, 8)))
    first = compute(landscape, progress=False)
    finer = landscape.grid.refined(3)
    found, computed = again(landscape, finer, first)
    expected = compute(replace(landscape, grid=finer), progress=False)
    differences = np.abs(found.alphas[::3] - first.alphas)
    assert 0 < differences.max() < 1e-15
    assert found.provenance["reused"] == {"points": 8, "coordinate_difference": differences.max(), "exact": False}
    assert computed == 22 - 8
    assert found.losses[::3].tobytes() == first.losses.tobytes()
    assert found.losses == pytest.approx(expected.losses, rel=1e-6)


def test_points_of_a_partly_computed_result_are_reused_and_the_others_computed() -> None:
    landscape = prepared("surface", GRID)

    def stop(done: int, total: int) -> None:
        if done > 7:
            raise KeyboardInterrupt

    part = compute(landscape, progress=stop)
    known = int(part.computed.sum())
    assert 7 < known < 20
    found, computed = again(landscape, GRID.refined(2), part)
    assert computed == found.losses.size - known
    assert found.provenance["reused"]["points"] == known
    assert "interrupted" not in found.provenance
    assert bits(found) == bits(compute(replace(landscape, grid=GRID.refined(2)), progress=False))


def test_nan_and_infinite_losses_are_results_and_are_not_computed_again() -> None:
    images, labels = samples()

    def odd(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
        return torch.where(
            losses.mean() > 1.3, losses / 0, torch.where(losses.mean() > 1.2, losses * torch.nan, losses)
        )

    landscape = prepare("slice", classifier(), images=images, labels=labels, grid=Grid.line(9, 3.0), loss=odd)
    first = compute(landscape, progress=False)
    assert {point["value"] for point in first.non_finite} >= {"inf"}
    found, computed = again(landscape, landscape.grid.refined(2), first)
    assert computed == 8
    assert found.losses[::2].tobytes() == first.losses.tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, r"the seed: 0 then, 1 now"),
        ({"loss": "mse"}, r"the loss: .*cross_entropy.* then, .*mse.* now"),
        ({"normalization": "layer"}, "the normalization: filter then, layer now"),
        ({"repeats": 2}, r"the seeds: None then, \{'seeds': \[0, 1\]"),
    ],
)
def test_points_with_other_settings_are_refused_with_both_values(change: dict[str, Any], words: str) -> None:
    first = compute(prepared("slice", Grid.line(4)), progress=False)
    with pytest.raises(DifferentSettingsError, match=f"differs in {words}.*compute every point again"):
        again(prepared("slice", Grid.line(4), **change), Grid.line(7), first)


def test_a_slice_is_not_part_of_a_surface_and_a_table_with_uneven_coordinates_is_no_grid() -> None:
    first = compute(prepared("slice", Grid.line(4)), progress=False)
    with pytest.raises(DifferentSettingsError, match="the kind: slice then, surface now"):
        again(prepared("surface", GRID), GRID, first)
    bent = replace(first, alphas=np.array([-1.0, 0.0, 0.5, 1.0]))
    with pytest.raises(GridError, match="along alpha are not equally spaced"):
        again(prepared("slice", Grid.line(4)), Grid.line(7), bent)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 4), (2, 3), (3, 5)])
def test_the_mean_with_more_seeds_is_that_of_all_seeds_at_once(before: int, after: int) -> None:
    earlier, whole = (compute(prepared("surface", GRID, repeats=n, seed=3), progress=False) for n in (before, after))
    further = compute(prepared("surface", GRID, seed=3 + before, repeats=after - before), progress=False)
    found = with_more_seeds(earlier, further)
    assert found.columns == whole.columns
    for name in whole.columns:
        assert found.array(name) == pytest.approx(whole.array(name), rel=1e-12)
    assert (found.array("lowest_losses") == whole.array("lowest_losses")).all()
    assert found.computed.all()
    assert found.provenance["repeated"]["seeds"] == list(range(3, 3 + after))
    assert found.provenance["repeated"]["cosine_max"] == whole.provenance["repeated"]["cosine_max"]
    assert found.provenance["reused"] == {"points": 20, "coordinate_difference": 0.0, "exact": False, "seeds": before}
    assert all(check.passed for check in found.checks)


def test_seeds_are_not_counted_twice_and_both_results_need_the_same_grid_and_settings() -> None:
    two, one = (compute(prepared("slice", Grid.line(4), **o), progress=False) for o in ({"repeats": 2}, {"seed": 1}))
    with pytest.raises(DifferentSettingsError, match=r"must be others: \[0, 1\] then, \[1\] now"):
        with_more_seeds(two, one)
    other = compute(prepared("slice", Grid.line(5), seed=2), progress=False)
    with pytest.raises(DifferentSettingsError, match=r"the grid: 4 points on \[-1, 1\] then, 5 points"):
        with_more_seeds(two, other)
    other = compute(prepared("slice", Grid.line(4), seed=2, loss="mse"), progress=False)
    with pytest.raises(DifferentSettingsError, match="the loss"):
        with_more_seeds(two, other)
    line = compute(prepared("interpolation", Grid.line(4)), progress=False)
    with pytest.raises(ls.LandscapeError, match="not random, so there are no further seeds"):
        with_more_seeds(line, line)


def test_a_point_that_starts_from_fewer_seeds_has_the_row_of_all_of_them() -> None:
    landscape: Any = prepared("surface", GRID, repeats=4, seed=3).landscape
    at = [(0.2, -0.1), (0.0, 0.0), (-0.4, 0.3)]
    expected = landscape.rows(at)
    for count in (1, 2, 3):
        earlier = prepared("surface", GRID, repeats=count, seed=3).landscape.rows(at)
        rows = landscape.rows_after(at, np.array(earlier), count)
        assert np.array(rows) == pytest.approx(np.array(expected), rel=1e-12)


losses = st.floats(-1e3, 1e3)


@settings(max_examples=200)
@given(st.lists(losses, min_size=1, max_size=6), st.lists(losses, min_size=1, max_size=6))
def test_merged_moments_are_those_of_all_values(first: list[float], second: list[float]) -> None:
    def row(values: list[float]) -> np.ndarray[Any, Any]:
        mean = float(np.mean(values))
        spread = [np.std(values, ddof=1), min(values), max(values)] if len(values) > 1 else []
        return np.array([mean, mean / 2, 1.0, *spread])

    found = combined((row(first), len(first)), (row(second), len(second)))
    assert found == pytest.approx(row([*first, *second]), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_the_spread_of_losses_that_are_not_finite_is_nan(odd: float) -> None:
    found = combined((np.array([odd, 0.5, 0.1]), 1), (np.array([2.0, 0.5, 0.1, 0.3, 1.0, 3.0]), 2))
    assert not np.isfinite(found[0])
    assert np.isnan(found[3:]).all()
    assert found[1:3] == pytest.approx([0.5, 0.1])
