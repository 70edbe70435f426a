"""The words of a request are the words of the mathematics, neither more nor fewer."""

from typing import get_args

from landscape.directions.random import BIASES, DRAWS, NORMALIZATIONS, ORTHOGONALITIES
from landscape.evaluation.landscape import FAST
from landscape.objective.batch_norm import POLICIES
from landscape.objective.objective import PRECISIONS
from service.jobs.spec import SurfaceSpec


def words(field: str) -> tuple[str, ...]:
    return get_args(SurfaceSpec.model_fields[field].annotation)


def test_a_request_knows_every_normalization_and_no_other() -> None:
    assert words("normalization") == NORMALIZATIONS


def test_a_request_knows_every_way_to_draw_directions_and_no_other() -> None:
    assert words("biases") == BIASES
    assert words("orthogonality") == ORTHOGONALITIES
    assert words("drawn") == DRAWS


def test_a_request_knows_every_batch_norm_policy_and_precision_and_no_other() -> None:
    assert set(words("batch_norm")) == set(POLICIES)
    assert set(words("precision")) == {*PRECISIONS, FAST}
