"""Guarantees of a plan besides accuracy: the same bits for the same choice, unchanged inputs, stopping, NaN."""

import math
import subprocess
import sys

import pytest
import torch

from landscape import engine
from landscape.directions.random import random_directions
from landscape.engine import native
from landscape.engine.choose import Choice
from landscape.errors import UnknownNameError
from landscape.models import CifarResNet, build
from landscape.objective.batch_norm import with_batch_statistics
from landscape.objective.objective import Objective
from landscape.stop import Stopped
from tests.landscape.engine.zoo import directions, objective

NAME = "resnet-20 with shortcuts"
POINTS = [(0.05 * k, 0.4 - 0.03 * k) for k in range(19)]
CHOICES: list[Choice] = [{"engine": "fused", "batch": 16, "precision": "float32"}, {"engine": "plain"}]
if best := native.best_instruction_set():
    CHOICES.append({"engine": "lanes", "instruction_set": best, "block": 12})
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice["engine"])


@every_choice
def test_a_value_does_not_depend_on_the_points_asked_for_with_it(choice: Choice) -> None:
    given = objective(NAME)
    plan = engine.plan(given, directions(given), choice)
    together = plan.values(POINTS)
    assert [plan.values([point])[0] for point in POINTS] == together
    assert plan.values(POINTS[::-1]) == together[::-1]


@every_choice
def test_the_same_choice_gives_the_same_bits_in_another_process(choice: Choice) -> None:
    program = (
        "from landscape import engine; from tests.landscape.engine.zoo import *; "
        "o = objective('resnet-20 with shortcuts'); "
        f"print(engine.plan(o, directions(o), {choice}).values([(0.3, -0.2)])[0].loss.hex())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    given = objective(NAME)
    plan = engine.plan(given, directions(given), choice)
    assert plan.values([(0.3, -0.2)])[0].loss.hex() == printed.strip()
    assert plan.choice == choice


@pytest.mark.skipif(not native.width("avx512"), reason="this processor has no AVX-512")
def test_the_width_of_the_vectors_does_not_change_a_bit() -> None:
    given = objective(NAME)
    choices = [{"engine": "lanes", "instruction_set": name, "block": 6} for name in ("avx512", "avx2")]
    one, other = (engine.plan(given, directions(given), choice).values(POINTS) for choice in choices)
    assert one == other


@pytest.mark.skipif(not best, reason="the native module was not built")
def test_the_number_of_threads_does_not_change_a_bit_of_the_lanes() -> None:
    given = objective(NAME, samples=301)
    plan = engine.plan(given, directions(given), {"engine": "lanes", "instruction_set": best, "block": 12})
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(plan.values(POINTS))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_float64_takes_few_images_at_a_time_unless_batches_are_part_of_the_value() -> None:
    torch.manual_seed(0)
    model, images = build(CifarResNet(8, 16, "projection")).eval(), torch.randn(21, 3, 32, 32)
    given = Objective.of(model, images, torch.arange(21) % 10, precision="float64")
    along = random_directions(given.parameters(), seed=0)
    plan = engine.plan(given, along)
    assert plan.choice["batch"] == 4
    [few], [all_at_once] = (
        one.values([(0.1, -0.2)]) for one in (plan, engine.plan(given, along, {**plan.choice, "batch": 21}))
    )
    assert few.loss == pytest.approx(all_at_once.loss, rel=1e-14)
    assert engine.plan(with_batch_statistics(given), along).choice["batch"] == given.batch


@every_choice
def test_planning_and_evaluating_change_neither_the_model_nor_the_directions(choice: Choice) -> None:
    given = objective(NAME)
    along = directions(given)
    before = [tensor.clone() for tensor in [*given.model.state_dict().values(), *along[0].values(), given.images]]
    engine.plan(given, along, choice).values(POINTS[:2])
    after = [*given.model.state_dict().values(), *along[0].values(), given.images]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@every_choice
def test_stopping_ends_an_evaluation(choice: Choice) -> None:
    given = objective(NAME)
    plan = engine.plan(given, directions(given), choice)
    with pytest.raises(Stopped):
        plan.values(POINTS, stop=lambda: True)


@every_choice
def test_a_slice_has_one_direction(choice: Choice) -> None:
    given = objective(NAME)
    one = engine.plan(given, directions(given)[:1], choice)
    two = engine.plan(given, directions(given), choice)
    assert one.values([(0.3,)])[0].loss == pytest.approx(two.values([(0.3, 0.0)])[0].loss, rel=1e-6)


@every_choice
def test_infinities_and_nan_are_results_at_their_own_points_only(choice: Choice) -> None:
    given = objective(NAME)
    along = directions(given)
    huge = {name: step * 1e30 for name, step in along[0].items()}
    plan = engine.plan(given, (huge, along[1]), choice)
    good, bad = plan.values([(0.0, 0.1), (1.0, 0.1)])
    assert math.isfinite(good.loss)
    assert not math.isfinite(bad.loss)
    assert 0.0 <= bad.accuracy <= 1.0


@every_choice
def test_a_small_loss_keeps_its_digits(choice: Choice) -> None:
    """Confident predictions, as after training: the loss is a small difference of large scores."""
    given, exact = objective(NAME), objective(NAME, "float64")
    with torch.no_grad():
        labels = exact.model(exact.samples(0, None)).argmax(1)
        for either in (given, exact):
            either.model.linear.weight *= 12.0  # type: ignore[union-attr, operator]
    sure = [Objective(either.model, either.images, labels) for either in (given, exact)]
    value = engine.plan(sure[0], directions(given), choice).values([(0.0, 0.0)])[0]
    expected = engine.plan(sure[1], directions(given), {"engine": "plain"}).values([(0.0, 0.0)])[0]
    assert value.loss == pytest.approx(expected.loss, rel=1e-3)  # its float32 loss would be off by a tenth


def test_an_unknown_engine_is_refused() -> None:
    given = objective(NAME)
    with pytest.raises(UnknownNameError, match="plain, fused, lanes"):
        engine.plan(given, directions(given), {"engine": "magic"})


@every_choice
def test_an_overflow_is_nan_or_infinite_and_never_a_finite_loss(choice: Choice) -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(20, 1, 8, 8, generator=generator), torch.randint(0, 10, (20,), generator=generator)
    given = Objective.of(build(CifarResNet(56, 4, "none", 10, 1)), images, labels)
    drawn = random_directions(given.parameters(), seed=0)
    points = [(0.5, 0.25), (100.0, 100.0), (1e5, 1e5)]
    expected = [value.loss for value in engine.plan(given, drawn, {"engine": "plain"}).values(points)]
    found = [value.loss for value in engine.plan(given, drawn, choice).values(points)]
    assert math.isfinite(expected[0])
    assert not any(map(math.isfinite, expected[1:]))
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert not any(map(math.isfinite, found[1:]))
