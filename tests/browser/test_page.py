"""The page in a real Chromium against the real service: upload, compute, compare; numbers equal those of the API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from service.database.sessions import Database
from service.database.tables import Checkpoint, Job, require
from service.jobs import lifecycle
from service.jobs.spec import AxisSpec, SurfaceGrid, SurfaceSpec
from service.queue import completion, leases
from service.queue.rows import pack
from tests.support.paths import GALLERY
from tests.support.service import Service

TIMEOUT_MS = 90_000  # software WebGL on shared cores is slow


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """A page that must neither write to the console nor make requests to other hosts."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=f"http://127.0.0.1:{service.port}")
    page.set_default_timeout(TIMEOUT_MS)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: None if ours(request.url, service) else trouble.append(request.url))
    yield page
    page.close()
    assert trouble == []


def ours(url: str, service: Service) -> bool:
    return url.startswith((f"http://127.0.0.1:{service.port}/", "data:", "blob:"))


def surface_job(service: Service, checkpoint_id: str, seed: int, **more: Any) -> str:
    grid = {"alpha": {"count": 5}, "beta": {"min": -0.5, "max": 0.5, "count": 3}}
    job_id = service.submit(
        kind="surface", checkpoint=checkpoint_id, subset={"count": 50}, grid=grid, seed=seed, **more
    )
    service.wait(job_id)
    return job_id


def shown_number(page: Page, testid: str) -> float:
    return float(page.get_by_test_id(testid).get_attribute("data-value") or "nan")


def plotted(page: Page, selector: str, kind: str) -> Any:
    """`z` of the first trace of this kind in the plot, from Plotly's data."""
    page.wait_for_function(
        "([s, k]) => (document.querySelector(s)?.data || []).some(t => t.type === k)", arg=[selector, kind]
    )
    return page.evaluate(
        "([s, k]) => { const t = document.querySelector(s).data.find(t => t.type === k);"
        " return {x: [...t.x], y: [...t.y], z: [...t.z].map(row => [...row])}; }",
        [selector, kind],
    )


def test_an_uploaded_file_becomes_a_finished_surface(page: Page, service: Service) -> None:
    page.goto("/#/library")
    page.get_by_test_id("drop-input").first.set_input_files(GALLERY / "resnet20-w8-skip.safetensors")
    row = page.get_by_test_id("checkpoint-row").filter(has_text="resnet20-w8-skip.safetensors").first
    expect(row).to_contain_text("ResNet-20, width 8, with shortcuts", timeout=TIMEOUT_MS)
    row.get_by_test_id("compute").click()
    page.get_by_test_id("job-images").select_option("some")
    for field, value in {"job-subset": "60", "job-count-alpha": "9", "job-count-beta": "9", "job-seed": "4"}.items():
        page.get_by_test_id(field).fill(value)
    expect(page.get_by_test_id("job-cost")).to_contain_text("81")
    page.get_by_test_id("start-job").click()
    expect(page).to_have_url(re.compile(r"#/jobs/[0-9a-f]{32}$"))
    job_id = page.url.rsplit("/", 1)[1]
    expect(page.get_by_test_id("job-state")).to_contain_text("done", timeout=TIMEOUT_MS)
    spec = service.job(job_id)["spec"]
    assert (spec["seed"], spec["subset"], spec["grid"]["beta"]["count"]) == (4, {"count": 60, "seed": 0}, 9)
    result = service.result(job_id)
    assert shown_number(page, "result-loss-center") == result["provenance"]["center"]["loss"]
    assert shown_number(page, "result-accuracy-center") == result["provenance"]["center"]["accuracy"]
    expect(page.get_by_test_id("caption")).to_have_text(result["caption"])
    expect(page.get_by_test_id("self-check").first).to_contain_text("self-check")


def test_a_rejected_file_keeps_its_row_with_the_reason(page: Page) -> None:
    page.goto("/#/library")
    file = {"name": "holiday.pt", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n" + bytes(100)}
    page.get_by_test_id("drop-input").first.set_input_files(files=[file])  # type: ignore[list-item]
    row = page.get_by_test_id("checkpoint-row").filter(has_text="holiday.pt").first
    expect(row).to_contain_text("This is not a checkpoint", timeout=TIMEOUT_MS)
    expect(row.get_by_test_id("compute")).to_be_hidden()


def test_the_page_asks_which_of_several_architectures_is_meant(page: Page, service: Service) -> None:
    checkpoint = service.upload(without_description(), "which.safetensors")
    page.goto("/#/library")
    row = page.locator(f'[data-testid="checkpoint-row"][data-id="{checkpoint["id"]}"]')
    row.get_by_test_id("choose-architecture").filter(has_text="without shortcuts").click()
    expect(row.get_by_test_id("compute")).to_be_visible()
    chosen = service.api.get(f"/checkpoints/{checkpoint['id']}").json()["architecture"]
    assert chosen["shortcuts"] == "none"


def without_description() -> bytes:
    from safetensors.torch import load_file, save

    return save(load_file(GALLERY / "resnet20-w8-plain.safetensors"))


@pytest.mark.parametrize(("loss", "height"), [("cross_entropy", "paper"), ("mse", "log")])
def test_a_comparison_begins_with_the_height_that_fits_its_losses(
    page: Page, service: Service, shipped: dict[str, Any], loss: str, height: str
) -> None:
    jobs = [surface_job(service, shipped["id"], seed, loss=loss) for seed in (13, 14)]
    page.goto(f"/#/compare?jobs={','.join(jobs)}")
    expect(page.get_by_test_id("compare-cell")).to_have_count(2)
    expect(page.get_by_test_id(f"height-{height}")).to_be_checked()


def test_two_results_are_compared_with_the_numbers_of_the_api(
    page: Page, service: Service, shipped: dict[str, Any]
) -> None:
    jobs = [surface_job(service, shipped["id"], seed) for seed in (11, 12)]
    page.goto("/#/jobs")
    for job_id in jobs:
        page.locator(
            f'[data-job="{job_id}"] [data-testid="select-job"], [data-id="{job_id}"] [data-testid="select-job"]'
        ).check()
    page.get_by_test_id("compare-button").click()
    expect(page.get_by_test_id("compare-cell")).to_have_count(2)
    for job_id in jobs:
        center = service.result(job_id)["provenance"]["center"]
        row = page.locator(f'tr[data-job="{job_id}"]')
        expect(row.locator("td[data-value]").first).to_be_visible(timeout=TIMEOUT_MS)
        values = row.locator("td[data-value]").evaluate_all("cells => cells.map(cell => Number(cell.dataset.value))")
        assert center["loss"] in values
        assert center["accuracy"] in values
    scenes = (
        "[...document.querySelectorAll('[data-testid=compare-cell] .js-plotly-plot')].filter(p => p._fullLayout?.scene)"
    )
    page.wait_for_function(f"() => {scenes}.length === 2")
    ranges = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=compare-cell] .js-plotly-plot')].map(plot =>"
        " JSON.stringify([plot._fullLayout.scene.zaxis.range, plot.data.find(t => t.type === 'surface').cmin,"
        " plot.data.find(t => t.type === 'surface').cmax]))"
    )
    assert len(ranges) == 2
    assert ranges[0] == ranges[1]


def test_cameras_are_linked(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    jobs = [surface_job(service, shipped["id"], seed) for seed in (11, 12)]
    page.goto(f"/#/compare?jobs={','.join(jobs)}")
    plots = page.locator("[data-testid=compare-cell] .js-plotly-plot")
    expect(plots).to_have_count(2, timeout=TIMEOUT_MS)
    page.wait_for_function("() => [...document.querySelectorAll('.js-plotly-plot')].every(p => p._fullLayout?.scene)")
    eyes = (
        "() => [...document.querySelectorAll('[data-testid=compare-cell] .js-plotly-plot')]"
        ".map(p => p._fullLayout.scene.camera.eye).map(eye => [eye.x, eye.y, eye.z].map(v => v.toFixed(3)).join())"
    )
    before = page.evaluate(eyes)
    assert before[0] == before[1]
    box = plots.first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2 + 30, steps=8)
    page.mouse.up()
    page.wait_for_function(f"before => (({eyes})()).every(eye => eye !== before)", arg=before[0])
    page.wait_for_function(f"() => new Set(({eyes})()).size === 1")


def test_every_value_is_plotted_at_its_coordinates(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    """f = 10 i + j on a 3 × 5 grid, stored as by a worker, read through JSON, NPZ and the page."""
    database = Database(f"sqlite:///{service.data / 'landscape.sqlite'}")
    job_id = computed_job(database, shipped["id"])
    database.engine.dispose()
    expected = [[10.0 * i + j for j in range(5)] for i in range(3)]
    assert service.result(job_id)["losses"] == expected
    page.goto(f"/#/jobs/{job_id}?view=heatmap&height=linear")
    drawn = plotted(page, "[data-testid=result] .js-plotly-plot, .js-plotly-plot[data-testid=result]", "heatmap")
    assert drawn["x"] == [-1.0, 0.0, 1.0]
    assert drawn["y"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [[drawn["z"][j][i] for j in range(5)] for i in range(3)] == expected


def computed_job(database: Database, checkpoint_id: str) -> str:
    """A finished job with known values, made with the queue's functions while no worker can take it."""
    grid = SurfaceGrid(alpha=AxisSpec(count=3), beta=AxisSpec(min=0.0, max=4.0, count=5))
    with database.writing() as session:
        architecture = require(session, Checkpoint, checkpoint_id).architecture
        job = lifecycle.submit(session, SurfaceSpec(checkpoint=checkpoint_id, grid=grid, name="f = 10 i + j"))
        held = leases.lease(session, 60)
        assert held is not None
        assert held.subject == job.id
        completion.finish_preparing(session, held, provenance_of(architecture), grid.grid(), 100, seconds=0.1)
        while held := leases.lease(session, 60):
            rows = [(10.0 * i + j, 0.5, 0.0) for i, j in held.points]
            completion.finish_points(session, held, pack(rows), seconds=0.1)
        session.expire_all()
        assert require(session, Job, job.id).state == "done"
        return job.id


def provenance_of(architecture: dict[str, Any] | None) -> dict[str, Any]:
    facts = json.loads(PROVENANCE)
    return {**facts, "architecture": architecture}


PROVENANCE = json.dumps(
    {
        "dataset": "digits",
        "split": "train",
        "samples": 1500,
        "samples_in_split": 1500,
        "seed": 0,
        "normalization": "filter",
        "precision": "float64",
        "cosine": 0.0,
        "parallel_filters": 0,
        "filter_ratio_min": 1.0,
        "filter_ratio_max": 1.0,
        "mode": "evaluation",
        "batch_norm": "frozen",
        "model_unchanged": True,
        "data_sha256": "0" * 64,
        "center": {
            "on_grid": True,
            "point": [1, 0],
            "loss": 10.0,
            "accuracy": 0.5,
            "standard_error": 0.0,
            "independent_loss": 10.0,
            "independent_method": "known",
        },
    }
)


def test_the_log_of_a_job_is_updated_until_the_job_ends(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    grid = {"alpha": {"count": 51}, "beta": {"count": 51}}
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], subset={"count": 300}, grid=grid)
    page.goto(f"/#/jobs/{job_id}")
    lines = page.get_by_test_id("job-log-lines").locator("li")
    expect(page.get_by_test_id("job-log").locator("summary")).to_contain_text("Log")
    expect(lines.first).to_be_hidden()
    page.get_by_test_id("job-log").locator("summary").click()
    expect(lines.first).to_contain_text("Submitted")
    before = lines.count()
    service.wait(job_id)
    expect(lines.last).to_contain_text("Done: 2601 of 2601 points", timeout=TIMEOUT_MS)
    assert before < lines.count()
    told = service.api.get(f"/jobs/{job_id}/log").json()
    assert lines.locator("> :last-child").all_inner_texts() == [line["text"] for line in told["items"]]
    assert lines.locator("time").evaluate_all("times => times.map(t => t.dateTime)") == [
        line["at"] for line in told["items"]
    ]


def test_the_log_of_a_failed_job_is_open_and_its_reason_is_escaped(
    page: Page, service: Service, shipped: dict[str, Any]
) -> None:
    grid = {"alpha": {"count": 151}, "beta": {"count": 151}}
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], grid=grid)
    reason = "Its <b>checkpoint</b> cannot be read any more."
    database = Database(f"sqlite:///{service.data / 'landscape.sqlite'}")
    with database.writing() as session:
        completion.end_job(session, job_id, "failed", reason)
    database.engine.dispose()
    page.goto(f"/#/jobs/{job_id}")
    error = page.get_by_test_id("job-log-lines").locator("li.error")
    expect(error).to_be_visible()
    expect(error).to_contain_text(reason)
    expect(error.locator(".unseen")).to_have_text("Error: ")


def test_a_running_job_can_be_cancelled_from_its_page(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    job_id = service.submit(
        kind="surface", checkpoint=shipped["id"], grid={"alpha": {"count": 151}, "beta": {"count": 151}}
    )
    page.goto(f"/#/jobs/{job_id}")
    expect(page.get_by_test_id("heatmap")).to_be_visible(timeout=TIMEOUT_MS)
    page.get_by_test_id("cancel-job").click()
    expect(page.get_by_test_id("job-state")).to_contain_text("cancelled", timeout=TIMEOUT_MS)
    assert service.job(job_id)["state"] == "cancelled"


def test_a_job_that_computed_nothing_shows_no_numbers(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    grid = {"alpha": {"count": 151}, "beta": {"count": 151}}
    jobs = [service.submit(kind="surface", checkpoint=shipped["id"], grid=grid, seed=seed) for seed in range(4)]
    for job_id in jobs:
        service.api.post(f"/jobs/{job_id}/cancel")
    job_id = next(one for one in jobs if service.job(one)["progress"]["done"] == 0)
    page.goto(f"/#/jobs/{job_id}")
    expect(page.get_by_text("Nothing was computed")).to_be_visible()
    expect(page.get_by_test_id("retry-job")).to_be_visible()
    for absent in ("result", "result-least", "download-csv"):
        expect(page.get_by_test_id(absent)).to_have_count(0)


def test_invalid_numbers_are_reported_at_their_field_by_the_form_and_by_the_service(
    page: Page, service: Service, shipped: dict[str, Any]
) -> None:
    page.goto(f"/#/new?checkpoint={shipped['id']}")
    page.get_by_test_id("job-count-alpha").fill("0")
    page.get_by_test_id("start-job").click()
    problem = page.get_by_test_id("job-problem").first
    expect(problem).to_be_visible()
    assert "#/new" in page.url


def test_the_toolbar_sends_no_data_elsewhere(page: Page, service: Service, shipped: dict[str, Any]) -> None:
    job_id = surface_job(service, shipped["id"], 11)
    page.goto(f"/#/jobs/{job_id}")
    page.wait_for_selector(".modebar-btn", state="attached")
    titles = page.locator(".modebar-btn").evaluate_all("buttons => buttons.map(b => b.dataset.title || '')")
    assert titles
    assert not [title for title in titles if re.search("share|cloud|edit", title, re.I)]


def test_a_phone_shows_one_plot_at_a_time_without_scrolling_horizontally(
    page: Page, service: Service, shipped: dict[str, Any]
) -> None:
    jobs = [surface_job(service, shipped["id"], seed) for seed in (11, 12)]
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/#/compare?jobs={','.join(jobs)}")
    expect(page.get_by_test_id("compare-cell").first).to_be_visible(timeout=TIMEOUT_MS)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_names_are_escaped(page: Page, service: Service) -> None:
    name = "<img src=x onerror=alert(1)>.pt"
    service.upload(b"\x89PNG\r\n\x1a\n" + bytes(50), name, state="rejected")
    page.goto("/#/library")
    expect(page.get_by_test_id("checkpoint-row").filter(has_text="<img src=x").first).to_be_visible(timeout=TIMEOUT_MS)
    assert page.locator("img[src=x]").count() == 0
