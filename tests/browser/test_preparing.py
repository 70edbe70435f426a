"""A trajectory that is being prepared: its page and the list say how far it is, and it can be cancelled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.database.tables import Job, new_id
from service.queue import fair_queue, leases
from tests.support.api_alone import LEASE_SECONDS, ApiAlone, api_alone

TIMEOUT_MS = 120_000


@pytest.fixture
def server(tmp_path: Path, redis_url: str) -> Iterator[ApiAlone]:
    with api_alone(tmp_path, redis_url) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: ApiAlone) -> Iterator[Page]:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    context.close()


def trajectory(server: ApiAlone) -> str:
    """A job without a grid, as it is submitted; its id."""
    epochs = [new_id() for _ in range(3)]
    spec = {"kind": "trajectory", "checkpoint": epochs[-1], "epochs": epochs, "dataset": "digits", "grid": None}
    checkpoint = {"id": epochs[-1], "name": "none", "label": "none", "gallery": None}
    with server.database.writing() as session:
        job = Job(
            kind="trajectory", name="by hand", spec=spec, checkpoint=checkpoint, checkpoint_id=epochs[-1], points=9
        )
        session.add(job)
        session.flush()
        fair_queue.enqueue_preparing(session, job)
        return job.id


def test_the_page_tells_how_far_a_job_is_prepared_and_cancels_it(page: Page, server: ApiAlone) -> None:
    job_id = trajectory(server)
    held = server.lease()
    page.goto(f"/#/jobs/{job_id}")
    words, bar = page.get_by_test_id("job-early"), page.get_by_test_id("job-progress")
    expect(words).to_contain_text("The plot appears once")
    expect(bar).to_be_hidden()
    for done in (312, 313):
        with server.database.writing() as session:
            assert leases.heartbeat(session, held, LEASE_SECONDS, {"step": "path", "done": done, "total": 626})
        expect(words).to_have_text(f"Preparing: loss of checkpoint {done} of 626")
    expect(bar).to_have_attribute("aria-valuenow", "50")
    page.goto("/#/jobs")
    expect(page.get_by_test_id("job-row")).to_contain_text("Preparing: loss of checkpoint 313 of 626")
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_test_id("cancel-job").click()
    expect(words).to_have_text("The job was cancelled before it started.")
    with server.database.writing() as session:
        assert not leases.heartbeat(session, held, LEASE_SECONDS), "its worker is told to stop"
