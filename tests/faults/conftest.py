"""Services that tests break. Most tests share one, which must be healthy again when a test ends."""

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
    """The seed of everything random in a test; `pytest --seed N` repeats it."""
    given = request.config.getoption("--seed")
    chosen = secrets.randbelow(2**31) if given is None else int(given)
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(scope="session")
def shared_victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(tmp_path_factory.mktemp("victim"), **SETTINGS)
    yield running
    running.stop()


@pytest.fixture
def victim(shared_victim: Service) -> Iterator[Service]:
    """A service that a test may break, as long as it recovers by itself."""
    require_healthy(shared_victim)
    yield shared_victim
    require_healthy(shared_victim)


def require_healthy(service: Service) -> None:
    breaking.wait_until_it_answers(service)

    def healthy() -> bool:
        health = service.api.get("/health").json()
        return bool(health["status"] == "ok" and health["workers"] >= 2 and len(processes.workers(service)) == 2)

    wait_for(healthy, "the service to be healthy again", 90)


@pytest.fixture
def checkpoint(victim: Service) -> str:
    """A separate checkpoint for each test."""
    return str(victim.upload(NETWORK)["id"])


@pytest.fixture
def log() -> ClientLog:
    return ClientLog()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services for one test, which need not recover."""
    with services(tmp_path, workers=2) as start:
        yield start
