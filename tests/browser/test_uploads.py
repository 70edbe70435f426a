"""Uploads from the page over connections that break: progress, speed, pause, resume."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.processes import api_process
from tests.support.service import Service, start_service, wait_for
from tests.support.wire import Wire

TIMEOUT_MS = 90_000
SIZE = 24 << 20


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(tmp_path_factory.mktemp("uploads"), workers=1)
    yield running
    running.stop()


@pytest.fixture
def wire(own: Service) -> Iterator[Wire]:
    """A proxy between the page and the service."""
    wire = Wire(own.port)
    yield wire
    wire.close()


@pytest.fixture
def page(browser: Browser, wire: Wire) -> Iterator[Page]:
    context = browser.new_context(base_url=f"http://127.0.0.1:{wire.port}")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    ours = (f"http://127.0.0.1:{wire.port}/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(ours)] == []


@pytest.fixture
def offsets(page: Page) -> list[int]:
    """The offset of each PATCH request of the page."""
    sent: list[int] = []
    page.on("request", lambda one: sent.append(int(one.headers["upload-offset"])) if one.method == "PATCH" else None)
    return sent


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / f"large-{os.urandom(4).hex()}.pt"
    path.write_bytes(os.urandom(SIZE))
    return path


SLOW = 3 << 20  # bytes per second


def begin(page: Page, path: Path, wire: Wire | None = None) -> Locator:
    """Choose a file in the page; over a slow `wire` if one is given."""
    page.goto("/#/library")
    if wire:
        wire.speed = SLOW
    page.get_by_test_id("drop-input").first.set_input_files(path)
    return page.locator(f'[data-testid="upload-row"][data-name="{path.name}"]')


def share(row: Locator) -> int:
    return int(row.get_by_test_id("upload-progress").get_attribute("aria-valuenow") or 0)


def on_disk(service: Service) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (service.data / "store" / "resumable").iterdir()}


def at_rest(page: Page, service: Service) -> bool:
    """Whether nothing arrives for two seconds although the upload is incomplete."""
    before = on_disk(service)
    page.wait_for_timeout(2000)
    return on_disk(service) == before and 0 < max(before.values()) < SIZE


def expect_arrived(page: Page, service: Service, path: Path) -> None:
    row = page.locator(f'[data-testid="checkpoint-row"][data-name="{path.name}"]')
    expect(row).to_be_visible(timeout=TIMEOUT_MS)
    found = service.api.get(f"/checkpoints/{row.get_attribute('data-id')}").json()
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_progress_and_speed_are_shown_and_an_upload_can_be_paused(
    page: Page, own: Service, wire: Wire, large: Path
) -> None:
    row = begin(page, large, wire)
    expect(row.get_by_test_id("upload-words")).to_contain_text(re.compile(r"MB of 25\.2.MB · .*B/s"))
    wait_for(lambda: share(row) > 10, "some of it to be sent")
    row.get_by_test_id("pause-upload").click()
    expect(row).to_have_attribute("data-state", "paused")
    wait_for(lambda: on_disk(own), "the service to have some")
    wait_for(lambda: at_rest(page, own), "nothing more to arrive")
    wire.speed = 0
    row.get_by_test_id("resume-upload").click()
    expect_arrived(page, own, large)


def test_a_lost_connection_is_shown_and_the_upload_resumes_by_itself(
    page: Page, own: Service, wire: Wire, offsets: list[int], large: Path
) -> None:
    row = begin(page, large, wire)
    wait_for(lambda: share(row) > 10, "some of it to be sent")
    wire.cut()
    expect(row).to_contain_text("connection lost, retrying", timeout=TIMEOUT_MS)
    held = wait_for(lambda: on_disk(own), "the service to have some")
    assert max(held.values()) > 0
    wire.mend()
    wire.speed = 0
    expect_arrived(page, own, large)
    assert offsets[0] == 0 < offsets[-1]


def test_a_service_killed_in_the_middle_costs_only_the_bytes_in_transit(
    page: Page, own: Service, wire: Wire, offsets: list[int], large: Path
) -> None:
    row = begin(page, large, wire)
    wait_for(lambda: any(size > 1 << 20 for size in on_disk(own).values()), "a megabyte to be there")
    api_process(own).kill()
    expect(row).to_contain_text("connection lost", timeout=TIMEOUT_MS)
    wire.speed = 0
    expect_arrived(page, own, large)
    assert offsets[0] == 0 < offsets[-1]


def test_the_same_file_chosen_again_after_the_page_was_closed_is_resumed(
    page: Page, own: Service, wire: Wire, offsets: list[int], large: Path
) -> None:
    row = begin(page, large, wire)
    wait_for(lambda: any(size > 1 << 20 for size in on_disk(own).values()), "a megabyte to be there")
    wait_for(lambda: share(row) > 20, "some of it to be sent")
    wire.speed = 0
    page.reload()
    [upload_id] = on_disk(own)
    sent: list[int] = []
    page.on(
        "request", lambda one: sent.append(int(one.headers.get("upload-offset", 0))) if one.method == "PATCH" else 0
    )
    begin(page, large)
    expect_arrived(page, own, large)
    assert max(sent) > 1 << 19
    assert own.api.get(f"/checkpoints/{upload_id}").status_code == 200


def test_a_dismissed_upload_is_removed_from_the_service(page: Page, own: Service, wire: Wire, large: Path) -> None:
    row = begin(page, large, wire)
    wait_for(lambda: on_disk(own) and share(row) > 5, "some of it to be sent")
    row.get_by_test_id("dismiss-upload").click()
    expect(row).to_have_count(0)
    wait_for(lambda: not on_disk(own), "the service to forget it")


def test_a_refused_upload_shows_the_message_of_the_service(page: Page, own: Service, tmp_path: Path) -> None:
    name = "x" * 70 + ".npz"
    path = tmp_path / name
    path.write_bytes(b"PK")
    row = begin(page, path)
    expect(row).to_have_attribute("data-state", "failed")
    expect(row.get_by_test_id("upload-words")).to_contain_text("at most 64 characters")
