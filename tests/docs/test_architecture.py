"""Every file, folder, module and function that docs/architecture.md names exists."""

import importlib
import re

import pytest

from tests.docs.documents import PAGES
from tests.support.paths import ROOT

NAMED = re.findall(r"`([^`\n]+)`", (ROOT / "docs/architecture.md").read_text())
PATHS = sorted({name for name in NAMED if re.fullmatch(r"(?:\w+/)+(?:\w+\.py)?", name)})
DOTTED = sorted({name for name in NAMED if re.fullmatch(r"(?:landscape|service|worker|app)(?:\.\w+)+", name)})
TOPS = ("landscape", "service", "worker", "app", "frontend", "tests", "benchmarks", "docs", "deploy", "packaging")
FILES = [*sorted(str(path.relative_to(ROOT)) for top in TOPS for path in (ROOT / top).rglob("*.*")), "setup.py"]
FILE = re.compile(r"[`*(]((?:[\w.-]+/)*[\w-]+\.(?:py|js|inc|cpp|sh))[`*]")


def resolved(name: str) -> object:
    """The module, class or function with this dotted name."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def test_the_page_names_enough_to_be_checked() -> None:
    assert len(PATHS) > 40
    assert len(DOTTED) > 40


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", DOTTED)
def test_a_dotted_name_that_the_page_names_exists(name: str) -> None:
    resolved(name)


@pytest.mark.parametrize("top", ["landscape", "service"])
def test_the_page_names_every_package_and_module_at_the_top_of(top: str) -> None:
    packages = {f"{top}/{path.parent.name}/" for path in (ROOT / top).glob("*/__init__.py")}
    modules = {f"{top}/{path.name}" for path in (ROOT / top).glob("*.py") if path.name != "__init__.py"}
    assert packages | modules <= set(PATHS)


@pytest.mark.parametrize("page", PAGES)
def test_a_source_file_that_a_page_names_exists(page: str) -> None:
    named = FILE.findall((ROOT / page).read_text())
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in FILES)] == []
