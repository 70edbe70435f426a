"""The page under access control: login, logout, links to a result, tokens."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.security.conftest import GRID
from tests.support.paths import GALLERY
from tests.support.service import Service, make_token, start_service

TIMEOUT_MS = 90_000
Watched = tuple[Page, list[str]]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start_service(tmp_path_factory.mktemp("guarded"), access="on")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def admin(guarded: Service) -> str:
    return str(make_token(guarded.data, "grace", "read,submit,admin")["token"])


@pytest.fixture(scope="module")
def job(guarded: Service, admin: str) -> str:
    """Id of a finished surface of ada."""
    token = make_token(guarded.data, "ada", "read,submit")["token"]
    guarded.api.headers["Authorization"] = f"Bearer {token}"
    checkpoint = guarded.upload(GALLERY / "resnet20-w8-skip.safetensors", "ada.safetensors")
    job_id = guarded.submit(kind="surface", checkpoint=checkpoint["id"], grid=GRID, subset={"count": 20}, name="mine")
    guarded.wait(job_id)
    return job_id


@pytest.fixture
def ada(guarded: Service, job: str) -> str:
    return str(guarded.api.headers["Authorization"]).removeprefix("Bearer ")


def opened(browser: Browser, service: Service, width: int = 1200) -> Page:
    """Open a page in a new browser context: no cookies, no storage."""
    context = browser.new_context(viewport={"width": width, "height": 900}, base_url=f"http://127.0.0.1:{service.port}")
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    return page


@pytest.fixture
def page(browser: Browser, guarded: Service) -> Iterator[Page]:
    """The console may report only 401 and 404; nothing may violate the content security policy."""
    page = opened(browser, guarded)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield page
    page.context.close()
    assert [text for text in trouble if not re.search("status of 40[14]", text)] == []


def log_in(page: Page, token: str) -> None:
    page.get_by_test_id("login-token").fill(token)
    page.get_by_test_id("login").click()


def test_a_wrong_token_shows_an_error_and_a_valid_one_opens_the_requested_view(page: Page, ada: str, job: str) -> None:
    page.goto(f"/#/jobs/{job}")
    expect(page.get_by_test_id("login-view")).to_be_visible()
    log_in(page, "ll_wrong")
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    log_in(page, ada)
    expect(page.get_by_test_id("result")).to_be_visible(timeout=TIMEOUT_MS)
    assert page.url.endswith(f"#/jobs/{job}")
    expect(page.get_by_test_id("account")).to_have_text("ada")


def test_scripts_cannot_read_the_session(page: Page, ada: str) -> None:
    page.goto("/#/jobs")
    log_in(page, ada)
    expect(page.get_by_test_id("account")).to_have_text("ada")
    assert (
        page.evaluate("() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    )
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert cookie["value"] != ada


def test_after_the_session_ends_a_login_leads_back_to_the_same_view(
    page: Page, guarded: Service, ada: str, job: str
) -> None:
    page.goto("/#/jobs")
    log_in(page, ada)
    expect(page.locator(f'[data-testid="job-row"][data-id="{job}"]')).to_be_visible()
    cookie = next(one["value"] for one in page.context.cookies())
    own = {"Cookie": f"landscape_session={cookie}", "Origin": f"http://127.0.0.1:{guarded.port}"}
    with httpx.Client(base_url=guarded.api.base_url, trust_env=False) as elsewhere:
        assert elsewhere.delete("/session", headers=own).status_code == 204
    page.get_by_role("link", name="Library").click()
    expect(page.get_by_test_id("login-view")).to_be_visible()
    log_in(page, ada)
    expect(page.get_by_test_id("checkpoint-row").first).to_be_visible()
    assert page.url.endswith("#/library")


def test_logging_out_ends_the_session_in_the_browser(page: Page, ada: str) -> None:
    page.goto("/#/account")
    log_in(page, ada)
    expect(page.get_by_test_id("account-user")).to_have_text("ada")
    expect(page.get_by_test_id("make-token")).to_have_count(0)
    page.get_by_test_id("log-out").click()
    expect(page.get_by_test_id("login-view")).to_be_visible()
    assert page.context.cookies() == []
    page.goto("/#/jobs")
    expect(page.get_by_test_id("login-view")).to_be_visible()


def test_a_link_shows_one_result_to_a_guest_until_it_is_revoked(
    browser: Browser, page: Page, guarded: Service, ada: str, job: str
) -> None:
    page.goto(f"/#/jobs/{job}")
    log_in(page, ada)
    page.get_by_test_id("share").click()
    page.get_by_test_id("share-days").select_option("7")
    page.get_by_test_id("make-link").click()
    link = page.get_by_test_id("share-link").input_value()
    assert re.fullmatch(rf"http://127\.0\.0\.1:{guarded.port}/#/shared/ll_[\w-]{{43}}", link)

    guest = opened(browser, guarded)
    guest.goto(link)
    expect(guest.get_by_test_id("result")).to_be_visible(timeout=TIMEOUT_MS)
    expect(guest.get_by_test_id("job-guest")).to_be_visible()
    center = guarded.result(job)["provenance"]["center"]["loss"]
    shown = guest.get_by_test_id("result-loss-center").get_attribute("data-value")
    assert float(shown or "nan") == center
    for hidden in ("cancel-job", "retry-job", "refine", "delete", "share", "new-job"):
        expect(guest.get_by_test_id(hidden).locator("visible=true")).to_have_count(0)
    with guest.expect_download() as download:
        guest.get_by_test_id("download-csv").click()
    assert download.value.failure() is None
    guest.goto("/#/jobs")
    expect(guest.get_by_test_id("login-view")).to_be_visible()

    page.get_by_test_id("link-row").first.get_by_test_id("revoke-link").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("link-row")).to_have_count(0)
    guest.goto(f"/#/jobs/{job}")
    guest.reload()
    expect(guest.get_by_test_id("login-view")).to_be_visible()
    guest.goto(link)
    expect(guest.locator("body")).to_contain_text("This link is not valid")
    guest.context.close()


def test_a_link_opened_before_the_v1_prefix_still_shows_its_result(
    browser: Browser, guarded: Service, ada: str, job: str
) -> None:
    """Before /api/v1 the cookie was set for /api/jobs/ID alone."""
    link = guarded.api.post(f"/jobs/{job}/share", json={}).json()["link"]
    guest = opened(browser, guarded)
    guest.context.add_cookies(
        [
            {
                "name": "landscape_link",
                "value": link.rsplit("/", 1)[1],
                "domain": "127.0.0.1",
                "path": f"/api/jobs/{job}",
                "httpOnly": True,
                "sameSite": "Strict",
            }
        ]
    )
    guest.goto(f"/#/jobs/{job}")
    expect(guest.get_by_test_id("result")).to_be_visible(timeout=TIMEOUT_MS)
    expect(guest.get_by_test_id("job-guest")).to_be_visible()
    with guest.expect_download() as download:
        guest.get_by_test_id("download-csv").click()
    assert download.value.failure() is None
    guest.context.close()


def test_an_administrator_creates_and_revokes_a_token(page: Page, guarded: Service, admin: str, job: str) -> None:
    page.goto("/#/account")
    log_in(page, admin)
    page.get_by_test_id("token-user").fill("edsger")
    page.get_by_test_id("token-days").fill("30")
    page.get_by_test_id("make-token").click()
    secret = page.get_by_test_id("new-token").input_value()
    headers = {"Authorization": f"Bearer {secret}"}
    assert guarded.api.get("/jobs", headers=headers).json()["total"] == 0
    assert guarded.api.get(f"/jobs/{job}", headers=headers).status_code == 404
    row = page.locator('[data-testid="token-row"][data-user="edsger"]')
    row.get_by_test_id("revoke-token").click()
    row.get_by_test_id("confirm").click()
    expect(row).to_have_count(0)
    assert guarded.api.get("/jobs", headers=headers).status_code == 401
