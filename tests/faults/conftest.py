"""Services to be broken. Most tests share one, which must be whole again when a test ends."""

import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import breaking
from tests.faults.oracle import NETWORK, ClientLog
from tests.support import processes
from tests.support.service import Service, services, start_service, wait_for

SETTINGS = {"tile_seconds": "0.2", "lease_seconds": "3", "min_free_bytes": "0"}


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Of everything random in a test; `pytest --seed N` repeats it."""
    given = request.config.getoption("--seed")
    chosen = secrets.randbelow(2**31) if given is None else int(given)
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def dice(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(scope="session")
def victim_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(tmp_path_factory.mktemp("victim"), **SETTINGS)
    yield running
    running.stop()


@pytest.fixture
def victim(victim_of_all: Service) -> Iterator[Service]:
    """A service that a test may break, as long as the service mends itself."""
    require_whole(victim_of_all)
    yield victim_of_all
    require_whole(victim_of_all)


def require_whole(service: Service) -> None:
    breaking.answers(service)

    def healthy() -> bool:
        health = service.api.get("/health").json()
        return bool(health["status"] == "ok" and health["workers"] >= 2 and len(processes.workers(service)) == 2)

    wait_for(healthy, "the service to be whole again", 90)


@pytest.fixture
def checkpoint(victim: Service) -> str:
    """A checkpoint of the test's own."""
    return str(victim.upload(NETWORK)["id"])


@pytest.fixture
def log() -> ClientLog:
    return ClientLog()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services of the test's own, which it may break for good."""
    with services(tmp_path, workers=2) as start:
        yield start
