"""A result is refined on its page, in a real Chromium against the real service; and the form has every option."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from typer.main import get_command

from landscape.cli.main import app
from landscape.kinds import KINDS
from tests.support.service import Service

TIMEOUT_MS = 90_000
GRID = {"alpha": {"min": -1, "max": 1, "count": 5}, "beta": {"min": -0.5, "max": 0.5, "count": 3}}


@pytest.fixture(scope="module")
def coarse(service: Service, shipped: dict[str, Any]) -> str:
    """Id of a finished surface of 5 × 3 points."""
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], subset={"count": 20}, grid=GRID)
    service.wait(job_id)
    return job_id


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """A page whose console may report nothing but that a request was refused."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=f"http://127.0.0.1:{service.port}")
    page.set_default_timeout(TIMEOUT_MS)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield page
    page.close()
    assert [text for text in trouble if "422" not in text] == []


def refine(page: Page, job_id: str, name: str) -> str:
    """Press a button of the panel; returns the id of the new job, whose page is then shown."""
    page.get_by_test_id(f"refine-{name}").click()
    page.wait_for_url(lambda url: "#/jobs/" in url and job_id not in url)
    return page.url.rsplit("/", 1)[-1]


def plotted(page: Page, job_id: str, query: str = "") -> None:
    page.goto(f"/#/jobs/{job_id}{query}")
    page.wait_for_function("() => document.querySelector('[data-testid=result] .plot')?.dataset.drawn")


def test_twice_as_many_points_an_axis_of_which_those_of_the_result_are_reused(
    page: Page, service: Service, coarse: str
) -> None:
    plotted(page, coarse)
    page.get_by_test_id("refine").click()
    expect(page.get_by_test_id("refine-finer-says")).to_have_text("45 points: 15 reused, 30 new.")
    finer = refine(page, coarse, "finer")
    expect(page.get_by_test_id("job-state")).to_contain_text("done")
    expect(page.get_by_test_id("reused")).to_have_text("15 of 45 points reused from an earlier job.")
    expect(page.get_by_test_id("reused").locator("a")).to_have_attribute("href", f"#/jobs/{coarse}")
    result = service.result(finer)
    assert result["provenance"]["reused"]["job"] == coarse
    assert result["provenance"]["reused"]["points"] == 15
    assert np.array(result["losses"]).shape == (9, 5)
    assert np.array(result["losses"])[::2, ::2].tolist() == service.result(coarse)["losses"]


def test_a_basin_under_two_cells_wide_is_noted_and_zoomed_into(page: Page, service: Service, coarse: str) -> None:
    [area, *_] = service.api.get(f"/jobs/{coarse}/numbers").json()["items"]
    plotted(page, coarse)
    note = page.get_by_test_id("note-area_under_0.1")
    expect(note).to_contain_text("The basin is under two cells wide: compute a window of α from")
    page.get_by_test_id("zoom").click()
    page.wait_for_url(lambda url: "#/jobs/" in url and coarse not in url)
    zoomed = page.url.rsplit("/", 1)[-1]
    expect(page.get_by_test_id("job-state")).to_contain_text("done")
    result = service.result(zoomed)
    assert [result["alphas"][0], result["alphas"][-1]] == [area["window"]["alpha"][end] for end in ("min", "max")]
    assert len(result["alphas"]) >= 5
    [finer, *_] = service.api.get(f"/jobs/{zoomed}/numbers").json()["items"]
    assert abs(finer["value"] - area["value"]) <= area["error"]
    assert finer["error"] < area["error"]


def test_what_errors_leave_out_stands_below_the_numbers_with_the_seeds_that_show_it(
    page: Page, service: Service, coarse: str
) -> None:
    plotted(page, coarse)
    expect(page.get_by_test_id("plane-note")).to_contain_text("Another seed is another plane")
    page.get_by_test_id("repeat").click()
    page.wait_for_url(lambda url: "#/jobs/" in url and coarse not in url)
    repeated = page.url.rsplit("/", 1)[-1]
    service.wait(repeated)
    assert service.result(repeated)["provenance"]["repeated"]["seeds"] == [0, 1, 2, 3, 4]
    plotted(page, repeated)
    expect(page.get_by_test_id("number-area_under_0.1")).to_be_visible()
    expect(page.get_by_test_id("plane-note")).to_have_count(0)


def test_a_wider_range_and_one_more_seed_have_as_many_points_as_was_said(
    page: Page, service: Service, coarse: str
) -> None:
    for name, said in {
        "wider": "35 points: 15 reused, 20 new.",
        "seed": "15 points of one more seed; 15 of the present seeds reused.",
    }.items():
        plotted(page, coarse)
        page.get_by_test_id("refine").click()
        expect(page.get_by_test_id(f"refine-{name}-says")).to_have_text(said)
        job = service.wait(refine(page, coarse, name))
        assert job["progress"]["total"] == int(said.split()[0])
        assert service.result(job["id"])["provenance"]["reused"]["points"] == 15


def test_a_region_is_what_the_plot_is_zoomed_to_or_the_middle_half(page: Page, service: Service, coarse: str) -> None:
    plotted(page, coarse, "?view=contour")
    page.get_by_test_id("refine").click()
    fields = [page.get_by_test_id(f"refine-{axis}-{end}") for axis in ("alpha", "beta") for end in ("min", "max")]
    expect(fields[3]).to_have_value("0.25")
    assert [field.input_value() for field in fields] == ["−0.5", "0.5", "−0.25", "0.25"]
    page.keyboard.press("Escape")
    expect(fields[0]).not_to_be_visible()
    expect(page.get_by_test_id("refine")).to_be_focused()
    page.evaluate(
        "() => Plotly.relayout(document.querySelector('[data-testid=result] .plot'),"
        " {'xaxis.range': [0, 0.5], 'yaxis.range': [0, 0.25]})"
    )
    page.keyboard.press("Enter")
    expect(fields[0]).to_have_value("0")
    assert [field.input_value() for field in fields] == ["0", "0.5", "0", "0.25"]
    fields[1].fill("0")
    expect(page.get_by_test_id("refine-region-says")).to_contain_text("two numbers")
    expect(page.get_by_test_id("refine-region")).to_be_disabled()
    fields[1].fill("0.5")
    said = page.get_by_test_id("refine-region-says").inner_text()
    region = service.wait(refine(page, coarse, "region"))
    assert (region["spec"]["grid"]["alpha"]["min"], region["spec"]["grid"]["alpha"]["max"]) == (0, 0.5)
    assert (region["spec"]["grid"]["beta"]["min"], region["spec"]["grid"]["beta"]["max"]) == (0, 0.25)
    reused = service.result(region["id"])["provenance"]["reused"]["points"]
    total = region["progress"]["total"]
    assert said == f"{total} points: {reused} reused, {total - reused} new."


def test_a_refusal_is_shown_as_a_sentence(page: Page, service: Service, coarse: str) -> None:
    plotted(page, coarse)
    page.get_by_test_id("refine").click()
    page.get_by_test_id("refine-alpha-max").fill("3e6")
    page.get_by_test_id("refine-alpha-min").fill("2999999")
    with page.expect_response(re.compile("/refine$")) as answered:
        page.get_by_test_id("refine-region").click()
    assert answered.value.status == 422
    expect(page.get_by_role("alert").filter(has_text=re.compile(r"\w+ \w+"))).to_be_visible()
    assert coarse in page.url


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_form_has_a_visible_input_for_every_option_and_checkpoint_of_a_kind(
    page: Page, shipped: dict[str, Any], kind: Any
) -> None:
    page.goto(f"/#/new?checkpoint={shipped['id']}")
    page.get_by_test_id("more-options").click()
    page.get_by_test_id("job-kind").select_option(kind.name)
    names = {option.name for option in kind.job_options} - {"subset"}
    for name in [*names, "checkpoint", *[role.name for role in kind.roles[1:]]]:
        expect(page.locator(f"#field-{name}")).to_be_visible()
    for name in names - {"dataset", "split", "seed"}:
        expect(page.locator(f"#about-{name}")).not_to_be_empty()
    shown = page.locator(".advanced [id^='field-']:visible").evaluate_all(
        "nodes => nodes.map(node => node.id.replace('field-', ''))"
    )
    assert set(shown) - {"ownBeta"} == names - {"dataset", "split", "seed"}
    assert len(shown) == len(set(shown))


def test_an_option_is_sent_when_it_is_not_the_default_and_refused_at_its_input(
    page: Page, service: Service, shipped: dict[str, Any]
) -> None:
    page.goto(f"/#/new?checkpoint={shipped['id']}")
    page.get_by_test_id("more-options").click()
    page.get_by_test_id("job-label-smoothing").fill("1")
    expect(page.locator("#problem-label_smoothing")).to_have_text("Label smoothing: 1 is not less than 1.")
    page.get_by_test_id("job-label-smoothing").fill("0,1")
    page.get_by_test_id("job-compare-batch-norm-box").nth(2).check()
    page.get_by_test_id("job-count-alpha").fill("3")
    page.get_by_test_id("job-count-beta").fill("2")
    page.get_by_test_id("job-repeats").fill("2")
    expect(page.locator("#problem-repeats")).to_contain_text("one BatchNorm policy")
    page.get_by_test_id("job-repeats").fill("1")
    command = shlex.split(page.get_by_test_id("code-shell").text_content() or "")
    page.get_by_test_id("start-job").click()
    page.wait_for_url(lambda url: "#/jobs/" in url)
    spec = service.job(page.url.rsplit("/", 1)[-1])["spec"]
    assert (spec["label_smoothing"], spec["compare_batch_norm"], spec["weight_decay"]) == (0.1, ["batch"], 0)
    shell: Any = get_command(app)
    given = shell.commands[command[1]].make_context(command[1], [part for part in command[2:] if part.strip()]).params
    assert command[:2] == ["landscape", "surface"]
    assert (given["grid"], given["server"], given["label_smoothing"]) == ("3x2", service.url, 0.1)
    assert list(given["compare_batch_norm"]) == ["batch"]
    assert given["checkpoint"] == shipped["name"]
