"""Directions that are drawn again at every use: the bits of those that are kept."""

import pytest
import torch

from landscape.directions.random import NORMALIZATIONS, random_directions
from landscape.directions.regenerated import can_be_regenerated, regenerated_directions
from landscape.errors import NotFiniteError


def center() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3),
        "conv.bias": torch.randn(4),
        "scale": torch.rand(6, 1, 1),
        "complex": torch.randn(3, 5, dtype=torch.complex64),
        "single": torch.randn(7, 1),
    }


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("orthogonality", ["filter", "none"])
@pytest.mark.parametrize("biases", ["fixed", "parameter", "random"])
@pytest.mark.parametrize("count", [1, 2])
def test_they_have_the_bits_of_directions_that_are_kept(
    normalization: str, orthogonality: str, biases: str, count: int
) -> None:
    how = {"normalization": normalization, "orthogonality": orthogonality, "biases": biases, "scales": ("scale",)}
    kept = random_directions(center(), seed=3, count=count, **how)
    again = regenerated_directions(center(), seed=3, count=count, **how)
    for one, other in zip(kept, again, strict=True):
        assert list(one) == list(other)
        for name in reversed(list(one)):
            assert torch.equal(one[name], other[name])


def test_only_draws_by_name_without_a_constraint_over_all_parameters_can_be_regenerated() -> None:
    allowed = [
        (drawn, orthogonality)
        for drawn in ("named", "authors")
        for orthogonality in ("filter", "overall", "none")
        if can_be_regenerated(drawn=drawn, orthogonality=orthogonality)
    ]
    assert allowed == [("named", "filter"), ("named", "none")]


def test_a_parameter_that_is_not_finite_is_refused_when_it_is_used() -> None:
    [direction] = regenerated_directions({"a": torch.ones(2, 2), "b": torch.full((2, 2), torch.nan)}, seed=0, count=1)
    assert direction["a"].shape == (2, 2)
    with pytest.raises(NotFiniteError, match="'b'"):
        direction["b"]
