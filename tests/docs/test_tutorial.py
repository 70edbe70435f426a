"""The tutorial runs from first to last cell in a real kernel, and shows the results that it describes."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.paths import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The cells of the tutorial after running it in an empty folder."""
    book = nbformat.read(TUTORIAL, as_version=4)
    folder = tmp_path_factory.mktemp("tutorial")
    client = NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute()
    assert (folder / "plain.html").stat().st_size > 100_000
    return [cell for cell in book.cells if cell.cell_type == "code"]


def shown(cell: Any) -> str:
    return "".join(
        output.get("text", "") + "".join(str(part) for part in output.get("data", {}).values())
        for output in cell.outputs
    )


@pytest.mark.timeout(900)
def test_every_check_of_its_plain_network_passes(cells: list[Any]) -> None:
    said = next(shown(cell) for cell in cells if "plain.checks" in cell.source)
    assert said.count("\n") > 3
    assert "NOT" not in said


@pytest.mark.timeout(900)
def test_every_comparison_and_result_is_shown_as_a_picture(cells: list[Any]) -> None:
    drawn = [
        cell
        for cell in cells
        if cell.source.splitlines()[-1].startswith(("ls.compare", "residual", "line", "path.con"))
    ]
    assert len(drawn) >= 5
    for cell in drawn:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert kinds & {"text/html", "application/vnd.plotly.v1+json", "image/png"}, cell.source


def test_the_notebook_is_committed_without_outputs() -> None:
    book = nbformat.read(TUTORIAL, as_version=4)
    assert all(cell.get("outputs", []) == [] for cell in book.cells)
    assert Path(TUTORIAL).stat().st_size < 50_000
