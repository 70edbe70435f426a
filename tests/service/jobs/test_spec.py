"""The schema of a job, beyond what tests/test_kinds.py holds against the definitions of the kinds."""

import pytest
from pydantic import ValidationError

from service.jobs.spec import SurfaceSpec


def test_a_name_that_one_of_the_databases_cannot_store_is_refused_for_both() -> None:
    for field in ("name", "dataset"):
        with pytest.raises(ValidationError, match=field):
            SurfaceSpec(checkpoint="a" * 32, **{field: "a\x00b"})  # type: ignore[arg-type]
