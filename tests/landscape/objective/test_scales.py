"""Which parameters with several axes have no filters, and what that does to directions, Hessian and captions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape as ls
from landscape.directions.plane import Plane
from landscape.directions.random import Params, random_directions
from landscape.hessian.products import names_over
from landscape.kinds.requested import request_of
from landscape.objective.objective import Objective
from landscape.objective.scales import scales


class Scaled(nn.Module):
    """x · g + b element by element."""

    def __init__(self, *shape: int):
        super().__init__()
        self.g = nn.Parameter(torch.rand(shape) + 0.5)
        self.b = nn.Parameter(torch.rand(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.g.exp().log() + self.b


class Token(nn.Module):
    """A token before the others, and a position for each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        self.positions = nn.Parameter(torch.randn(1, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), 5, 4)
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions


class ByHand(nn.Module):
    """v · g / ‖v‖, written out; and a product of matrices with a vector (1, n)."""

    def __init__(self) -> None:
        super().__init__()
        self.v, self.g = nn.Parameter(torch.randn(4, 20)), nn.Parameter(torch.rand(4, 1) + 0.5)
        self.head = nn.Parameter(torch.randn(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.linear(x, self.v * (self.g / self.v.norm(dim=1, keepdim=True)))
        return hidden + (hidden @ self.head.t()) * torch.ones(4)


class Standardized(nn.Conv2d):
    """A convolution whose kernels are normalized: the weight is the input of a normalization."""

    def forward(self, x: Tensor) -> Tensor:
        kernels = nn.functional.layer_norm(self.weight, self.weight.shape[1:])
        return nn.functional.conv2d(x, kernels, self.bias)


IMAGES, VECTORS = (1, 6, 6), (20,)
NORMED = nn.utils.parametrizations.weight_norm
CASES = {  # network, shape of a sample, and the parameters without filters
    "LayerNorm over two axes": ([nn.LayerNorm((6, 6))], IMAGES, ["0.bias", "0.weight"]),
    "LayerNorm over three": ([nn.Conv2d(1, 4, 3), nn.LayerNorm((4, 4, 4))], IMAGES, ["1.bias", "1.weight"]),
    "RMSNorm over two axes": ([nn.RMSNorm((6, 6))], IMAGES, ["0.weight"]),
    "layer scale": ([nn.Conv2d(1, 4, 3), Scaled(4, 1, 1)], IMAGES, ["1.b", "1.g"]),
    "layer scale of four axes": ([nn.Conv2d(1, 4, 3), Scaled(1, 4, 1, 1)], IMAGES, ["1.b", "1.g"]),
    "weight norm": ([NORMED(nn.Linear(20, 4))], VECTORS, ["0.parametrizations.weight.original0"]),
    "weight norm, conv": ([NORMED(nn.Conv2d(1, 4, 3))], IMAGES, ["0.parametrizations.weight.original0"]),
    "weight norm by hand": ([ByHand()], VECTORS, ["0.g"]),
    "one input, one output": ([nn.Linear(20, 1), nn.Linear(1, 8), nn.Linear(8, 1)], VECTORS, []),
    "pointwise convolutions": ([nn.Conv2d(1, 4, 1), nn.Conv2d(4, 1, 1), nn.Conv2d(1, 1, 1)], IMAGES, []),
    "depthwise convolution": ([nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1, groups=4)], IMAGES, []),
    "normalized kernels": ([Standardized(1, 4, 3)], IMAGES, []),
    "tokens and positions": ([Token(), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)], VECTORS, []),
}


def network(layers: list[nn.Module], shape: tuple[int, ...]) -> tuple[nn.Module, Tensor, Tensor]:
    """The layers, then a linear one of three classes; samples and labels."""
    torch.manual_seed(0)
    samples = torch.randn(9, *shape)
    width = nn.Sequential(*layers, nn.Flatten()).eval()(samples).shape[1]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, 3)).eval()
    return model, samples, torch.randint(3, (9,))


@pytest.mark.parametrize("case", CASES)
def test_scales_and_shifts_of_several_axes_have_no_filters_and_weights_do(case: str) -> None:
    layers, shape, wanted = CASES[case]
    model, samples, labels = network(layers, shape)
    result = ls.slice(model, samples, labels, grid=ls.Grid.line(3))
    assert result.provenance["scales"] == wanted
    assert all(line.passed for line in result.checks)
    assert ("several axes fixed" in result.caption) == bool(wanted)
    asked = ls.slice(model, samples, labels, grid=ls.Grid.line(3), filters="axes")
    assert asked.provenance["scales"] == []
    assert "several axes" not in asked.caption
    assert (asked.losses[0, 0] == result.losses[0, 0]) == (not wanted)


def test_a_plane_is_that_of_the_network_whose_scales_have_one_axis() -> None:
    """The same function with its layer scale in another form: equal draws by name give an equal surface."""
    torch.manual_seed(1)
    first, last, scale = nn.Conv2d(1, 4, 3), nn.Linear(64, 3), Scaled(4, 1, 1)

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.g, self.b = nn.Parameter(scale.g.detach().flatten()), nn.Parameter(scale.b.detach().flatten())

        def forward(self, x: Tensor) -> Tensor:
            return x * self.g[:, None, None] + self.b[:, None, None]

    samples, labels = torch.randn(7, 1, 6, 6), torch.randint(3, (7,))
    grid = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(-0.5, 1, 4))
    surfaces = [
        ls.surface(nn.Sequential(first, one, nn.Flatten(), last).eval(), samples, labels, grid=grid).losses
        for one in (scale, Flat())
    ]
    np.testing.assert_allclose(*surfaces, rtol=1e-6)


@pytest.mark.parametrize("normalization", ["filter", "layer", "weight", "dlayer", "none"])
@pytest.mark.parametrize("orthogonality", ["filter", "overall"])
def test_with_biases_a_scale_moves_as_one_filter(normalization: str, orthogonality: str) -> None:
    torch.manual_seed(2)
    center = {"weight": torch.randn(3, 5), "scale": torch.rand(6, 1, 1) + 0.5}
    flat = {**center, "scale": center["scale"].flatten()}
    how = {"normalization": normalization, "orthogonality": orthogonality, "biases": "random"}
    for found, wanted in zip(
        random_directions(center, seed=3, scales=("scale",), **how), random_directions(flat, seed=3, **how), strict=True
    ):
        torch.testing.assert_close(found["scale"].flatten(), wanted["scale"])
        torch.testing.assert_close(found["weight"], wanted["weight"])
    fixed = random_directions(center, seed=3, scales=("scale",), **{**how, "biases": "fixed"})
    assert not any(direction["scale"].any() for direction in fixed)
    along = random_directions(center, seed=3, scales=("scale",), **{**how, "biases": "parameter"})
    assert all(bool((direction["scale"] == center["scale"]).all()) for direction in along)


def test_the_hessian_over_filters_leaves_scales_out() -> None:
    model, samples, labels = network([nn.Conv2d(1, 4, 3), Scaled(4, 1, 1), nn.LayerNorm((4, 4, 4))], IMAGES)
    objective = Objective.of(model, samples, labels)
    assert names_over(objective, "filters") == ["0.weight", "4.weight"]
    assert names_over(objective, "filters", "axes") == ["0.weight", "1.g", "1.b", "2.weight", "2.bias", "4.weight"]
    small = ls.Grid.line(2)
    sizes = [
        ls.curvature(model, samples, labels, grid=small, filters=one).provenance["curvature"]["parameters"]
        for one in ("weights", "axes")
    ]
    assert sizes == [36 + 192, 36 + 8 + 128 + 192]


def test_a_result_of_an_earlier_version_keeps_its_directions() -> None:
    model, samples, labels = network([nn.Conv2d(1, 4, 3), Scaled(4, 1, 1)], IMAGES)
    now = ls.slice(model, samples, labels, grid=ls.Grid.line(3), filters="axes")
    request = now.provenance["request"]
    del request["options"]["filters"], now.provenance["scales"]
    assert request_of(now)["options"]["filters"] == "axes"
    assert now.reproduce(model, samples, labels).bitwise
    del now.provenance["request"]
    assert request_of(now)["options"]["filters"] == "axes"


class Unwatchable(nn.Module):
    """May forbid modes, as compiled code does."""

    def __init__(self) -> None:
        super().__init__()
        self.forbids = True
        self.scale = nn.Parameter(torch.ones(20, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.forbids and torch.utils._python_dispatch._len_torch_dispatch_stack():
            raise RuntimeError("a mode is active")
        return x * self.scale.flatten()


def test_what_cannot_be_watched_or_is_not_reached_has_filters() -> None:
    model, samples, labels = network([Unwatchable()], VECTORS)
    assert scales(Objective.of(model, samples, labels)) == ()
    model.unused = nn.Parameter(torch.ones(4, 1))
    model[0].forbids = False
    assert scales(Objective.of(model, samples, labels)) == ("0.scale",)


def test_results_of_before_are_refined_where_no_parameter_is_a_scale(tmp_path: Path) -> None:
    """They have neither `scales` nor an option `filters`; their directions are the same."""
    model, samples, labels = network([nn.Conv2d(1, 4, 3)], IMAGES)
    old = ls.slice(model, samples, labels, grid=ls.Grid.line(3), filters="axes")
    del old.provenance["request"]["options"]["filters"], old.provenance["scales"]
    old.save(tmp_path / "old.npz")
    loaded = ls.Result.load(tmp_path / "old.npz")
    assert loaded.refine(2, model=model, images=samples, labels=labels).provenance["reused"]["points"] == 3
    again = loaded.reproduce(model, samples, labels)
    assert again.bitwise
    assert again.same_request
    new = ls.slice(model, samples, labels, grid=ls.Grid.line(3))
    assert new.difference(loaded).same_request


def test_the_number_of_samples_does_not_matter() -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), Scaled(4, 1, 1)]
    model, samples, labels = network(layers, IMAGES)
    found = [scales(Objective.of(model, samples[:count], labels[:count])) for count in (1, 2, 9)]
    assert found == [("2.b", "2.g")] * 3


class OfRankOne(nn.Module):
    """The product with a matrix u vᵀ, from two vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(8, 1)), nn.Parameter(torch.randn(1, 20))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v).T


def test_the_factors_of_an_outer_product_are_weights() -> None:
    model, samples, labels = network([OfRankOne()], VECTORS)
    assert scales(Objective.of(model, samples, labels)) == ()


def test_memory_that_runs_out_is_not_taken_for_a_network_that_cannot_be_watched() -> None:
    class Exhausted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(20, 1))

        def forward(self, x: Tensor) -> Tensor:
            raise MemoryError("out of memory")

    with pytest.raises(MemoryError):
        scales(Objective.of(Exhausted(), torch.zeros(3, 20), torch.zeros(3, dtype=torch.long)))


def given(names: Params) -> Plane:
    """A plane along ones in every parameter."""
    return Plane(({name: torch.ones_like(one) for name, one in names.items()},), "given")


def test_given_directions_move_scales_and_the_caption_does_not_speak_of_them() -> None:
    model, samples, labels = network([nn.Conv2d(1, 4, 3), Scaled(4, 1, 1)], IMAGES)
    plane = given(dict(model.named_parameters()))
    result = ls.slice(model, samples, labels, grid=ls.Grid.line(3), directions=plane)
    assert "several axes" not in result.caption
