"""Fixtures for every test: the real service, started as a user starts it, and the servers it may use."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.paths import GALLERY
from tests.support.servers import database_url, postgresql_server, postgresql_url, redis_url
from tests.support.service import Service, start_service

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")  # no deadline: the time of an example depends on the load of the machine

__all__ = ["database_url", "postgresql_server", "postgresql_url", "redis_url"]  # fixtures for every test

# A process started in the background of a script ignores SIGINT, and so do its children; tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", help="repeats a randomized test, which prints its seed")
    parser.addoption("--long", action="store_true", help="longer faults, for example a minute without the broker")


@pytest.fixture(autouse=True)
def usual_process() -> Iterator[None]:
    """Umask and environment as in a login shell; commands of the service, run in this process, change both."""
    os.umask(0o022)
    variables = dict(os.environ)
    yield
    os.umask(0o022)
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service that many tests share; they must not break it."""
    running = start_service(tmp_path_factory.mktemp("service"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shipped(service: Service) -> dict[str, Any]:
    """A shipped residual network, uploaded and read."""
    return service.upload(GALLERY / "resnet20-w8-skip.safetensors", "resnet20.safetensors")
