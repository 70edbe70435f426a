"""The trial before the first point: what forward pass and loss do to what they are given, and what they need."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape import api
from landscape.directions.random import random_directions
from landscape.errors import DataError
from landscape.grid import Grid
from landscape.objective.losses import loss_of
from landscape.objective.objective import Objective
from landscape.objective.trial import tried
from landscape.result import Result
from tests.support.small_models import gaussian, perceptron, vectors

GRID = Grid.line(5)
Forward = Callable[[Tensor], Tensor]


class Before(nn.Module):
    """A perceptron behind some code of its user's."""

    def __init__(self, before: Forward, inner: nn.Module | None = None):
        super().__init__()
        self.before, self.inner = before, inner or perceptron()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.before(x))


def slice_of(model: nn.Module, images: object, labels: object, **options: object) -> Result:
    return api.slice(model, images, labels, grid=GRID, progress=False, **options)  # type: ignore[arg-type]


def red(result: Result) -> list[str]:
    return [check.name for check in result.checks if not check.passed]


def minus(x: Tensor) -> Tensor:
    x -= 0.5
    return x


def data(x: Tensor) -> Tensor:
    x.data.mul_(2)
    return x


def numpy(x: Tensor) -> Tensor:
    x.numpy()[...] *= 2
    return x


WRITE = {
    "ReLU(inplace=True)": nn.ReLU(inplace=True),
    "x -= 0.5": minus,
    "x.data": data,
    "x.numpy()": numpy,
    "x[:, 0] = 0": lambda x: x.index_fill_(1, torch.tensor(0), 0.0),
}


@pytest.mark.parametrize("given", ["tensor", "array", "loader"])
@pytest.mark.parametrize("way", WRITE)
def test_samples_that_the_forward_pass_writes_to_stay_the_callers(way: str, given: str) -> None:
    images, labels = vectors(30)
    model, before = Before(WRITE[way]), images.clone()
    expected = slice_of(Before(lambda x: WRITE[way](x.clone())), images, labels)
    samples = {
        "tensor": (images, labels),
        "array": (images.numpy(), labels.numpy()),
        "loader": ([(images[:16], labels[:16]), (images[16:], labels[16:])], None),
    }[given]
    result = slice_of(model, *samples)
    assert torch.equal(images, before)
    np.testing.assert_allclose(result.losses, expected.losses, rtol=1e-6)
    assert red(result) == []


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("given", [torch.float32, torch.float64], ids=str)
def test_samples_stay_the_callers_in_whichever_precision_they_are_needed(given: torch.dtype, precision: str) -> None:
    images, labels = vectors(30)
    images = images.to(given)
    before = images.clone()
    result = slice_of(Before(minus), images, labels, precision=precision)
    assert torch.equal(images, before)
    assert red(result) == []


def test_labels_that_the_loss_writes_to_stay_the_callers() -> None:
    images, wanted = vectors(30)[0], gaussian(30, 3)

    def shifting(outputs: Tensor, targets: Tensor) -> Tensor:
        targets += 1
        return (outputs - targets).square().mean(1)

    before = wanted.clone()
    result = slice_of(perceptron(), images, wanted, loss=shifting)
    again = slice_of(perceptron(), images, wanted + 1, loss=lambda out, to: (out - to).square().mean(1))
    assert torch.equal(wanted, before)
    np.testing.assert_allclose(result.losses, again.losses, rtol=1e-6)


def test_samples_are_not_copied_for_a_forward_pass_that_does_not_write() -> None:
    images, labels = vectors(30)
    objective = tried(Objective.of(perceptron(), images, labels))
    assert objective.samples(4, 9).data_ptr() == images[4:].data_ptr()


class Residual(nn.Module):
    """∂u/∂x − ∂u/∂y of a network: the residual of a differential equation."""

    def __init__(self, inner: nn.Module, enabled: bool):
        super().__init__()
        self.inner, self.enabled = inner, enabled

    def forward(self, x: Tensor) -> Tensor:
        if self.enabled:
            with torch.enable_grad():
                return self._residual(x.clone().requires_grad_())
        return self._residual(x.requires_grad_())

    def _residual(self, x: Tensor) -> Tensor:
        [slope] = torch.autograd.grad(self.inner(x).sum(), x, create_graph=True)
        return (slope[:, 0] - slope[:, 1])[:, None]


def surface_net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))


def square(outputs: Tensor, wanted: Tensor) -> Tensor:
    return (outputs - wanted).square().mean(1)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_network_that_differentiates_by_its_samples_equals_the_closed_form(enabled: bool) -> None:
    """Of one hidden layer: u = v·tanh(Wx + b), so ∂u/∂x = Σ v (1 − tanh²) W."""
    inner, points = surface_net(), gaussian(40, 2)
    model = Residual(inner, enabled)
    result = slice_of(model, points, torch.zeros(40, 1), loss=square)
    center = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    [delta] = random_directions(center, seed=0, count=1)
    expected = []
    for alpha in GRID.alphas:
        at = {name: center[name] + alpha * delta[name] for name in center}
        hidden = torch.tanh(points.double() @ at["inner.0.weight"].T + at["inner.0.bias"])
        slope = ((1 - hidden**2) * at["inner.2.weight"]) @ at["inner.0.weight"]
        expected.append(float((slope[:, 0] - slope[:, 1]).square().mean()))
    np.testing.assert_allclose(result.losses[:, 0], expected, rtol=1e-5)
    assert red(result) == []


def test_a_loss_that_differentiates_by_the_samples_gets_them_as_labels() -> None:
    inner, points = surface_net(), gaussian(40, 2)

    def steepness(u: Tensor, x: Tensor) -> Tensor:
        return torch.autograd.grad(u.sum(), x)[0].square().sum(1)

    result = slice_of(inner, points, points, loss=steepness)
    hidden = torch.tanh(inner[0](points))  # type: ignore[operator]
    slope = ((1 - hidden**2) * inner[2].weight) @ inner[0].weight  # type: ignore[operator, union-attr]
    assert result.losses[2, 0] == pytest.approx(float(slope.detach().square().sum(1).mean()), rel=1e-5)
    assert not points.requires_grad
    assert red(result) == []


def test_a_type_named_in_the_forward_pass_is_said() -> None:
    model = Before(lambda x: x.double(), perceptron().double())
    with pytest.raises(DataError, match=r"cannot be computed in float32: .* names a type in its forward pass"):
        slice_of(model, *vectors())


def test_what_cannot_be_differentiated_is_said() -> None:
    def broken(u: Tensor, x: Tensor) -> Tensor:
        return torch.autograd.grad(u.sum(), x)[0].sum(1)

    with pytest.raises(DataError, match=r"The loss 'broken' failed on the first samples: .*require grad"):
        slice_of(surface_net(), gaussian(9, 2), gaussian(9, 2), loss=broken)


def contrastive(outputs: Tensor, _: Tensor) -> Tensor:
    """Every sample against all others of its batch (van den Oord et al. 2018, arXiv:1807.03748)."""
    scores = outputs @ outputs.T
    return F.cross_entropy(scores, torch.arange(len(outputs)), reduction="none")


def test_a_loss_between_the_samples_of_a_batch_is_that_of_one_batch_of_all() -> None:
    images, labels = vectors(600)
    model = perceptron()
    result = slice_of(model, images, labels, loss=contrastive)
    expected = float(contrastive(model.eval().double()(images.double()), labels).detach().mean())
    assert result.losses[2, 0] == pytest.approx(expected, rel=1e-5)
    assert "loss of one batch of 600" in result.caption
    assert red(result) == []


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron()

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.inner(x), 0.5, training=True)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = perceptron(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x) * self.calls


class Tracking(nn.Module):
    """An average that moves in evaluation mode too, by very little on the first samples."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 1e-6 * x[0].mean()
        return self.inner(x - self.mean)


class Keeping(nn.Module):
    """Computes with weights that it has kept, as after merging or caching them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = perceptron()
        self.kept = [(one.weight.detach().clone(), one.bias.detach().clone()) for one in (self.inner[0], self.inner[2])]

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(F.linear(x, *self.kept[0])), *self.kept[1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Drawing, "draws random numbers"),
        (Counting, "keeps state"),
        (Tracking, "keeps state"),
        (Keeping, "changes nothing"),
    ],
)
def test_a_forward_pass_without_a_value_of_its_own_is_said_instead_of_a_center_loss(
    make: type[nn.Module], words: str
) -> None:
    result = slice_of(make(), *vectors())
    [line] = [check for check in result.checks if not check.passed]
    assert line.name == "forward pass"
    assert words in line.text


@pytest.mark.parametrize("share", [1.0, 1e-3])
def test_a_little_dependence_on_the_batch_is_noticed(share: float) -> None:
    model = Before(lambda x: x - share * x.mean(0))
    assert tried(Objective.of(model, *vectors())).behaviour.together


def test_ordinary_networks_behave() -> None:
    found = tried(Objective.of(perceptron(), *vectors(), loss=loss_of("cross_entropy"))).behaviour
    assert found == type(found)()
