"""A service that requires a token, and a client that has one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import landscape as ls
from tests.support.service import Service, make_token, start_service


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with authentication, as in a lab."""
    running = start_service(tmp_path_factory.mktemp("guarded"), access="on")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def token(guarded: Service) -> str:
    return str(make_token(guarded.data, "ada")["token"])


@pytest.fixture(scope="session")
def url(guarded: Service) -> str:
    return guarded.url


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's local state goes to a folder of the test; no token or proxy comes from the environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("LANDSCAPE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def client(url: str, token: str) -> Iterator[ls.Client]:
    with ls.Client(url, token) as opened:
        yield opened
