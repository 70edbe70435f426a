"""Live results in the page: one event stream for all of them, which survives lost connections."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.service import Service, start_service, wait_for
from tests.support.wire import Wire

TIMEOUT_MS = 120_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that submits the shipped comparisons one pair after the other."""
    running = start_service(tmp_path_factory.mktemp("demo"), "--demo", workers=1)
    yield running
    running.stop()


@pytest.fixture
def wire(demo: Service) -> Iterator[Wire]:
    wire = Wire(demo.port)
    yield wire
    wire.close()


@pytest.fixture
def page(browser: Browser, wire: Wire) -> Iterator[Page]:
    context = browser.new_context(base_url=f"http://127.0.0.1:{wire.port}", viewport={"width": 1200, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    context.close()


@pytest.fixture
def asked(page: Page) -> list[str]:
    """Paths that the page has requested, without /api/v1."""
    paths: list[str] = []
    page.on("request", lambda one: paths.append(one.url.split("/api/v1", 1)[1]) if "/api/v1/" in one.url else None)
    return paths


def cells(page: Page, state: str) -> Locator:
    return page.locator(f'[data-testid="gallery-cell"][data-state="{state}"]')


def drawn(page: Page, job: str) -> Any:
    """`losses` in the plot of a job, with the first axis along alpha."""
    plot = f'[data-testid="gallery-cell"][data-job="{job}"] .js-plotly-plot'
    page.wait_for_function("plot => document.querySelector(plot)?.data?.find(t => t.customdata)", arg=plot)
    return page.evaluate(
        "plot => { const { customdata } = document.querySelector(plot).data.find(t => t.customdata);"
        " return customdata[0].map((_, i) => customdata.map(row => row[i])); }",
        plot,
    )


def test_the_gallery_follows_all_its_jobs_in_one_stream_and_does_not_poll_them(page: Page, asked: list[str]) -> None:
    page.goto("/")
    expect(cells(page, "running").first).to_be_visible()
    wait_for(lambda: cells(page, "done").count() > 2 or page.wait_for_timeout(200), "a second pair to be done", 240)
    streams = [path for path in asked if "events" in path]
    assert len(set(streams)) == len(streams) <= 4, streams  # one for each pair of jobs
    assert all(path.startswith(("/events?jobs=", "/jobs/")) for path in streams)
    times = Counter(path for path in asked if re.fullmatch("/jobs/[0-9a-f]{32}(/result)?", path))
    assert max(times.values()) <= 3 * len(streams), times  # at first, when it starts, when it ends


def test_a_lost_connection_is_shown_and_results_update_once_it_is_back(page: Page, demo: Service, wire: Wire) -> None:
    page.goto("/#/?view=heatmap")
    expect(cells(page, "running").first).to_be_visible()
    job = str(cells(page, "running").first.get_attribute("data-job"))
    wire.cut()
    expect(page.get_by_test_id("banner")).to_be_visible()
    demo.wait(job, seconds=240)
    wire.mend()
    expect(page.locator(f'[data-job="{job}"][data-state="done"]')).to_be_visible()
    expect(page.get_by_test_id("banner")).to_have_count(0)
    wait_for(lambda: drawn(page, job) == demo.result(job)["losses"], "every value to be drawn")


def test_a_job_deleted_meanwhile_is_shown_as_not_found_and_the_others_update(
    browser: Browser, service: Service, shipped: dict[str, Any]
) -> None:
    wire = Wire(service.port)
    context = browser.new_context(base_url=f"http://127.0.0.1:{wire.port}")
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    grid = {"alpha": {"count": 61}, "beta": {"count": 61}}
    spec = {"kind": "surface", "checkpoint": shipped["id"], "subset": {"count": 300}, "grid": grid}
    jobs = [service.submit(**spec, seed=seed) for seed in (5, 6)]
    page.goto(f"/#/compare?jobs={','.join(jobs)}")
    cell = page.get_by_test_id("compare-cell")
    expect(cell).to_have_count(2, timeout=TIMEOUT_MS)
    wire.cut()
    expect(page.get_by_test_id("banner")).to_be_visible(timeout=TIMEOUT_MS)
    service.api.post(f"/jobs/{jobs[0]}/cancel")
    assert service.api.delete(f"/jobs/{jobs[0]}").status_code == 204
    wire.mend()
    expect(cell.first).to_contain_text("not found", timeout=TIMEOUT_MS)
    expect(cell.last).to_have_attribute("data-state", "done", timeout=TIMEOUT_MS)
    context.close()
    wire.close()
