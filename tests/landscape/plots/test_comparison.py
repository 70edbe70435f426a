"""Results side by side: one camera, one scale, a label for each; and how a result is displayed in a notebook."""

import copy
import io
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Frame, Page

import landscape as ls
from landscape.errors import LandscapeError, UnknownNameError
from landscape.plots.html_page import page_with_figure
from tests.support.chromium import FOUND, chromium
from tests.support.small_models import perceptron, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 5), ls.Axis(-0.5, 1, 3))


@pytest.fixture(scope="module")
def three() -> list[ls.Result]:
    return [ls.surface(perceptron(seed), *vectors(), grid=GRID) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def lines() -> list[ls.Result]:
    return [ls.slice(perceptron(seed), *vectors(), grid=ls.Grid.line(5)) for seed in (1, 2)]


def test_surfaces_share_camera_ranges_and_colors(three: list[ls.Result]) -> None:
    figure = ls.compare([three[:2], three[2:]], labels=["a", "b", "c"])
    scenes = [figure.layout[name] for name in ("scene", "scene2", "scene3")]
    assert len({scene.camera.to_plotly_json()["eye"]["x"] for scene in scenes}) == 1
    assert len({tuple(scene.zaxis.range) for scene in scenes}) == 1
    colors = {(trace.cmin, trace.cmax) for trace in figure.data}
    every = np.concatenate([trace.z for trace in figure.data])
    assert colors == {(every.min(), every.max())}
    assert [trace.showscale for trace in figure.data] == [True, False, False]
    assert [note.text for note in figure.layout.annotations] == ["a", "b", "c"]
    for trace, result in zip(figure.data, three, strict=True):
        assert np.shape(trace.z) == (3, 5)
        assert trace.z[2][1] == pytest.approx(np.log(min(result.losses[1, 2], 10) + 0.1))
    places = [(scene.domain.x[0] < 0.4, scene.domain.y[0] > 0.4) for scene in scenes]
    assert places == [(True, True), (False, True), (True, False)]


def test_contours_share_levels_and_slices_one_vertical_range(three: list[ls.Result], lines: list[ls.Result]) -> None:
    flat = ls.compare(three, view="contour", columns=2)
    assert len({(trace.zmin, trace.zmax) for trace in flat.data}) == 1
    assert {trace.contours.start for trace in flat.data} == {0.1}
    drawn = ls.compare({"one": lines[0], "two": lines[1]})
    ranges = {tuple(drawn.layout[name].range) for name in ("yaxis", "yaxis2")}
    assert len(ranges) == 1
    low, high = ranges.pop()
    assert low < min(one.losses.min() for one in lines) <= max(one.losses.max() for one in lines) < high
    assert [note.text for note in drawn.layout.annotations] == ["one", "two"]


def test_labels_are_escaped_and_mark_failed_self_checks(three: list[ls.Result]) -> None:
    broken = replace(three[0], provenance={**three[0].provenance, "model_unchanged": False})
    figure = ls.compare([broken, three[1]], labels=["<b>x</b>", "fine"])
    assert [note.text for note in figure.layout.annotations] == ["&lt;b&gt;x&lt;/b&gt; ✗ self-check", "fine"]


def test_results_that_cannot_be_compared_are_refused_with_the_reason(
    three: list[ls.Result], lines: list[ls.Result]
) -> None:
    with pytest.raises(LandscapeError, match="nothing to compare"):
        ls.compare([])
    with pytest.raises(LandscapeError, match="no common scale"):
        ls.compare([three[0], lines[0]])
    with pytest.raises(LandscapeError, match="Got 1 labels for 3 results"):
        ls.compare(three, labels=["a"])
    with pytest.raises(UnknownNameError, match="Known: surface, contour"):
        ls.compare(three, view="heatmap")
    with pytest.raises(UnknownNameError, match="Known: auto, paper, linear, log"):
        ls.compare(three, height="cubic")


def test_the_page_of_a_comparison_has_the_captions_of_all_results(three: list[ls.Result]) -> None:
    page = page_with_figure(ls.compare(three), three)
    assert page.count("✓ center loss") == 3
    assert "sendChartToCloud" in page.split("Plotly.newPlot('figure'")[1]  # in the list of removed buttons


def test_the_repr_of_a_result_is_a_line_with_kind_points_losses_and_self_check(
    three: list[ls.Result], lines: list[ls.Result]
) -> None:
    low, high = three[0].losses.min(), three[0].losses.max()
    assert repr(three[0]) == (
        f"<Result surface: 5 × 3 points, all computed, losses {low:.4g} to {high:.4g}, self-check ✓ 7 of 7>"
    )
    assert repr(lines[0]).startswith("<Result slice: 5 points, all computed")
    losses = three[0].losses.copy()
    losses[0, 0] = np.inf
    assert "1 NaN or infinite, self-check ✗ finite losses" in repr(replace(three[0], losses=losses))
    assert repr(ls.Result.empty(GRID)) == "<Result surface: 5 × 3 points, 0 computed, no finite loss>"


def test_a_notebook_shows_picture_caption_and_checks_without_network_in_kilobytes(
    three: list[ls.Result], lines: list[ls.Result]
) -> None:
    large = ls.Result.empty(ls.Grid.square(501))
    large.losses[:], large.computed[:] = np.random.default_rng(0).random((501, 501)), True
    for result in (three[0], lines[0], large, ls.Result.empty(GRID)):
        shown = result._repr_mimebundle_()
        assert shown["text/plain"] == repr(result)
        html = shown["text/html"]
        assert len(html) < 60_000
        assert "<script" not in html
        assert not re.findall(r'(?:src|href)="(?!data:)', html)
        ElementTree.fromstring(html)  # well formed
    html = three[0]._repr_mimebundle_()["text/html"]
    assert three[0].caption in html
    assert "✓</span> center loss" in html


def test_the_picture_in_a_notebook_has_alpha_to_the_right_and_beta_up() -> None:
    from PIL import Image

    result = ls.Result.empty(GRID)
    result.losses[:] = 1.0
    result.computed[:] = True
    result.losses[4, 0], result.losses[0, 2] = 9.0, np.nan  # the largest at the right end, at the bottom
    html = result._repr_mimebundle_()["text/html"]
    [encoded] = re.findall(r'data:image/png;base64,([^"]+)', html)
    with Image.open(io.BytesIO(b64decode(encoded))) as picture:
        assert picture.size == (5, 3)
        pixels = picture.convert("RGBA")
    assert pixels.getpixel((4, 2)) == (0xFD, 0xE7, 0x25, 255)
    assert pixels.getpixel((1, 1)) == (0x44, 0x01, 0x54, 255)
    assert pixels.getpixel((0, 0))[3] == 0


def test_markup_in_a_caption_is_escaped_in_a_notebook(three: list[ls.Result]) -> None:
    odd = replace(three[0], caption="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in odd._repr_mimebundle_()["text/html"]


TURN = "Plotly.relayout('figure', {'scene2.camera': {eye: {x: 2, y: 1, z: 0.5}}})"
TURNED = "['scene', 'scene3'].every(s => document.getElementById('figure').layout[s].camera.eye.x === 2)"
SCENES = "() => window.Plotly && document.getElementById('figure')?._fullLayout?.scene3?.camera"


def turns_all(page: Page | Frame) -> None:
    page.wait_for_selector(".gl-container canvas", state="attached", timeout=120_000)
    page.wait_for_function(SCENES, timeout=120_000)
    page.evaluate(TURN)
    page.wait_for_function(TURNED, timeout=120_000)


@pytest.mark.skipif(FOUND is None, reason="no chromium")
def test_rotating_one_surface_rotates_all_in_a_page(three: list[ls.Result], tmp_path: Path) -> None:
    (tmp_path / "c.html").write_text(page_with_figure(ls.compare(three), three))
    with chromium() as browser:
        page = browser.new_page()
        page.goto((tmp_path / "c.html").as_uri())
        turns_all(page)


@pytest.mark.skipif(FOUND is None, reason="no chromium")
def test_rotating_one_surface_rotates_all_in_a_notebook(three: list[ls.Result], tmp_path: Path) -> None:
    """The output of a real kernel, put into a document as notebooks do with HTML: by innerHTML."""
    paths = [str(tmp_path / f"{k}.npz") for k in range(3)]
    for path, result in zip(paths, three, strict=True):
        result.save(path)
    book = nbformat.v4.new_notebook()
    lines = f"import landscape as ls\nls.compare([ls.Result.load(path) for path in {paths}])"
    book.cells = [nbformat.v4.new_code_cell(lines)]
    NotebookClient(book, timeout=300).execute()
    [output] = book.cells[0].outputs
    assert output["data"]["text/plain"] == "<3 loss landscapes>"
    asked: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.set_content("<div id=output></div>")
        page.evaluate("html => { document.getElementById('output').innerHTML = html; }", output["data"]["text/html"])
        page.wait_for_selector("iframe")
        [frame] = [frame for frame in page.frames if frame != page.main_frame]
        turns_all(frame)
        assert frame.get_by_text(three[0].caption).count() == 3
    assert [url for url in asked if not url.startswith(("about:", "data:", "blob:"))] == []


def test_a_comparison_in_a_notebook_is_still_a_figure(three: list[ls.Result]) -> None:
    figure = ls.compare(three)
    assert isinstance(figure, go.Figure)
    assert len(copy.deepcopy(figure)._repr_mimebundle_()["text/html"]) > 1_000_000
    assert figure.to_plotly_json().keys() == go.Figure(figure).to_plotly_json().keys()
    for plain in (ls.compare(three[:1]), ls.compare(three, view="contour")):
        assert type(plain) is go.Figure  # no camera to link, and a hundredth of the size
