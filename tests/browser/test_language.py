"""A further language is a module and a line: with one made of one letter, no English of ours is left on the page."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, Route, expect

from tests.support.paths import GALLERY, ROOT
from tests.support.service import Service

TIMEOUT_MS = 90_000
LANGUAGES = (ROOT / "frontend" / "js" / "strings" / "languages.js").read_text()
A_LINE_MORE = LANGUAGES.replace('"en-GB": () =>', '"uk": () => import("./pseudo.js"),\n  "en-GB": () =>')
# the English strings with every Latin letter outside of braces replaced
PSEUDO = r"""
import en from "./en.js";
const change = (text) => text.replace(/\{\w+\}|[A-Za-z]/g, (part) => (part.startsWith("{") ? part : "ж"));
const forms = (entry) => Object.fromEntries(Object.entries(entry).map(([form, text]) => [form, change(text)]));
export default Object.fromEntries(
  Object.entries(en).map(([key, entry]) => [key, typeof entry === "string" ? change(entry) : forms(entry)]),
);
"""
# texts of the service, by their fields: names that users gave, and its own sentences
DATA_FIELDS = (
    "name",
    "label",
    "title",
    "text",
    "caption",
    "error",
    "reason",
    "definition",
    "note",
    "unit",
    "rows",
    "columns",
)
DATA_FIELDS += ("warnings", "normalization", "message", "user")
# the same in every language: the program, formats, units, programs
SYMBOLS = (
    r"Loss Landscape|JSON|NPZ|CSV|HTML|SVG|VTP|STL|OBJ|H5|kB|MB|GB|min|curl|landscape|Python|"
    r"NaN|d(?:layer|filter)|b?float\d+"
)
# what a person can read or hear: text, and the attributes that hold text
READ = """() => {
  const skipped = "script, style, noscript, code, pre, [data-testid=provenance]";
  const found = [document.title];
  const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    if (element.closest(skipped)) continue;
    if (node === element)
      for (const name of ["title", "aria-label", "placeholder", "alt", "aria-valuetext"])
        found.push(element.getAttribute(name) ?? "");
    else found.push(node.data);
  }
  return found.filter((text) => /[A-Za-z]{2}/.test(text));
}"""


@pytest.fixture(scope="module")
def jobs(service: Service) -> dict[str, str]:
    """A surface and a slice that are done."""
    checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors", "resnet20.safetensors")["id"]
    grids: dict[str, Any] = {
        "surface": {"alpha": {"count": 5}, "beta": {"count": 3}},
        "slice": {"alpha": {"count": 5}},
    }
    made = {
        kind: service.submit(kind=kind, checkpoint=checkpoint, subset={"count": 20}, grid=grid)
        for kind, grid in grids.items()
    }
    for job in made.values():
        service.wait(job)
    return made


@pytest.fixture
def context(browser: Browser, service: Service) -> Iterator[BrowserContext]:
    """A browser that asks for Ukrainian, of a page that has it: what Intl writes is then Cyrillic too."""
    context = browser.new_context(locale="uk-UA", base_url=f"http://127.0.0.1:{service.port}")
    context.set_default_timeout(TIMEOUT_MS)

    def serve(text: str) -> Any:
        return lambda route: answer(route, text)

    context.route("**/static/js/strings/languages.js", serve(A_LINE_MORE))
    context.route("**/static/js/strings/pseudo.js", serve(PSEUDO))
    yield context
    context.close()


def answer(route: Route, text: str) -> None:
    route.fulfill(body=text, content_type="text/javascript")


@pytest.fixture
def told(context: BrowserContext) -> set[str]:
    """Texts that the service has sent, which the page shows as they are."""
    told: set[str] = set()

    def listen(response: Response) -> None:
        if "/api/" in response.url and "json" in response.headers.get("content-type", ""):
            told.update(texts(json.loads(response.body())))

    context.on("response", listen)
    return told


def texts(value: Any, field: str = "") -> Iterator[str]:
    if isinstance(value, str) and field in DATA_FIELDS:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, field)
    elif isinstance(value, dict):
        for key, own in value.items():
            if field == "facts":  # what a file says about itself
                yield from (key, f"{key}: {own}")
            yield from texts(own, key)


def english(page: Page, told: set[str]) -> list[str]:
    """What is left of the texts on the page without those of the service, where it has Latin letters."""
    known = sorted(
        {part for text in told for part in (text, text.replace("_", " "), *text.split(" · "))} - {""},
        key=len,
        reverse=True,
    )
    pattern = re.compile("|".join([*map(re.escape, known), rf"\b(?:{SYMBOLS})\b"]))
    shown: list[str] = page.evaluate(READ)
    return sorted({text for text in shown if re.search(r"[A-Za-z]{2}", pattern.sub("", text))})


VIEWS = {
    "gallery": "",
    "library": "library",
    "jobs": "jobs",
    "no jobs": "jobs?state=failed",
    "surface": "jobs/{surface}",
    "heatmap": "jobs/{surface}?view=heatmap",
    "slice": "jobs/{slice}",
    "compare": "compare?jobs={surface},{slice}",
    "nothing to compare": "compare",
    "new": "new",
    "account": "account",
    "missing": "nothing/here",
    "an invalid link": "shared/" + "x" * 30,
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_english_is_left_in_another_language(
    context: BrowserContext, told: set[str], jobs: dict[str, str], view: str
) -> None:
    page = context.new_page()
    page.goto("/#/" + VIEWS[view].format(**jobs))
    expect(page.locator("html")).to_have_attribute("lang", "uk")
    expect(page.locator("#page")).to_contain_text("ж")
    page.wait_for_load_state("networkidle")
    if "{surface}" in VIEWS[view] or "{slice}" in VIEWS[view]:
        page.wait_for_function("() => [...document.querySelectorAll('.plot')].some((plot) => plot.dataset.drawn)")
    if view == "new":
        page.locator(".advanced summary").click()
    assert english(page, told) == []


def test_every_kind_of_job_is_asked_for_in_the_language(
    context: BrowserContext, told: set[str], jobs: dict[str, str]
) -> None:
    page = context.new_page()
    page.goto("/#/new")
    kinds = page.get_by_test_id("job-kind").locator("option")
    expect(kinds.first).to_be_attached()
    for k in range(kinds.count()):
        page.get_by_test_id("job-kind").select_option(index=k)
        page.get_by_test_id("start-job").focus()
        assert english(page, told) == []
    page.get_by_test_id("job-kind").select_option("surface")
    for testid, text in {"job-count-alpha": "1", "job-min": "2", "job-max": "x", "job-seed": "-1"}.items():
        page.get_by_test_id(testid).fill(text)
    expect(page.get_by_test_id("job-problem")).to_have_count(3)
    assert english(page, told) == []


def test_numbers_are_written_in_the_language(context: BrowserContext, jobs: dict[str, str]) -> None:
    page = context.new_page()
    page.goto(f"/#/jobs/{jobs['surface']}")
    loss = page.get_by_test_id("result-loss-center")
    exact = float(loss.get_attribute("data-value") or "nan")
    expect(loss).to_contain_text(re.compile(r"^\d+,\d+"))
    text = loss.inner_text().split("\u202f×")[0]
    assert float(re.sub(r"[^\d,].*", "", text).replace(",", ".")) == pytest.approx(
        float(f"{exact:.3e}".split("e")[0]) if exact < 1e-4 else exact, rel=6e-3
    )


def test_a_language_that_the_page_lacks_shows_english(browser: Browser, service: Service) -> None:
    context = browser.new_context(locale="ja-JP", base_url=f"http://127.0.0.1:{service.port}")
    page = context.new_page()
    page.goto("/#/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en-GB")
    context.close()
