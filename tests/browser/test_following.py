"""Growing results in the page: one stream of events for all of them, which outlives what happens to connections."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.service import Service, start_service, wait_for
from tests.support.wire import Wire

PATIENCE = 120_000  # milliseconds


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
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


@pytest.fixture
def asked(page: Page) -> list[str]:
    """Paths that the page has asked for, without /api."""
    paths: list[str] = []
    page.on("request", lambda one: paths.append(one.url.split("/api", 1)[1]) if "/api/" in one.url else None)
    return paths


def cells(page: Page, state: str) -> Locator:
    return page.locator(f'[data-testid="gallery-cell"][data-state="{state}"]')


def drawn(page: Page, job: str) -> Any:
    """`losses` as the picture of a job holds them, with the first axis along alpha."""
    plot = f'[data-testid="gallery-cell"][data-job="{job}"] .js-plotly-plot'
    page.wait_for_function("plot => document.querySelector(plot)?.data?.find(t => t.customdata)", arg=plot)
    return page.evaluate(
        "plot => { const { customdata } = document.querySelector(plot).data.find(t => t.customdata);"
        " return customdata[0].map((_, i) => customdata.map(row => row[i])); }",
        plot,
    )


def test_the_gallery_follows_all_its_jobs_in_one_stream_and_asks_again_for_none(page: Page, asked: list[str]) -> None:
    page.goto("/")
    expect(cells(page, "running").first).to_be_visible()
    wait_for(lambda: cells(page, "done").count() > 2 or page.wait_for_timeout(200), "a second pair to be done", 240)
    streams = [path for path in asked if "events" in path]
    assert len(set(streams)) == len(streams) <= 4, streams  # one for each pair that was submitted
    assert all(path.startswith(("/events?jobs=", "/jobs/")) for path in streams)
    times = Counter(path for path in asked if re.fullmatch("/jobs/[0-9a-f]{32}(/result)?", path))
    assert max(times.values()) <= 3 * len(streams), times  # at first, when it has begun, when it has ended


def test_a_cut_connection_is_said_and_the_pictures_grow_on_once_it_is_back(
    page: Page, demo: Service, wire: Wire
) -> None:
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


def test_a_job_deleted_meanwhile_is_said_and_the_others_go_on(
    browser: Browser, service: Service, shipped: dict[str, Any]
) -> None:
    wire = Wire(service.port)
    context = browser.new_context(base_url=f"http://127.0.0.1:{wire.port}")
    page = context.new_page()
    grid = {"alpha": {"count": 61}, "beta": {"count": 61}}
    spec = {"kind": "surface", "checkpoint": shipped["id"], "subset": {"count": 300}, "grid": grid}
    jobs = [service.submit(**spec, seed=seed) for seed in (5, 6)]
    page.goto(f"/#/compare?jobs={','.join(jobs)}")
    cell = page.get_by_test_id("compare-cell")
    expect(cell).to_have_count(2, timeout=PATIENCE)
    wire.cut()
    expect(page.get_by_test_id("banner")).to_be_visible(timeout=PATIENCE)
    service.api.post(f"/jobs/{jobs[0]}/cancel")
    assert service.api.delete(f"/jobs/{jobs[0]}").status_code == 204
    wire.mend()
    expect(cell.first).to_contain_text("not found", timeout=PATIENCE)
    expect(cell.last).to_have_attribute("data-state", "done", timeout=PATIENCE)
    context.close()
    wire.close()
