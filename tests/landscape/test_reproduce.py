"""Reproducing a result: from memory, from a file, in another process, and what is said when something differs."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape as ls
from landscape.directions.plane import from_directions
from landscape.errors import LandscapeError, UnknownOptionError
from landscape.kinds.requested import request_of
from landscape.reproduce import DifferentInputsError
from tests.support.paths import ROOT
from tests.support.small_models import convolutional, perceptron, pictures, stirred, vectors

SQUARE = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(-0.5, 1, 2))
LINE = ls.Grid(ls.Axis(-1, 0.5, 4))


def run(seed: int) -> list[nn.Module]:
    """Checkpoints of a made-up run, the last one that of `perceptron(seed)`."""
    return [stirred(perceptron(), seed + shift) for shift in (4, 3, 2, 1, 0)]


def absolute(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.sum(1) - labels).abs()


def along_ones() -> Any:
    model = perceptron()
    ones = {name: torch.ones_like(tensor) for name, tensor in model.named_parameters()}
    return from_directions([ones], dict(model.named_parameters()))


# How each kind is computed, with small numbers; and what a file of it does not hold.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "surface": (lambda: ls.surface(perceptron(), *vectors(), grid=SQUARE, seed=3, progress=False), {}),
    "layer-normalized": (
        lambda: ls.surface(
            perceptron(),
            *vectors(),
            grid=SQUARE,
            normalization="layer",
            biases="random",
            orthogonality="overall",
            drawn="authors",
            label_smoothing=0.1,
            weight_decay=0.01,
            precision="float64",
            progress=False,
        ),
        {},
    ),
    "slice": (lambda: ls.slice(perceptron(), *vectors(), grid=LINE, loss="mse", progress=False), {}),
    "gradient": (
        lambda: ls.surface(perceptron(), *vectors(), grid=SQUARE, directions="gradient", seed=2, progress=False),
        {},
    ),
    "repeated": (lambda: ls.slice(perceptron(), *vectors(), grid=LINE, seed=5, repeats=3, progress=False), {}),
    "curvature": (
        lambda: ls.curvature(perceptron(), *vectors(), grid=LINE, over="all", steps=8, progress=False),
        {},
    ),
    "interpolation": (
        lambda: ls.interpolation(perceptron(), perceptron(2), *vectors(), progress=False),
        {"end": perceptron(2)},
    ),
    "plane": (
        lambda: ls.plane(perceptron(), perceptron(2), perceptron(3), *vectors(), grid=SQUARE, progress=False),
        {"second": perceptron(2), "third": perceptron(3).state_dict()},
    ),
    "trajectory": (
        lambda: ls.trajectory(perceptron(), run(1), *vectors(), progress=False),
        {"epochs": run(1)},
    ),
    "loss that is a function": (
        lambda: ls.slice(perceptron(), *vectors(), grid=LINE, loss=absolute, progress=False),
        {"loss": absolute},
    ),
    "given directions": (
        lambda: ls.slice(perceptron(), *vectors(), grid=LINE, directions=along_ones(), progress=False),
        {"directions": along_ones()},
    ),
    "further samples": (
        lambda: ls.slice(perceptron(), *vectors(), grid=LINE, also={"test": vectors(7, 8)}, progress=False),
        {"also": {"test": vectors(7, 8)}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_result_is_reproduced_bit_for_bit_in_the_process_that_computed_it(case: str) -> None:
    compute, _ = CASES[case]
    found = compute().reproduce(progress=False)
    assert (found.same, found.bitwise, str(found).splitlines()[0]) == (True, True, "They agree bit for bit.")


@pytest.mark.parametrize(("case", "ending"), [*zip(CASES, cycle(("npz", "json", "h5")), strict=False)])
def test_a_result_from_a_file_is_reproduced_with_model_and_samples(case: str, ending: str, tmp_path: Path) -> None:
    compute, further = CASES[case]
    compute().save(tmp_path / f"r.{ending}")
    read = ls.Result.load(tmp_path / f"r.{ending}")
    assert read.reproduce(perceptron(), *vectors(), progress=False, **further).bitwise
    for name in further:
        with pytest.raises(LandscapeError, match=rf"does not hold {name}\..*reproduce\({name}=…\)"):
            read.reproduce(perceptron(), *vectors(), **{key: further[key] for key in further if key != name})


@pytest.mark.parametrize("case", CASES)
def test_a_result_of_a_version_that_recorded_no_request_is_reproduced_from_its_provenance(case: str) -> None:
    compute, further = CASES[case]
    result, further = compute(), {**further, **({"seed": 2} if case == "gradient" else {})}  # of its second direction
    facts = {name: fact for name, fact in result.provenance.items() if name not in ("request", "threads")}
    older = replace(result, provenance=facts, source=None)
    for name in further:
        with pytest.raises(LandscapeError, match=rf"does not hold .*\b{name}\b"):
            older.reproduce(perceptron(), *vectors(), progress=False)
    assert older.reproduce(perceptron(), *vectors(), progress=False, **further).bitwise


SCRIPT = """
import json, sys
import landscape as ls
from tests.landscape.test_reproduce import convolutional, pictures, torch
torch.set_num_threads(int(sys.argv[2]))
found = ls.Result.load(sys.argv[1]).reproduce(convolutional(), *pictures(300), progress=False)
print(json.dumps(found.to_json()))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_with_other_threads_reproduces_every_bit(threads: int, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = ls.curvature(convolutional(), *pictures(300), grid=ls.Grid.line(3), steps=6, progress=False)
    finally:
        torch.set_num_threads(before)
    result.save(tmp_path / "r.npz")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "r.npz"), str(3 - threads)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["same"], answer["bitwise"]) == (True, True)
    assert torch.get_num_threads() == before


def test_a_changed_weight_is_found_before_anything_is_computed() -> None:
    model = perceptron()
    result = ls.slice(model, *vectors(), grid=LINE, progress=False)
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-7
    with pytest.raises(DifferentInputsError, match=r"The weights are not those of this result: their SHA-256 is"):
        result.reproduce(progress=no_progress)


def no_progress(done: int, total: int) -> None:
    raise AssertionError("a point was computed")


def test_a_changed_sample_is_found_before_anything_is_computed() -> None:
    images, labels = vectors()
    result = ls.slice(perceptron(), images, labels, grid=LINE, also={"test": vectors(7)}, progress=False)
    images[3, 1] += 1e-6
    with pytest.raises(DifferentInputsError, match="The samples are not those of this result"):
        result.reproduce(progress=no_progress)
    with pytest.raises(DifferentInputsError, match="The samples called 'test' are not those"):
        result.reproduce(images=vectors()[0], labels=labels, also={"test": vectors(8)}, progress=no_progress)
    with pytest.raises(DifferentInputsError, match=r"further samples of this result are called: test\. Pass those"):
        result.reproduce(images=vectors()[0], labels=labels, also={"other": vectors(7)}, progress=no_progress)
    assert result.reproduce(images=vectors()[0], labels=labels, progress=False).bitwise


def test_another_checkpoint_at_the_end_or_other_directions_are_found_before_anything_is_computed() -> None:
    line = ls.interpolation(perceptron(), perceptron(2), *vectors(), progress=False)
    surface = ls.surface(perceptron(), *vectors(), grid=SQUARE, directions="eigenvectors", progress=False)
    facts = {**surface.provenance["directions"], "eigenvalues": [1.0, 2.0]}
    other = replace(surface, provenance={**surface.provenance, "directions": facts})
    for result, further in ((line, {"end": perceptron(3)}), (other, {})):
        with pytest.raises(DifferentInputsError, match="The directions, or the other checkpoints, are not those"):
            result.reproduce(progress=no_progress, **further)


def test_another_seed_in_the_request_than_in_the_numbers_is_named() -> None:
    result = ls.slice(perceptron(), *vectors(), grid=LINE, seed=1, progress=False)
    request = {**result.provenance["request"], "options": {**result.provenance["request"]["options"], "seed": 2}}
    forged = replace(result, provenance={**result.provenance, "request": request}, source=None)
    found = forged.reproduce(perceptron(), *vectors(), progress=False)
    assert found.verdict == "These are results of different requests: they differ in seed."


def test_a_value_that_was_changed_in_the_file_is_found() -> None:
    result = ls.slice(perceptron(), *vectors(), grid=LINE, progress=False)
    losses = result.losses.copy()
    losses[2, 0] = np.nextafter(losses[2, 0], 9)
    found = replace(result, losses=losses).reproduce(progress=False)
    assert (found.same, found.bitwise) == (False, False)
    assert {one.name: one.differing for one in found.deviations if not one.bitwise} == {"losses": 1}


def test_only_the_points_of_an_interrupted_result_are_computed_again() -> None:
    seen: list[int] = []

    def stop_after_one(done: int, total: int) -> None:
        if done > 1:
            raise KeyboardInterrupt

    result = ls.curvature(perceptron(), *vectors(), grid=ls.Grid.line(9), steps=5, progress=stop_after_one)
    assert 0 < result.computed.sum() < 9
    found = result.reproduce(progress=lambda done, total: seen.append(done))
    assert (found.same, found.bitwise) == (True, True)
    assert seen[-1] == result.computed.sum()


def test_a_choice_of_the_engine_that_this_machine_lacks_is_replaced_and_values_agree_up_to_rounding() -> None:
    result = ls.surface(perceptron(), *vectors(), grid=SQUARE, precision="float64", progress=False)
    choice = {"engine": "fused", "batch": 8, "precision": "float32", "winograd": "avx1024"}
    elsewhere = replace(
        result, losses=np.nextafter(result.losses, 9), provenance={**result.provenance, "engine": choice}
    )
    found = elsewhere.reproduce(progress=False)
    assert (found.same, found.bitwise, found.same_environment) == (True, False, False)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    ls.slice(perceptron(), *vectors(), grid=LINE, progress=False).save(tmp_path / "r.npz")
    read = ls.Result.load(tmp_path / "r.npz")
    with pytest.raises(LandscapeError, match=r"does not hold model, images\..*reproduce\(model, images\)"):
        read.reproduce()
    with pytest.raises(UnknownOptionError, match="Did you mean 'normalization'"):
        read.reproduce(perceptron(), *vectors(), normalisation="filter")
    (tmp_path / "r.csv").write_bytes(read.to_bytes("csv"))
    with pytest.raises(LandscapeError, match="has numbers only, and not how they were computed"):
        ls.Result.load(tmp_path / "r.csv").reproduce(perceptron(), *vectors())


def test_a_mean_over_seeds_that_no_request_has_is_refused() -> None:
    result = ls.slice(perceptron(), *vectors(), grid=LINE, repeats=2, progress=False)
    repeated = {**result.provenance["repeated"], "seeds": [0, 7]}
    with pytest.raises(LandscapeError, match="mean over the seeds 0, 7, which are not consecutive"):
        request_of(replace(result, provenance={**result.provenance, "repeated": repeated}))


def test_a_result_keeps_the_callers_own_model_and_samples_and_neither_file_nor_pickle_does(tmp_path: Path) -> None:
    import pickle

    model, (images, labels) = perceptron(), vectors()
    result = ls.slice(model, images, labels, grid=LINE, progress=False)
    assert (result.source.model is model, result.source.images is images) == (True, True)
    result.save(tmp_path / "r.npz")
    assert ls.Result.load(tmp_path / "r.npz").source is None
    assert pickle.loads(pickle.dumps(result)).source is None
    assert len(pickle.dumps(result)) < 20_000
