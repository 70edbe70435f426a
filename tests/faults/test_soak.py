"""Random faults under load, on both kinds of installation; `make soak` runs an hour of it."""

from pathlib import Path

import pytest

from tests.faults.soak import start_soak

ROUNDS, JOBS = 10, 12


@pytest.mark.parametrize("lab", [False, True], ids=["sqlite", "postgresql-redis"])
def test_random_faults_lose_nothing_that_was_acknowledged(lab: bool, seed: int, tmp_path: Path) -> None:
    with start_soak(tmp_path / "data", seed, lab=lab) as soak:
        compared = soak.run(rounds=ROUNDS, jobs=JOBS)
        print(soak.summary(compared))
        assert len(soak.log.jobs) > 5
        assert compared > 20
        assert sum(soak.done.values()) > 5
