"""axe-core finds no accessibility problem in any view: light and dark, wide and narrow."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.security.conftest import GRID
from tests.support.paths import GALLERY
from tests.support.service import Service, make_token, start_service, wait_for

TIMEOUT_MS = 90_000
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN = """axe.run().then(({ violations }) => violations.flatMap(({ id, impact, nodes }) =>
    nodes.map(({ target, any, all }) =>
        `${impact} ${id} ${target.join(" ")}: ${[...any, ...all].map(({ message }) => message)}`)))"""
WIDTHS = (1400, 390)
DRAWN = "() => [...document.querySelectorAll('.plot')].some(plot => plot.dataset.drawn)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, str]]]:
    """A service under access control with data for every view, and the ids of the data."""
    running = start_service(tmp_path_factory.mktemp("accessible"), "--demo", access="on", workers=1)
    try:
        yield running, filled(running)
    finally:
        running.stop()


def filled(service: Service) -> dict[str, str]:
    has = {"token": str(make_token(service.data, "ada", "read,submit,admin")["token"])}
    service.api.headers["Authorization"] = f"Bearer {has['token']}"
    service.upload(b"\x89PNG\r\n\x1a\n" + bytes(100), "holiday.pt", state="rejected")
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors", "ada.safetensors")["id"]
    large = {"alpha": {"count": 301}, "beta": {"count": 301}}
    wanted: dict[str, dict[str, Any]] = {
        "surface": {"kind": "surface", "grid": GRID},
        "holes": {"kind": "surface", "grid": GRID | {"alpha": {"min": -1000, "max": 1000, "count": 3}}},
        "slice": {"kind": "slice", "grid": {"alpha": {"count": 7}}},
        "stopped": {"kind": "surface", "grid": large},
        "running": {"kind": "surface", "grid": large},
    }
    for name, spec in wanted.items():
        has[name] = service.submit(checkpoint=checkpoint, subset={"count": 20}, **spec)
    assert service.api.post(f"/jobs/{has['stopped']}/cancel").status_code == 200
    for name in ("surface", "holes", "slice"):
        service.wait(has[name], seconds=240)
    wait_for(lambda: service.job(has["running"])["progress"]["done"], "a job to run", 240)
    has["link"] = service.api.post(f"/jobs/{has['surface']}/share", json={}).json()["link"]
    return has


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def guest(browser: Browser, lab: tuple[Service, dict[str, str]], theme: Any) -> Iterator[Page]:
    base = f"http://127.0.0.1:{lab[0].port}"
    context = browser.new_context(base_url=base, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    context.close()


@pytest.fixture
def page(guest: Page, lab: tuple[Service, dict[str, str]]) -> Page:
    guest.goto("/#/account")
    guest.get_by_test_id("login-token").fill(lab[1]["token"])
    guest.get_by_test_id("login").click()
    expect(guest.get_by_test_id("token-row").first).to_be_visible()
    return guest


def trouble(page: Page) -> list[str]:
    """The violations that axe finds at each width; no view may scroll horizontally on a phone."""
    page.evaluate(AXE)
    found: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)  # until the plots are resized
        found += [f"{width}: {one}" for one in page.evaluate(RUN)]
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        found += [f"{width}: the page is {wide} wide"] if wide > width else []
    return found


VIEWS = {
    "gallery": ("/#/", "comparison"),
    "library": ("/#/library", "checkpoint-row"),
    "jobs": ("/#/jobs?compare={surface},{slice}", "compare-button"),
    "new job": ("/#/new", "start-job"),
    "live job": ("/#/jobs/{running}", "heatmap"),
    "finished job": ("/#/jobs/{surface}", "result"),
    "job with holes": ("/#/jobs/{holes}?view=heatmap", "result"),
    "slice": ("/#/jobs/{slice}", "result"),
    "cancelled job": ("/#/jobs/{stopped}", "retry-job"),
    "comparison": ("/#/compare?jobs={surface},{holes}&view=contour", "compare-cell"),
    "comparison of nothing": ("/#/compare", None),
    "account": ("/#/account", "token-row"),
    "no such job": (f"/#/jobs/{'0' * 32}", None),
    "no such view": ("/#/nowhere", None),
}


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_in(view: str, page: Page, lab: tuple[Service, dict[str, str]]) -> None:
    path, testid = VIEWS[view]
    page.goto(path.format(**lab[1]))
    if testid:
        expect(page.get_by_test_id(testid).first).to_be_visible()
    else:
        expect(page.locator(".empty-state")).to_be_visible()
    if view in ("gallery", "live job", "finished job", "job with holes", "slice", "comparison"):
        page.wait_for_function(DRAWN)
    assert trouble(page) == []


def test_axe_finds_nothing_in_panels_that_open(page: Page, lab: tuple[Service, dict[str, str]]) -> None:
    page.goto(f"/#/jobs/{lab[1]['surface']}?view=contour")
    page.get_by_test_id("share").click()
    page.get_by_test_id("make-link").click()
    expect(page.get_by_test_id("link-row").first).to_be_visible()
    assert trouble(page) == []
    page.keyboard.press("Escape")
    page.get_by_test_id("refine").click()
    expect(page.get_by_test_id("refine-finer-says")).to_contain_text("reused")
    assert trouble(page) == []
    page.keyboard.press("Escape")
    for name in ("self-check", "provenance", "job-log"):
        page.get_by_test_id(name).locator("summary").click()
    expect(page.get_by_test_id("job-log-lines").locator("li").first).to_be_visible()
    assert trouble(page) == []
    page.goto("/#/new")
    page.locator("details.advanced summary").click()
    page.get_by_test_id("job-count-alpha").fill("0")
    expect(page.get_by_test_id("job-problem")).to_be_visible()
    assert trouble(page) == []


def test_axe_finds_nothing_in_what_guests_see(guest: Page, lab: tuple[Service, dict[str, str]]) -> None:
    guest.goto("/#/jobs")
    expect(guest.get_by_test_id("login-view")).to_be_visible()
    assert trouble(guest) == []
    guest.goto(f"/#/shared/ll_{'x' * 43}")
    expect(guest.locator(".empty-state")).to_be_visible()
    assert trouble(guest) == []
    guest.goto(lab[1]["link"])
    expect(guest.get_by_test_id("job-guest")).to_be_visible()
    assert trouble(guest) == []
