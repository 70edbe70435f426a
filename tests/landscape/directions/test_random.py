"""Random directions: draws, filters of every kind of layer, normalization, orthogonality, measures."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from landscape.directions.measures import cosine, measure_directions
from landscape.directions.random import (
    BIASES,
    NORMALIZATIONS,
    ORTHOGONALITIES,
    completed,
    draw,
    draw_as_authors,
    normalize,
    orthogonalize_filters,
    random_directions,
    rows,
)
from landscape.errors import NotFiniteError, ShapeMismatchError, UnknownNameError
from tests.support.small_models import convolutional, gaussian


def center() -> dict[str, Tensor]:
    """Filters of several shapes, a zero filter, one-element filters, a bias, a zero bias, a number."""
    weights = {
        "conv": gaussian(5, 3, 3, 2, seed=1),
        "depthwise": gaussian(6, 1, 1, 1, seed=2),
        "linear": gaussian(4, 7, seed=3),
        "bias": gaussian(5, seed=4),
        "zeros": torch.zeros(3),
        "number": torch.tensor(2.0),
    }
    weights["conv"][2] = 0
    return weights


def as_the_authors_do(weights: list[Tensor], kind: str, ignore: str) -> list[list[Tensor]]:
    """create_random_direction of the authors' net_plotter.py, twice, written out for a list of tensors."""
    found = []
    for _ in range(2):
        direction = [torch.randn(w.size()) for w in weights]
        for d, w in zip(direction, weights, strict=True):
            if d.dim() <= 1:
                d.fill_(0) if ignore == "biasbn" else d.copy_(w)
            elif kind == "filter":
                for d_filter, w_filter in zip(d, w, strict=True):
                    d_filter.mul_(w_filter.norm() / (d_filter.norm() + 1e-10))
            elif kind == "layer":
                d.mul_(w.norm() / d.norm())
            elif kind == "weight":
                d.mul_(w)
            elif kind == "dfilter":
                for d_filter in d:
                    d_filter.div_(d_filter.norm() + 1e-10)
            elif kind == "dlayer":
                d.div_(d.norm())
        found.append(direction)
    return found


@pytest.mark.parametrize(("ignore", "biases"), [("biasbn", "fixed"), ("", "parameter")])
@pytest.mark.parametrize("kind", NORMALIZATIONS[:-1])
def test_the_authors_draw_order_and_normalizations_give_the_directions_of_their_code(
    kind: str, ignore: str, biases: str
) -> None:
    weights = center()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        theirs = as_the_authors_do(list(weights.values()), kind, ignore)
    ours = random_directions(weights, seed=11, normalization=kind, biases=biases, orthogonality="none", drawn="authors")
    for one, other in zip(ours, theirs, strict=True):
        for tensor, expected in zip(one.values(), other, strict=True):
            torch.testing.assert_close(tensor.float(), expected, rtol=3e-6, atol=1e-7)


def test_filter_normalization_gives_every_filter_the_norm_of_the_networks_filter() -> None:
    weights = center()
    for direction in random_directions(weights, seed=1):
        for name in ("conv", "depthwise", "linear"):
            for one, other in zip(direction[name], weights[name], strict=True):
                assert one.norm().item() == pytest.approx(other.double().norm().item(), rel=1e-12)


def test_two_directions_are_orthogonal_inside_every_filter_of_two_elements_or_more() -> None:
    delta, eta = random_directions(center(), seed=1)
    for name in ("conv", "linear"):
        for one, other in zip(delta[name].flatten(1), eta[name].flatten(1), strict=True):
            assert abs(one @ other) <= 1e-15 * one.norm() * other.norm()


def test_parameters_with_one_axis_or_none_do_not_move_by_default() -> None:
    for direction in random_directions(center(), seed=1):
        assert not any(direction[name].any() for name in ("bias", "zeros", "number"))


def test_a_fresh_process_draws_the_same_bits_in_any_order_of_names() -> None:
    weights = center()
    program = (
        "import torch; from landscape.directions.random import draw\n"
        "torch.manual_seed(99); torch.rand(7)\n"
        "c = {'linear': torch.zeros(4, 7), 'conv': torch.zeros(5, 3, 3, 2)}\n"
        "d = draw(c, seed=5, axis=1); print(*[float(t.double().sum()).hex() for t in (d['conv'], d['linear'])])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = draw(weights, seed=5, axis=1)
    assert output.split() == [float(here[name].sum()).hex() for name in ("conv", "linear")]


def test_seed_axis_and_name_each_change_the_draw_and_the_global_generator_is_not_used() -> None:
    twins = {"one": torch.zeros(3, 4), "other": torch.zeros(3, 4)}
    before = torch.get_rng_state()
    draws = [draw(twins, seed=0, axis=0)["one"], draw(twins, seed=0, axis=0)["other"]]
    draws += [draw(twins, seed=1, axis=0)["one"], draw(twins, seed=0, axis=1)["one"]]
    draw_as_authors(twins, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_draws_are_standard_gaussian() -> None:
    sample = draw({"many": torch.zeros(400, 500)}, seed=3, axis=0)["many"].flatten()
    for power, expected in ((1, 0), (2, 1), (3, 0), (4, 3)):
        spread = (sample**power).std() / len(sample) ** 0.5
        assert abs((sample**power).mean() - expected) < 5 * spread


FILTERS = [  # layer, how many filters, elements of each
    (nn.Conv2d(4, 6, 3), 6, 36),
    (nn.Conv2d(4, 6, (3, 2), groups=2), 6, 12),
    (nn.Conv2d(4, 4, 3, groups=4), 4, 9),
    (nn.Conv1d(4, 6, 5), 6, 20),
    (nn.Conv3d(2, 3, 2), 3, 16),
    (nn.ConvTranspose2d(4, 6, 3), 4, 54),  # one per *input* channel: the first axis
    (nn.Linear(5, 3), 3, 5),
    (nn.Linear(5, 1), 1, 5),
    (nn.Embedding(10, 4), 10, 4),
    (nn.Bilinear(3, 4, 5), 5, 12),
]


@pytest.mark.parametrize(("layer", "filters", "elements"), FILTERS, ids=lambda value: type(value).__name__)
def test_a_filter_is_one_entry_along_the_first_axis_of_any_layer(layer: nn.Module, filters: int, elements: int) -> None:
    weight = layer.weight.detach()
    assert rows(weight).shape == (filters, elements)
    direction = normalize({"weight": gaussian(*weight.shape)}, {"weight": weight})["weight"]
    for index in range(filters):
        assert direction[index].norm().item() == pytest.approx(weight[index].double().norm().item(), rel=1e-12)


def test_the_padding_row_of_an_embedding_is_a_zero_filter_and_stays_zero() -> None:
    weight = nn.Embedding(5, 3, padding_idx=2).weight.detach()
    delta, eta = random_directions({"weight": weight}, seed=0)
    assert not delta["weight"][2].any()
    assert not eta["weight"][2].any()
    assert measure_directions((delta, eta), {"weight": weight}).zero_filters == 1


def test_tied_weights_are_one_parameter_with_one_direction() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
            self.out.weight = self.embed.weight

    parameters = dict(Tied().named_parameters())
    assert list(random_directions(parameters, seed=0)[0]) == ["embed.weight"]


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_each_normalization_gives_the_norms_of_its_definition(kind: str) -> None:
    weights = {name: tensor for name, tensor in center().items() if name in ("conv", "linear")}
    raw = draw(weights, seed=2, axis=0)
    for name, tensor in normalize(raw, weights, kind=kind).items():
        weight = weights[name].double()
        expected = {
            "filter": lambda drawn, given: torch.stack(
                [a * (b.norm() / a.norm()) for a, b in zip(drawn, given, strict=True)]
            ),
            "layer": lambda drawn, given: drawn * (given.norm() / drawn.norm()),
            "weight": lambda drawn, given: drawn * given,
            "dfilter": lambda drawn, given: torch.stack([a / a.norm() for a in drawn]),
            "dlayer": lambda drawn, given: drawn / drawn.norm(),
            "none": lambda drawn, given: drawn,
        }[kind](raw[name], weight)
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=0)


def test_random_biases_have_the_norm_of_the_biases_and_are_orthogonal_as_one_filter() -> None:
    weights = center()
    delta, eta = random_directions(weights, seed=4, biases="random")
    assert delta["bias"].norm().item() == pytest.approx(weights["bias"].double().norm().item(), rel=1e-12)
    assert abs(delta["bias"] @ eta["bias"]) < 1e-14
    assert not delta["zeros"].any()
    assert abs(delta["number"]) == pytest.approx(2)


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_orthogonal_overall_holds_together_with_every_normalization(kind: str, biases: str) -> None:
    weights = dict(convolutional().named_parameters())
    delta, eta = random_directions(weights, seed=3, normalization=kind, biases=biases, orthogonality="overall")
    turning = [name for name in weights if biases != "parameter" or weights[name].ndim > 1]
    assert abs(cosine(*({name: direction[name] for name in turning} for direction in (delta, eta)))) < 1e-14
    if kind != "weight":
        again = normalize(eta, weights, kind=kind, biases=biases)
        for name in weights:
            torch.testing.assert_close(eta[name], again[name], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_orthogonal_in_every_filter_holds_for_every_normalization(kind: str) -> None:
    weights = dict(convolutional().named_parameters())
    delta, eta = random_directions(weights, seed=3, normalization=kind)
    for name in weights:
        dots = (rows(delta[name]) * rows(eta[name])).sum(1)
        assert bool((dots.abs() <= 1e-14 * rows(delta[name]).norm(dim=1) * rows(eta[name]).norm(dim=1)).all()), name


def test_independent_draws_are_not_made_orthogonal() -> None:
    weights = center()
    delta, eta = random_directions(weights, seed=3, orthogonality="none")
    for axis, direction in enumerate((delta, eta)):
        expected = normalize(draw(weights, seed=3, axis=axis), weights)
        assert all(torch.equal(direction[name], expected[name]) for name in weights)
    assert abs(cosine(delta, eta)) > 1e-6


def test_a_single_direction_is_the_first_of_the_pair_of_the_same_seed() -> None:
    [alone], (first, _) = random_directions(center(), seed=8, count=1), random_directions(center(), seed=8)
    assert all(torch.equal(alone[name], first[name]) for name in alone)


def test_measured_angles_and_norms_are_those_of_a_plain_loop() -> None:
    weights = center()
    pair = random_directions(weights, seed=2, orthogonality="none", normalization="dfilter")
    facts = measure_directions(pair, weights)
    ratios = [
        float(d.norm() / w.double().norm())
        for direction in pair
        for name in ("conv", "depthwise", "linear")
        for d, w in zip(direction[name], weights[name], strict=True)
        if w.any()
    ]
    flat = [torch.cat([tensor.flatten() for tensor in direction.values()]) for direction in pair]
    assert facts.cosine == pytest.approx(float(flat[0] @ flat[1] / flat[0].norm() / flat[1].norm()), rel=1e-12)
    assert (facts.filter_ratio_min, facts.filter_ratio_max) == pytest.approx((min(ratios), max(ratios)), rel=1e-12)
    assert (facts.filters, facts.zero_filters, facts.parallel_filters) == (14, 1, 6)


def test_arguments_are_never_changed() -> None:
    weights = center()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    for orthogonality in ORTHOGONALITIES:
        random_directions(weights, seed=1, orthogonality=orthogonality, biases="parameter")
    assert all(torch.equal(before[name], weights[name]) for name in weights)


def test_a_direction_of_another_network_is_refused_with_the_parameter_and_both_shapes() -> None:
    weights = {"linear.weight": torch.ones(4, 7)}
    with pytest.raises(ShapeMismatchError, match=r"'linear.weight' has shape \(4, 6\) .* has \(4, 7\)"):
        normalize({"linear.weight": torch.ones(4, 6)}, weights)
    with pytest.raises(ShapeMismatchError, match=r"'other' is in the direction only \(1 such\)"):
        orthogonalize_filters({**weights, "other": torch.ones(2)}, weights)
    with pytest.raises(ShapeMismatchError, match="'other' is in the direction only"):
        completed({"other": torch.ones(2)}, weights)


def test_weights_that_are_not_finite_are_refused_with_the_parameters_name() -> None:
    with pytest.raises(NotFiniteError, match="'conv' of the checkpoint holds NaN"):
        random_directions({"conv": torch.tensor([[1.0, float("nan")]])}, seed=0)
    with pytest.raises(NotFiniteError, match="'conv' of the direction holds NaN"):
        completed({"conv": torch.tensor([[1.0, float("inf")]])}, {"conv": torch.ones(1, 2)})


@pytest.mark.parametrize("choice", ["normalization", "biases", "orthogonality", "drawn"])
def test_an_unknown_choice_is_refused_with_the_known_ones(choice: str) -> None:
    with pytest.raises(UnknownNameError, match=r"'filters'\. Known: "):
        random_directions(center(), seed=0, **{choice: "filters"})
