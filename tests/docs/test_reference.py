"""The reference is built without a warning; it has every public name, and every field of every kind of job."""

import html
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import landscape
from landscape.kinds import KINDS
from landscape.options import Bounds
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    made = subprocess.run([sys.executable, ROOT / "docs" / "reference.py", folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return folder


@pytest.fixture(scope="module")
def schema(pages: Path) -> str:
    return (pages / "job_schema.html").read_text().split("<main")[1].split('class="view-source-toggle')[0]


def section(page: str, title: str) -> str:
    """What is below a heading, up to the next."""
    [part] = re.findall(rf'<h2 id="[^"]+">{title}</h2>(.*?)(?=<h2 |<input |$)', page, re.DOTALL)
    found: str = part
    return found


def rows(part: str) -> dict[str, list[str]]:
    """The cells of every row of the table in a section as text, by its field."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL):
        cells = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
        if cells:
            field, *others = (html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells)
            found[field] = others
    return found


def plain(markdown: str) -> str:
    return markdown.replace("`", "")


def words(bounds: Bounds) -> list[str]:
    """The bounds of an option as the page says them."""
    said = {
        "at least {:,}": bounds.least,
        "at most {:,}": bounds.most,
        "below {:,}": bounds.below,
        "{:,} or more characters": bounds.shortest,
    }
    return [text.format(bound) for text, bound in said.items() if bound is not None]


def test_the_reference_shows_every_public_name(pages: Path) -> None:
    page = (pages / "landscape.html").read_text()
    assert [name for name in landscape.__all__ if f'id="{name}"' not in page] == []


@pytest.mark.parametrize("name", KINDS)
def test_the_reference_shows_every_field_of_a_job_with_default_bounds_and_meaning(schema: str, name: str) -> None:
    kind, part = KINDS[name], section(schema, f"{name.title()}Spec")
    assert kind.summary in html.unescape(part)
    assert all(one.text in html.unescape(part) for one in kind.excludes)
    found = rows(part)
    options = {option.name: option for option in kind.job_options}
    assert found.keys() == {"kind", "grid", *(role.name for role in kind.roles), *options}
    assert found["kind"] == [f'"{name}"', "", ""]
    assert [found[role.name][1:] for role in kind.roles] == [["", plain(role.job_help)] for role in kind.roles]
    for option in options.values():
        value, default, meaning = found[option.name]
        assert meaning == plain(option.job_help or option.help)
        assert default == json.dumps(option.default)
        assert [one for one in words(option.job_bounds or option.bounds) if one not in value] == []
        assert [choice for choice in option.choices if f'"{choice}"' not in value] == []


def test_every_object_in_a_job_is_described_where_its_name_links_to(schema: str) -> None:
    linked = set(re.findall(r'<a href="#(\w+)">', schema))
    assert linked == {"axisspec", "slicegrid", "surfacegrid", "subsetspec"}
    assert [one for one in linked if f'<h2 id="{one}">' not in schema] == []
    assert rows(section(schema, "AxisSpec"))["count"][1] == "51"


def test_every_public_name_has_a_docstring() -> None:
    offered = {name: getattr(landscape, name) for name in landscape.__all__ if name != "__version__"}
    assert [name for name, value in offered.items() if not inspect.getdoc(value)] == []
