"""`==` and `hash` of results: by content, bit for bit, with NaN equal to NaN; what is left out; other return types."""

import json
import math
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import landscape as ls
from landscape.directions.plane import Plane
from landscape.hessian.lanczos import Density
from landscape.results.arrays import Arrays
from landscape.results.content import content_digest
from tests.support.small_models import perceptron, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2))
RUN = ("seconds", "threads", "request")  # what does not count
NUMBERS = st.floats(width=64)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def surface() -> ls.Result:
    return ls.surface(perceptron(), *vectors(), grid=GRID, progress=False)


def with_losses(losses: Any, **provenance: Any) -> ls.Result:
    result = ls.Result.empty(GRID, provenance=None)
    return replace(result, losses=np.array(losses, dtype=float), provenance=provenance).frozen()


@given(arrays(np.float64, (3, 2), elements=NUMBERS), arrays(np.float64, (3, 2), elements=NUMBERS))
def test_results_are_equal_if_and_only_if_every_loss_has_the_same_bits_or_both_are_nan(one: Any, other: Any) -> None:
    def bits(losses: Any) -> list[bytes]:  # the second source: number by number
        return [b"nan" if math.isnan(loss) else struct.pack(">d", loss) for loss in losses.ravel().tolist()]

    assert (with_losses(one) == with_losses(other)) == (bits(one) == bits(other))
    assert with_losses(one) == with_losses(one.copy())
    assert hash(with_losses(one)) == hash(with_losses(one.copy()))


@given(JSON)
def test_provenance_is_equal_after_a_round_trip_through_json(facts: Any) -> None:
    again = json.loads(json.dumps(facts))
    assert content_digest({"facts": facts}) == content_digest({"facts": again})


@given(JSON, JSON)
def test_different_provenance_makes_different_results(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if same or one != other:  # neither: 1 and 1.0, or 0 and False, which Python compares as equal
        assert (with_losses(np.zeros((3, 2)), facts=one) == with_losses(np.zeros((3, 2)), facts=other)) == same


def test_minus_zero_is_not_zero_and_every_nan_is_the_same() -> None:
    other_nan = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]
    zeros, nans = np.zeros((3, 2)), np.full((3, 2), np.nan)
    assert with_losses(zeros) != with_losses(-zeros)
    assert with_losses(nans) == with_losses(np.full((3, 2), other_nan))


@pytest.mark.parametrize("ending", ["npz", "json", "h5"])
def test_a_result_read_from_a_file_is_equal_to_the_one_that_was_saved(
    surface: ls.Result, ending: str, tmp_path: Path
) -> None:
    surface.save(tmp_path / f"r.{ending}")
    read = ls.Result.load(tmp_path / f"r.{ending}")
    assert read == surface
    assert hash(read) == hash(surface)
    assert len({read, surface}) == 1


def test_each_part_of_a_result_counts_and_so_does_each_fact(surface: ls.Result) -> None:
    raised = surface.losses + np.float64(2**-40)
    provenance = surface.provenance
    others = [
        replace(surface, kind="curvature"),
        replace(surface, alphas=np.nextafter(surface.alphas, 9)),
        replace(surface, losses=raised),
        replace(surface, computed=~surface.computed),
        replace(surface, extra={"test_losses": surface.losses}),
        replace(surface, path={"coordinates": []}),
        *(replace(surface, provenance={**provenance, name: "other"}) for name in provenance if name not in RUN),
    ]
    assert not [number for number, other in enumerate(others) if other == surface]


def test_how_it_was_run_and_the_caption_do_not_count(surface: ls.Result) -> None:
    later = replace(surface, caption="another", provenance={**surface.provenance, **dict.fromkeys(RUN, 9)})
    assert (later == surface, hash(later) == hash(surface)) == (True, True)


def test_two_computations_of_one_request_are_equal(surface: ls.Result) -> None:
    again = ls.surface(perceptron(), *vectors(), grid=GRID, progress=False)
    assert again == surface
    assert ls.surface(perceptron(), *vectors(), grid=GRID, seed=1, progress=False) != surface


def test_a_result_is_equal_to_its_data_and_to_its_pickle_and_to_nothing_else(surface: ls.Result) -> None:
    fields = {name: value for name, value in vars(surface).items() if name in Arrays.__dataclass_fields__}
    assert surface == Arrays(**fields)
    assert Arrays(**fields) == surface
    assert pickle.loads(pickle.dumps(surface)) == surface
    assert surface != "surface"


def test_an_unfinished_result_compares_but_has_no_hash() -> None:
    growing, same = ls.Result.empty(GRID), ls.Result.empty(GRID)
    assert growing == same
    growing.put([(0, 0)], [(1.0, 0.5, 0.1)])
    assert growing != same
    with pytest.raises(TypeError, match=r"can still change, so it has no hash\. Use result\.frozen\(\)"):
        hash(growing)
    assert hash(same.frozen()) != hash(growing.frozen())


def density(*eigenvalues: float) -> Density:
    one = torch.tensor([1.0], dtype=torch.float64)
    return Density(torch.tensor(eigenvalues), one, one[None], one[None], 0.1)


PAIRS: dict[str, tuple[Any, Any, Any]] = {  # of return types with tensors: made twice, and one that differs
    "plane": (lambda size: Plane(({"weight": torch.tensor([1.0, size])},), "given", {"label": "x"}), 2.0, 3.0),
    "density": (lambda last: density(1.0, last), 2.0, 2.5),
    "spectrum": (lambda seed: ls.spectrum(perceptron(), *vectors(), seed=seed, steps=5, probes=2), 0, 1),
    "directions": (
        lambda seed: ls.plane_along(perceptron(), *vectors(), directions="gradient", seed=seed),
        0,
        1,
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_other_results_with_tensors_compare_and_hash_by_content(case: str) -> None:
    make, same, other = PAIRS[case]
    assert make(same) == make(same)
    assert hash(make(same)) == hash(make(same))
    assert make(same) != make(other)


def test_an_inspected_checkpoint_compares_by_content(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name, scale in (("one", 1.0), ("same", 1.0), ("other", 1.5)):
        state = perceptron().state_dict()
        save_file({key: scale * tensor for key, tensor in state.items()}, tmp_path / f"{name}.safetensors")
    one, same, other = (ls.inspect(tmp_path / f"{name}.safetensors") for name in ("one", "same", "other"))
    assert (one == same, hash(one) == hash(same), one == other) == (True, True, False)


def test_tensors_in_any_type_compare_by_their_bits() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.int64, torch.bool):
        tensor = torch.arange(4).to(kind)
        assert content_digest(tensor) == content_digest(tensor.clone())
        assert content_digest(tensor) != content_digest(tensor.flip(0))
    with pytest.raises(TypeError, match="A object cannot be compared by content"):
        content_digest(object())
