"""Random faults while clients go on, on both kinds of installation; an hour of it is `make soak`."""

from pathlib import Path

import pytest

from tests.faults.soak import prepared

ROUNDS, JOBS = 10, 12


@pytest.mark.parametrize("lab", [False, True], ids=["sqlite", "postgresql-redis"])
def test_nothing_acknowledged_is_lost_whatever_is_broken(lab: bool, seed: int, tmp_path: Path) -> None:
    with prepared(tmp_path / "data", seed, lab=lab) as soak:
        compared = soak.run(rounds=ROUNDS, jobs=JOBS)
        print(soak.says(compared))
        assert len(soak.log.jobs) > 5
        assert compared > 20
        assert sum(soak.done.values()) > 5
