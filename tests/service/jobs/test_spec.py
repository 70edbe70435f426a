"""The schema of a job: its choices are exactly those of the library."""

from typing import get_args

import pytest
from pydantic import ValidationError

from landscape.directions.random import BIASES, DRAWS, NORMALIZATIONS, ORTHOGONALITIES
from landscape.evaluation.landscape import FAST
from landscape.objective.batch_norm import POLICIES
from landscape.objective.objective import PRECISIONS
from service.jobs.spec import SurfaceSpec


def choices(field: str) -> tuple[str, ...]:
    return get_args(SurfaceSpec.model_fields[field].annotation)


def test_the_schema_offers_every_normalization_and_no_other() -> None:
    assert choices("normalization") == NORMALIZATIONS


def test_the_schema_offers_every_way_to_draw_directions_and_no_other() -> None:
    assert choices("biases") == BIASES
    assert choices("orthogonality") == ORTHOGONALITIES
    assert choices("drawn") == DRAWS


def test_the_schema_offers_every_batch_norm_policy_and_precision_and_no_other() -> None:
    assert set(choices("batch_norm")) == set(POLICIES)
    assert set(choices("precision")) == {*PRECISIONS, FAST}


def test_a_name_that_one_of_the_databases_cannot_store_is_refused_for_both() -> None:
    for field in ("name", "dataset"):
        with pytest.raises(ValidationError, match=field):
            SurfaceSpec(checkpoint="a" * 32, **{field: "a\x00b"})  # type: ignore[arg-type]
