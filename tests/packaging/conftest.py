"""Wheels and source distributions, built once for all tests of this folder."""

import pytest

from tests.packaging.wheels import Built, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions of this repository, built once."""
    return build(tmp_path_factory.mktemp("distributions") / "built")
