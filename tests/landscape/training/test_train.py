"""Training: the update rule, the schedule, reproducibility, recorded metrics, saved files."""

import hashlib
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from landscape.data import Dataset, load
from landscape.errors import DataError, LandscapeError
from landscape.models import CifarResNet, build
from landscape.models.recognize import from_json, recognize
from landscape.training.train import Epoch, Settings, TrainingRun, evaluate, learning_rate, save_checkpoint, train

TINY = CifarResNet(8, 2, "projection", 10, 1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def digits(count: int = 300) -> tuple[Dataset, Dataset]:
    return load("digits").subset(count), load("digits", "test").subset(50)


def equal(first: Epoch, second: Epoch) -> bool:
    figures = replace(first, state={}) == replace(second, state={})
    return figures and all(torch.equal(first.state[name], second.state[name]) for name in first.state)


def test_two_runs_with_one_seed_are_equal_bit_for_bit_and_another_seed_differs() -> None:
    first, second = (list(train(TINY, *digits(), Settings(epochs=2))) for _ in range(2))
    other = list(train(TINY, *digits(), Settings(epochs=2, seed=1)))
    assert len(first) == 3
    assert all(equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[-1].state["conv1.weight"], other[-1].state["conv1.weight"])


def test_training_leaves_the_global_generator_and_the_data_alone() -> None:
    samples, test_samples = digits()
    before, digest = torch.get_rng_state(), samples.digest
    list(train(TINY, samples, test_samples, Settings(epochs=1)))
    assert torch.equal(before, torch.get_rng_state())
    assert replace(samples).digest == digest


def test_a_few_epochs_learn_most_digits() -> None:
    last = list(train(replace(TINY, width=8), *digits(1500), Settings(epochs=5)))[-1]
    assert last.train_error < 0.1
    assert last.test_error < 0.2


def test_the_updates_are_sgd_with_nesterov_momentum_and_weight_decay() -> None:
    """Against the update rule written out (Sutskever et al. 2013 in torch's form) over three batches, one short."""
    samples, test_samples = digits(40)
    settings = Settings(epochs=1, batch=16, learning_rate=0.05, weight_decay=0.01)
    trained = list(train(TINY, samples, test_samples, settings))[-1].state
    module = build(TINY, settings.seed).train()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(settings.seed))
    velocity = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for index, batch in enumerate((order[:16], order[16:32], order[32:])):
        loss = F.cross_entropy(module(samples.images[batch]), samples.labels[batch])
        parameters = dict(module.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        rate = learning_rate(index / 3, settings)
        with torch.no_grad():
            for (name, p), gradient in zip(parameters.items(), gradients, strict=True):
                decayed = gradient + 0.01 * p
                velocity[name] = 0.9 * velocity[name] + decayed
                p -= rate * (decayed + 0.9 * velocity[name])
    expected = module.state_dict()
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-5)


def test_epoch_zero_is_the_initialization_of_the_seed() -> None:
    first = next(train(TINY, *digits(), Settings(seed=5)))
    expected = build(TINY, 5).state_dict()
    assert first.number == 0
    assert all(torch.equal(tensor, expected[name]) for name, tensor in first.state.items())
    assert {*expected} - {*first.state} == {name for name in expected if name.endswith("num_batches_tracked")}


def test_snapshots_do_not_change_when_training_goes_on() -> None:
    epochs = train(TINY, *digits(), Settings(epochs=1))
    first = next(epochs)
    before = {name: tensor.clone() for name, tensor in first.state.items()}
    second = next(epochs)
    assert all(torch.equal(first.state[name], before[name]) for name in before)
    assert not torch.equal(second.state["conv1.weight"], before["conv1.weight"])


def test_the_figures_of_an_epoch_are_those_of_its_snapshot_in_evaluation_mode() -> None:
    samples, test_samples = digits()
    last = list(train(TINY, samples, test_samples, Settings(epochs=1)))[-1]
    module = build(TINY).eval().double()
    module.load_state_dict(last.state)
    logits = module(samples.images.double())
    log_probabilities = logits - logits.exp().sum(dim=1, keepdim=True).log()
    by_hand = -log_probabilities[torch.arange(300), samples.labels].mean().item()
    assert last.train_loss == pytest.approx(by_hand, rel=1e-5)
    assert last.train_error == pytest.approx((logits.argmax(1) != samples.labels).double().mean().item())
    wrong = module(test_samples.images.double()).argmax(1) != test_samples.labels
    assert last.test_error == pytest.approx(wrong.double().mean().item())


def test_evaluation_counts_a_short_last_batch_and_leaves_statistics_and_mode() -> None:
    samples = load("digits").subset(507)
    module = build(TINY).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    loss, error = evaluate(module, samples)
    parts = [evaluate(module, Dataset("part", "all", *part, 10, (), ())) for part in halves(samples, 200)]
    assert loss == pytest.approx((parts[0][0] * 200 + parts[1][0] * 307) / 507, rel=1e-6)
    assert error == pytest.approx((parts[0][1] * 200 + parts[1][1] * 307) / 507)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def halves(samples: Dataset, at: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(samples.images[:at], samples.labels[:at]), (samples.images[at:], samples.labels[at:])]


def test_the_learning_rate_rises_to_its_highest_and_falls_to_zero() -> None:
    settings = Settings(learning_rate=0.2, warmup=0.25)
    assert learning_rate(0, settings) == pytest.approx(0.2 / 25)
    assert learning_rate(0.125, settings) == pytest.approx((0.2 + 0.2 / 25) / 2)
    assert learning_rate(0.25, settings) == pytest.approx(0.2)
    assert learning_rate(0.625, settings) == pytest.approx(0.1)
    assert learning_rate(1, settings) == pytest.approx(0)
    assert learning_rate(0, replace(settings, warmup=0)) == pytest.approx(0.2)


def test_the_learning_rate_is_that_of_torchs_one_cycle() -> None:
    settings, steps = Settings(learning_rate=0.3, warmup=0.3), 100
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=steps + 1, pct_start=31 / 101, cycle_momentum=False, final_div_factor=math.inf
    )
    for step in range(steps):
        assert learning_rate(step / steps, settings) == pytest.approx(cycle.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        cycle.step()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1; got 0"),
        ({"batch": -3}, "'batch' must be at least 1; got -3"),
        ({"learning_rate": math.nan}, "'learning_rate' must be a finite number"),
        ({"weight_decay": -1.0}, "'weight_decay' must be a finite number, 0 or more; got -1.0"),
        ({"warmup": 1.0}, "'warmup' must be at least 0 and below 1"),
        ({"seed": -1}, "'seed' must be a whole number"),
        ({"seed": 2**64}, "'seed' must be a whole number"),
    ],
)
def test_impossible_settings_are_refused_in_words(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(LandscapeError) as caught:
        Settings(**wrong)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_data_that_do_not_fit_the_network_are_refused() -> None:
    with pytest.raises(DataError, match="digits has 10 classes, the network 7 outputs"):
        next(train(replace(TINY, classes=7), *digits(), Settings()))
    with pytest.raises(DataError, match="digits have 1 channels; the network takes 3"):
        next(train(replace(TINY, channels=3), *digits(), Settings()))


def test_a_checkpoint_is_a_safetensors_file_with_metadata_as_strings(tmp_path: Path) -> None:
    state = {"b": torch.arange(6.0).view(2, 3).t(), "a": torch.ones(1)}
    digest = save_checkpoint(tmp_path / "c.safetensors", state, {"epoch": 3, "dataset": "digits", "loss": 0.1 + 0.2})
    with safe_open(tmp_path / "c.safetensors", "pt") as file:
        assert file.metadata() == {"epoch": "3", "dataset": "digits", "loss": "0.30000000000000004"}
        assert torch.equal(file.get_tensor("b"), state["b"])
    assert digest == hashlib.sha256((tmp_path / "c.safetensors").read_bytes()).hexdigest()


def test_equal_checkpoints_are_equal_bytes_with_aligned_tensors(tmp_path: Path) -> None:
    metadata = {f"key {index}": "Größe" * index for index in range(20)}
    state = {"a": torch.ones(3)}
    assert len({save_checkpoint(tmp_path / "c.safetensors", state, metadata) for _ in range(8)}) == 1
    (length,) = struct.unpack("<Q", (tmp_path / "c.safetensors").read_bytes()[:8])
    assert length % 8 == 0


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LandscapeError, match=r"c\.safetensors cannot be written: No such file or directory"):
        save_checkpoint(tmp_path / "none" / "c.safetensors", {"a": torch.ones(1)}, {})


def test_a_run_leaves_a_trajectory_that_is_recognized_and_a_record(tmp_path: Path) -> None:
    samples, test_samples = digits()
    settings = Settings(epochs=2)
    run = TrainingRun(tmp_path / "run", command="c", architecture=TINY, dataset=samples, settings=settings)
    for epoch in train(TINY, samples, test_samples, settings):
        run.save(epoch)
    record = run.finish(epoch, seconds=1.23)
    names = ["epoch-000.safetensors", "epoch-001.safetensors", "epoch-002.safetensors"]
    assert sorted(path.name for path in (tmp_path / "run" / "trajectory").iterdir()) == names
    last = (tmp_path / "run" / "trajectory" / names[-1]).read_bytes()
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == last
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == record
    assert record["sha256"] == hashlib.sha256(last).hexdigest()
    assert (record["train_loss"], record["test_error"]) == (epoch.train_loss, epoch.test_error)
    with safe_open(tmp_path / "run" / "checkpoint.safetensors", "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        assert recognize(shapes) == [TINY] == [from_json(json.loads(file.metadata()["architecture"]))]
        assert float(file.metadata()["train_loss"]) == epoch.train_loss


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    samples, _ = digits()
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(LandscapeError, match="holds a training run already"):
        TrainingRun(tmp_path, command="c", architecture=TINY, dataset=samples, settings=Settings())
    with pytest.raises(LandscapeError, match=r"'record\.json' cannot be used"):
        TrainingRun(tmp_path / "record.json", command="c", architecture=TINY, dataset=samples, settings=Settings())
