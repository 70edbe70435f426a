"""Every format of a result, read back by independent programs; holes and clipped losses in each."""

import io
import json
import math
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import meshio
import numpy as np
import pandas
import pytest
import torch
import trimesh
from vtkio.reader.api import load_vtk_data

from landscape import api
from landscape.directions.plane import from_directions
from landscape.errors import FormatError, MissingLibraryError, UnknownNameError
from landscape.formats import FORMATS, read, write
from landscape.formats.solid import BASE, PIT, RELIEF, WIDTH
from landscape.grid import Axis, Grid
from landscape.plots.heights import drawable
from landscape.result import Result
from tests.support.chromium import FOUND, chromium
from tests.support.paths import ROOT
from tests.support.small_models import ALONG_X_AND_Y, TwoNumbers, perceptron, the_answer, vectors

READERS = ROOT / "build" / "readers"  # `make readers` puts VTK there
GRID = Grid(Axis(-1, 1, 5), Axis(0, 4, 3))


@pytest.fixture(scope="module")
def ten_x_plus_y() -> Result:
    """losses[i, j] = 10 α + β + 11, from 1 to 25, on 5 × 3 points."""
    model = TwoNumbers()
    plane = from_directions(ALONG_X_AND_Y, dict(model.named_parameters()))

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return the_answer(outputs, labels) + 11

    return api.surface(model, torch.zeros(7, 1), torch.zeros(7), grid=GRID, directions=plane, loss=loss)


@pytest.fixture(scope="module")
def line() -> Result:
    return api.slice(perceptron(), *vectors(), grid=Grid.line(7))


@pytest.fixture(scope="module")
def holes(ten_x_plus_y: Result) -> Result:
    """NaN at (2, 1), infinite at the corner (0, 0)."""
    losses = ten_x_plus_y.losses.copy()
    losses[2, 1], losses[0, 0] = math.nan, math.inf
    return replace(ten_x_plus_y, losses=losses)


def test_every_readable_format_reads_back_an_equal_result(holes: Result, line: Result, tmp_path: Path) -> None:
    for result in (holes, line, partly(holes)):
        for ending in ("json", "npz", "h5"):
            result.save(tmp_path / f"r.{ending}")
            again = Result.load(tmp_path / f"r.{ending}")
            assert again.to_json() == result.to_json(), ending
            assert again.losses.tobytes() == result.losses.tobytes(), ending
            assert again.computed.tolist() == result.computed.tolist(), ending
            with pytest.raises(ValueError, match="read-only"):
                again.losses[0, 0] = 1


def partly(result: Result) -> Result:
    computed = np.ones_like(result.computed)
    computed[1, :] = False
    blank = {name: np.where(computed, result.array(name), math.nan) for name in ("losses", "accuracies")}
    return replace(result, computed=computed, standard_errors=np.where(computed, 0.5, math.nan), **blank)


def test_a_csv_file_reads_back_the_computed_points_of_every_array(holes: Result, tmp_path: Path) -> None:
    extra = {"lambda_min": np.arange(15.0).reshape(5, 3)}
    part = replace(partly(holes), extra=extra)
    part.save(tmp_path / "r.csv")
    again = Result.load(tmp_path / "r.csv")
    kept = [0, 2, 3, 4]  # a row without computed points is not in the table
    assert again.alphas.tolist() == part.alphas[kept].tolist()
    np.testing.assert_array_equal(again.losses, part.losses[kept])
    np.testing.assert_array_equal(again.array("lambda_min"), extra["lambda_min"][kept])
    assert again.computed.all()
    table = pandas.read_csv(tmp_path / "r.csv")
    assert list(table.columns) == ["alpha", "beta", "loss", "accuracy", "standard_error", "lambda_min"]
    assert len(table) == 12


def test_the_json_of_the_service_is_read_as_an_equal_local_result(ten_x_plus_y: Result) -> None:
    answer = {"id": "abc", "state": "done", "name": "a job", **json.loads(ten_x_plus_y.to_bytes("json"))}
    again = Result.from_json(answer)
    assert again.to_json() == ten_x_plus_y.to_json()
    assert again.checks == ten_x_plus_y.checks
    assert again.caption == ten_x_plus_y.caption


@pytest.mark.parametrize(
    "change",
    [
        {"losses": None},
        {"losses": [[1.0]]},
        {"alphas": ["a"]},
        {"non_finite": [{"i": 99, "j": 0, "value": "nan"}]},
        {"extra": 3},
    ],
)
def test_json_of_something_else_is_refused(ten_x_plus_y: Result, change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not the JSON of a result"):
        Result.from_json({**ten_x_plus_y.to_json(), **change})
    (tmp_path / "r.json").write_text(json.dumps({**ten_x_plus_y.to_json(), **change}))
    with pytest.raises(FormatError, match=r"r\.json: This is not the JSON of a result"):
        Result.load(tmp_path / "r.json")


def test_a_file_whose_content_does_not_match_its_ending_is_refused_with_its_name(tmp_path: Path) -> None:
    for ending, says in (("json", "as JSON"), ("csv", "no result|table"), ("h5", "as HDF5"), ("npz", "as an .npz")):
        (tmp_path / f"r.{ending}").write_bytes(b"a,b\n1,2\n")
        with pytest.raises(FormatError, match=rf"r\.{ending}.*({says})"):
            Result.load(tmp_path / f"r.{ending}")
    (tmp_path / "r.stl").write_bytes(b"solid")
    with pytest.raises(UnknownNameError, match=r"format to read 'stl'\. Known: json, npz, csv, h5"):
        Result.load(tmp_path / "r.stl")
    with pytest.raises(FormatError, match=r"none\.npz cannot be read: No such file"):
        Result.load(tmp_path / "none.npz")


def test_an_hdf5_file_has_the_papers_arrays_and_our_own(ten_x_plus_y: Result) -> None:
    with h5py.File(io.BytesIO(ten_x_plus_y.to_bytes("h5"))) as file:
        np.testing.assert_array_equal(file["train_loss"][:], ten_x_plus_y.losses.T)
        np.testing.assert_array_equal(file["landscape/losses"][:], ten_x_plus_y.losses)


def test_a_data_frame_has_a_row_per_computed_point_and_named_columns(ten_x_plus_y: Result) -> None:
    table = ten_x_plus_y.to_dataframe()
    assert list(table.columns) == ["alpha", "beta", "loss", "accuracy", "standard_error"]
    assert len(table) == 15
    assert (table["loss"] == 10 * table["alpha"] + table["beta"] + 11).all()
    assert (
        table.pivot_table(index="alpha", columns="beta", values="loss").to_numpy().tolist()
        == ten_x_plus_y.losses.tolist()
    )


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    ten_x_plus_y: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("landscape.formats.solid", "landscape.formats.chart"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for library in ("pandas", "trimesh", "matplotlib"):
        monkeypatch.setitem(sys.modules, library, None)
    for make, extra in (
        (ten_x_plus_y.to_dataframe, "tables"),
        (lambda: ten_x_plus_y.to_bytes("stl"), "solids"),
        (lambda: ten_x_plus_y.to_bytes("png"), "figures"),
    ):
        with pytest.raises(MissingLibraryError, match=rf"pip install 'loss-atlas\[{extra}\]'"):
            make()


def test_every_format_writes_a_surface_and_all_but_solids_a_slice(ten_x_plus_y: Result, line: Result) -> None:
    for ending in FORMATS:
        assert len(ten_x_plus_y.to_bytes(ending)) > 100, ending
        if ending in ("stl", "obj"):
            with pytest.raises(FormatError, match="A slice is a line"):
                line.to_bytes(ending)
        else:
            assert len(line.to_bytes(ending)) > 100, ending


def test_height_and_array_are_refused_for_files_of_numbers(ten_x_plus_y: Result) -> None:
    assert ten_x_plus_y.to_bytes("vtp", height="linear") != ten_x_plus_y.to_bytes("vtp", height="paper")
    with pytest.raises(FormatError, match=r"A \.csv file holds numbers"):
        ten_x_plus_y.to_bytes("csv", height="log")
    with pytest.raises(UnknownNameError, match="Known: losses, accuracies"):
        ten_x_plus_y.to_bytes("vtp", array="test_losses")


def vtp(content: bytes, folder: Path) -> tuple[Any, Any, Any]:
    """Points, cells (as lists of points) and arrays by name, as VTKio reads them."""
    (folder / "r.vtp").write_bytes(content)
    read = load_vtk_data(folder / "r.vtp")
    cells = read.polys or read.lines
    ends = [0, *cells.offsets]
    lists = [list(cells.connectivity[a:b]) for a, b in pairwise(ends)]
    return np.array(read.points), lists, read.point_data


def test_a_vtp_file_has_every_point_at_its_coordinates_with_unclipped_losses(
    ten_x_plus_y: Result, tmp_path: Path
) -> None:
    points, cells, arrays = vtp(ten_x_plus_y.to_bytes("vtp", height="paper"), tmp_path)
    assert points.shape == (15, 3)
    assert len(cells) == 4 * 2
    assert arrays["losses"].ravel() == pytest.approx(10 * points[:, 0] + points[:, 1] + 11)
    assert points[:, 2] == pytest.approx(np.log(np.minimum(arrays["losses"].ravel(), 10) + 0.1))
    for cell in cells:  # a quad of the grid, counter-clockwise
        corners = points[cell][:, :2]
        assert np.ptp(corners, axis=0) == pytest.approx([0.5, 2.0])
        ahead = np.roll(corners, -1, axis=0)
        assert float((corners[:, 0] * ahead[:, 1] - corners[:, 1] * ahead[:, 0]).sum()) / 2 == pytest.approx(1.0)


def test_a_vtp_file_leaves_out_holes_and_their_cells(holes: Result, line: Result, tmp_path: Path) -> None:
    points, cells, _ = vtp(holes.to_bytes("vtp"), tmp_path)
    assert len(points) == 13
    assert len(cells) == 3  # of 8: four touch the middle, one more the corner
    assert np.isfinite(points).all()
    points, cells, _ = vtp(line.to_bytes("vtp"), tmp_path)
    assert (len(points), len(cells)) == (7, 6)


def test_vtk_itself_reads_the_vtp_file(holes: Result, tmp_path: Path) -> None:
    if not READERS.is_dir():
        pytest.skip("VTK (140 MB) is not here: `make readers` installs it")
    sys.path.append(str(READERS))
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    holes.save(tmp_path / "r.vtp")
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "r.vtp"))
    reader.Update()
    read = reader.GetOutput()
    assert (read.GetNumberOfPoints(), read.GetNumberOfPolys()) == (13, 3)
    losses = read.GetPointData().GetArray("losses")
    for k in range(13):
        alpha, beta, _ = read.GetPoint(k)
        assert losses.GetValue(k) == pytest.approx(10 * alpha + beta + 11)


@pytest.mark.parametrize("ending", ["stl", "obj"])
def test_a_solid_is_watertight_in_millimeters_and_its_faces_point_outwards(
    ten_x_plus_y: Result, ending: str, tmp_path: Path
) -> None:
    ten_x_plus_y.save(tmp_path / f"r.{ending}", height="linear")
    body = trimesh.load(tmp_path / f"r.{ending}", force="mesh")
    assert body.is_watertight
    assert body.is_winding_consistent
    assert body.volume > 0
    low, high = body.bounds
    assert low == pytest.approx([0, 0, 0], abs=1e-4)
    assert high == pytest.approx([WIDTH / 2, WIDTH, BASE + RELIEF], rel=1e-5)
    other = meshio.read(tmp_path / f"r.{ending}")
    points = other.points[other.cells[0].data]
    across = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    volume = float((points[:, 0] * across).sum()) / 6
    # Under a plane: the base, and half of the relief.
    assert volume == pytest.approx(WIDTH / 2 * WIDTH * (BASE + RELIEF / 2), rel=1e-5)


@pytest.mark.parametrize("ending", ["stl", "obj"])
def test_a_hole_is_a_pit_in_a_solid_that_stays_watertight(holes: Result, ending: str, tmp_path: Path) -> None:
    for result in (holes, replace(holes, losses=np.full((5, 3), math.nan)), replace(holes, losses=np.ones((5, 3)))):
        result.save(tmp_path / f"r.{ending}")
        body = trimesh.load(tmp_path / f"r.{ending}", force="mesh")
        assert body.is_watertight
        assert body.volume > 0
    holes.save(tmp_path / f"r.{ending}")
    top = trimesh.load(tmp_path / f"r.{ending}", force="mesh").vertices
    assert sorted(top[np.isclose(top[:, 2], PIT)][:, :2].round(3).tolist()) == [[0, 0], [WIDTH / 4, WIDTH / 2]]


def test_losses_above_the_clip_are_clipped_in_pictures_and_kept_in_files_of_numbers(
    ten_x_plus_y: Result, tmp_path: Path
) -> None:
    points, _, arrays = vtp(ten_x_plus_y.to_bytes("vtp", height="paper"), tmp_path)
    assert points[:, 2].max() == pytest.approx(math.log(10.1))
    assert arrays["losses"].max() == 25


def test_an_interrupted_result_is_drawn_on_its_finest_complete_grid(ten_x_plus_y: Result) -> None:
    grid = Grid(Axis(-1, 1, 9), Axis(-1, 1, 9))
    result = Result.empty(grid)
    first, second = grid.levels()[:2]
    result.put(first, [(1.0, 0.5, 0.1)] * len(first))
    result.put(second[:3], [(2.0, 0.5, 0.1)] * 3)
    part = drawable(result)
    assert part.alphas.tolist() == part.betas.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert part.losses.tolist() == [[1.0] * 5] * 5
    assert np.shape(result.figure().data[0].z) == (5, 5)
    assert drawable(ten_x_plus_y) is ten_x_plus_y
    nothing = Result.empty(grid)
    assert drawable(nothing) is nothing


def size_of_png(content: bytes) -> tuple[int, int]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_a_png_file_is_a_picture_with_something_on_it(ten_x_plus_y: Result, line: Result, holes: Result) -> None:
    from PIL import Image

    for result in (ten_x_plus_y, line, holes):
        content = result.to_bytes("png")
        assert size_of_png(content)[0] > 800
        with Image.open(io.BytesIO(content)) as picture:
            assert len(picture.convert("RGB").getcolors(1_000_000)) > 20


def test_an_svg_file_is_xml_with_the_caption_and_the_holes_in_it(holes: Result) -> None:
    root = ElementTree.fromstring(holes.to_bytes("svg"))
    assert root.tag.endswith("svg")
    text = " ".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("text"))
    assert "TwoNumbers" in text
    assert "2 points NaN or infinite" in text
    assert "self-check failed: finite losses" in text
    assert holes.to_bytes("svg") == holes.to_bytes("svg")


def test_markup_in_a_caption_is_escaped_in_a_picture(ten_x_plus_y: Result) -> None:
    odd = replace(ten_x_plus_y, caption="$x^2$ <b>net</b> & </script><script>alert(1)</script>")
    text = " ".join(ElementTree.fromstring(odd.to_bytes("svg")).itertext())
    assert "$x^2$ <b>net</b>" in text
    page = odd.to_bytes("html").decode()
    assert "<script>alert(1)" not in page


def test_an_html_page_contains_plotly_and_refers_to_no_host(ten_x_plus_y: Result) -> None:
    page = ten_x_plus_y.to_bytes("html").decode()
    assert len(page) > 3_000_000
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page)
    assert re.search(r'"plotlyServerURL": ?""', page)
    assert ten_x_plus_y.caption in page


@pytest.mark.skipif(FOUND is None, reason="no chromium")
def test_an_html_page_draws_offline_in_a_browser_without_an_upload_button(
    ten_x_plus_y: Result, line: Result, tmp_path: Path
) -> None:
    for name, result in (("surface", ten_x_plus_y), ("slice", line)):
        result.save(tmp_path / f"{name}.html")
    with chromium() as browser:
        page = browser.new_page()
        foreign, said = [], []
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:", "blob:")) else foreign.append(request.url)
            ),
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        for name, mark in (("surface", ".gl-container canvas"), ("slice", ".scatterlayer path")):
            page.goto((tmp_path / f"{name}.html").as_uri())
            page.wait_for_selector(mark, state="attached", timeout=60_000)
            titles = page.eval_on_selector_all(".modebar-btn", "buttons => buttons.map(b => b.dataset.title || '')")
            assert titles
            assert not [title for title in titles if "hare" in title or "loud" in title or "tudio" in title]
    assert not foreign
    assert not said


def changed_npz(content: bytes) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    arrays["losses"][0, 0] += 1e-12
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def changed_json(content: bytes) -> bytes:
    found = json.loads(content)
    found["accuracies"][0][0] = 1 - found["accuracies"][0][0]
    return json.dumps(found).encode()


def changed_h5(content: bytes) -> bytes:
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        opened["landscape/losses"][0, 0] *= 2
    return file.getvalue()


@pytest.mark.parametrize(("ending", "change"), [("npz", changed_npz), ("json", changed_json), ("h5", changed_h5)])
def test_values_changed_in_a_saved_file_fail_its_self_check(ending: str, change: Callable[[bytes], bytes]) -> None:
    result = api.surface(perceptron(), *vectors(), grid=Grid.square(3), progress=False)
    content = write(result, ending)
    assert read(content, f"r.{ending}") == result
    broken = read(change(content), f"r.{ending}")
    assert [check.name for check in broken.checks if not check.passed][-1:] == ["values"]


def test_a_result_with_holes_is_unchanged_by_saving() -> None:
    result = api.surface(perceptron(), *vectors(), grid=Grid.square(3), progress=False)
    for name in ("losses", "accuracies", "standard_errors"):
        holes = result.array(name).copy()
        holes[0] = [np.nan, np.inf, -np.inf]
        result = replace(result, **{name: holes})
    for ending in ("npz", "json", "h5"):
        assert "values" not in [check.name for check in read(write(result, ending), f"r.{ending}").checks]
