"""The plain evaluator against a slower one; the model is not changed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.directions.random import random_directions
from landscape.engine import plan
from landscape.errors import DataError, UnknownNameError
from landscape.objective.losses import loss_of
from landscape.objective.objective import Objective, Value, double_batch
from landscape.stop import Stopped
from tests.support.small_models import convolutional, gaussian, perceptron, pictures, the_answer, vectors


def one_by_one(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[list[float], float]:
    """Losses, each from its own forward pass in float64 with softmax written out, and accuracy."""
    double = convolutional().double().eval()
    double.load_state_dict(model.state_dict())
    losses, hits = [], 0
    for image, label in zip(images.double(), labels.tolist(), strict=True):
        scores = double(image[None])[0].tolist()
        losses.append(math.log(sum(math.exp(score) for score in scores)) - scores[label])
        hits += scores.index(max(scores)) == label
    return losses, hits / len(labels)


@pytest.mark.parametrize(("precision", "bound"), [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("batch", [4, 23, 100])
def test_the_value_is_that_of_a_loop_over_single_samples_in_float64(precision: str, bound: float, batch: int) -> None:
    model, (images, labels) = convolutional(), pictures(23)
    losses, accuracy = one_by_one(model, images, labels)
    objective = Objective.of(model, images, labels, precision=precision, batch=batch)
    value = objective.evaluate(objective.parameters())
    mean = sum(losses) / 23
    spread = math.sqrt(sum((loss - mean) ** 2 for loss in losses) / 22 / 23)
    assert value.loss == pytest.approx(mean, rel=bound)
    assert value.standard_error == pytest.approx(spread, rel=10 * bound)
    assert value.accuracy == accuracy


def test_evaluating_changes_neither_the_model_its_gradients_and_mode_nor_the_random_state() -> None:
    model, (images, labels) = convolutional(), pictures()
    F.cross_entropy(model(images), labels).backward()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    random_state = torch.get_rng_state()
    objective = Objective.of(model, images, labels)
    objective.evaluate({name: tensor + 1 for name, tensor in objective.parameters().items()})
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(gradients[name], p.grad) for name, p in model.named_parameters() if p.grad is not None)
    assert model.training
    assert all(layer.training and parameter.requires_grad for layer in model for parameter in layer.parameters())
    assert torch.equal(random_state, torch.get_rng_state())


def test_dropout_is_off_and_batchnorm_statistics_are_kept_in_any_mode_of_the_model() -> None:
    model, (images, labels) = convolutional(), pictures()
    training = Objective.of(model.train(), images, labels)
    evaluating = Objective.of(model.eval(), images, labels)
    assert training.evaluate({}) == evaluating.evaluate({}) == training.evaluate({})


def test_parameters_and_statistics_passed_by_name_are_used_and_others_are_the_models() -> None:
    model, (images, labels) = convolutional(), pictures()
    objective = Objective.of(model, images, labels, precision="float64")
    moved = {"8.bias": gaussian(3, seed=3).double(), "1.running_mean": gaussian(4, seed=4).double()}
    value = objective.evaluate(moved)
    model.load_state_dict(moved, strict=False)
    assert value == Objective.of(model, images, labels, precision="float64").evaluate({})
    assert value != objective.evaluate({})


def test_the_loss_is_the_mean_of_samples_and_not_of_batch_means() -> None:
    images, labels = vectors(5)
    objective = Objective.of(perceptron(), images, labels, precision="float64", batch=4)
    losses = objective.sample_losses({})
    assert objective.evaluate({}).loss == pytest.approx(float(losses.mean()), rel=1e-15)
    assert objective.evaluate({}).loss != pytest.approx(float((losses[:4].mean() + losses[4]) / 2), rel=1e-3)


def test_mse_is_the_authors_mean_over_batch_and_classes_of_softmax_minus_one_hot_squared() -> None:
    model, (images, labels) = perceptron(), vectors()
    objective = Objective.of(model, images, labels, precision="float64", loss=loss_of("mse"))
    one_hot = torch.zeros(29, 3, dtype=torch.float64).scatter_(1, labels[:, None], 1)
    with torch.no_grad():
        expected = F.mse_loss(F.softmax(model.double().eval()(images.double()), 1), one_hot)
    assert objective.evaluate({}).loss == pytest.approx(float(expected), rel=1e-13)


def test_label_smoothing_mixes_the_loss_with_the_mean_over_all_classes() -> None:
    model, (images, labels) = perceptron(), vectors()
    smoothed = loss_of("cross_entropy", label_smoothing=0.2)
    value = Objective.of(model, images, labels, precision="float64", loss=smoothed).evaluate({})
    with torch.no_grad():
        log_p = model.double()(images.double()).log_softmax(1)
    expected = -(0.8 * log_p[torch.arange(29), labels] + 0.2 * log_p.mean(1)).mean()
    assert value.loss == pytest.approx(float(expected), rel=1e-13)


def test_any_callable_can_be_the_loss_and_outputs_that_are_no_scores_have_no_accuracy() -> None:
    images, _ = vectors()
    targets = gaussian(29, 3, seed=9)

    def absolute(outputs: Tensor, wanted: Tensor) -> Tensor:
        return (outputs - wanted).abs().sum(1)

    objective = Objective.of(perceptron(), images, targets, precision="float64", loss=loss_of(absolute))
    value = objective.evaluate({})
    with torch.no_grad():
        expected = (perceptron().double()(images.double()) - targets.double()).abs().sum(1)
    assert value.loss == pytest.approx(float(expected.mean()), rel=1e-13)
    assert math.isnan(value.accuracy)
    assert objective.loss.name == "absolute"


def test_a_loss_that_averages_over_the_batch_is_refused_with_advice() -> None:
    objective = Objective.of(perceptron(), *vectors(), loss=loss_of(F.cross_entropy))
    with pytest.raises(DataError, match=r"'cross_entropy' returns shape \(\) for 29 samples.*reduction='none'"):
        objective.evaluate({})


def test_infinite_and_nan_losses_are_results_and_nan_scores_are_never_correct() -> None:
    images, labels = vectors()
    objective = Objective.of(perceptron(), images, labels)
    nan = objective.evaluate({"2.bias": torch.full((3,), math.nan)})
    assert math.isnan(nan.loss)
    assert nan.accuracy == 0
    huge = objective.evaluate({"2.bias": torch.tensor([math.inf, 0.0, 0.0])})
    assert not math.isfinite(huge.loss)


def test_one_sample_has_a_loss_but_no_standard_error() -> None:
    value = Objective.of(perceptron(), *vectors(1)).evaluate({})
    assert isinstance(value, Value)
    assert math.isfinite(value.loss)
    assert math.isnan(value.standard_error)


def test_a_stop_request_ends_the_evaluation_before_the_next_batch() -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(Stopped):
        Objective.of(perceptron(), *vectors(29), batch=4).evaluate({}, stop=stop)
    assert len(asked) == 3


def test_a_model_and_samples_that_cannot_be_evaluated_are_refused_with_the_reason() -> None:
    images, labels = vectors()
    with pytest.raises(DataError, match="0 images and 0 labels"):
        Objective.of(perceptron(), images[:0], labels[:0])
    with pytest.raises(DataError, match="29 images and 28 labels"):
        Objective.of(perceptron(), images, labels[:28])
    with pytest.raises(DataError, match="Flatten has no parameters"):
        Objective.of(nn.Flatten(), images, labels)
    with pytest.raises(UnknownNameError, match=r"precision 'float16'\. Known: float32, float64"):
        Objective.of(perceptron(), images, labels, precision="float16")
    with pytest.raises(UnknownNameError, match=r"loss 'hinge'\. Known: cross_entropy, mse"):
        loss_of("hinge")
    with pytest.raises(DataError, match="applies to the cross-entropy"):
        loss_of(the_answer, label_smoothing=0.1)
    with pytest.raises(DataError, match="from 0 to 1; got 2"):
        loss_of("cross_entropy", label_smoothing=2)


@pytest.mark.parametrize("given", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("choice", [{"engine": "plain"}, None])
@pytest.mark.parametrize(("network", "samples"), [(convolutional, pictures), (perceptron, vectors)])
def test_samples_keep_their_type_and_give_the_values_of_samples_converted_beforehand(
    given: torch.dtype,
    precision: str,
    choice: dict[str, str] | None,
    network: Callable[[], nn.Module],
    samples: Callable[[], tuple[Tensor, Tensor]],
) -> None:
    images, labels = samples()[0].to(given), samples()[1]
    # Batches of 8 start at multiples of 16 bytes in every type; otherwise a matrix product may round differently.
    objective = Objective.of(network(), images, labels, precision=precision, batch=8)
    assert objective.images.data_ptr() == images.data_ptr()
    whole = Objective.of(network(), images.to(objective.dtype), labels, precision=precision, batch=8)
    along = random_directions(objective.parameters(), seed=0)
    plans = [plan(one, along, choice) for one in (objective, whole)]
    assert plans[0].choice == plans[1].choice
    assert plans[0].values([(0.1, -0.2)]) == plans[1].values([(0.1, -0.2)])
    assert objective.evaluate({}) == whole.evaluate({})


def test_batches_in_float64_hold_about_as_many_numbers_for_every_network() -> None:
    """ResNet-20 on CIFAR; width 8 on digits; a multi-layer perceptron; one value larger than the cache; no numbers."""
    assert [double_batch(one) for one in (16 * 32 * 32, 8 * 8 * 8, 128, 10**7, 0)] == [4, 128, 256, 4, 256]
