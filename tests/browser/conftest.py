"""One Chromium for all tests of this folder; it ends before other tests run loops of their own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.chromium import chromium

PATIENCE = 90_000  # milliseconds; pictures are painted in software, on cores that others use too


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with chromium() as browser:
        yield browser
