"""One Chromium for all tests of this folder; it is closed before other tests run asyncio loops."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.chromium import chromium

TIMEOUT_MS = 90_000  # rendered in software, on shared cores


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with chromium() as browser:
        yield browser
