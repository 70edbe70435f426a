"""Every test, file and command that SECURITY.md and docs/reliability.md name as proof exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = ("SECURITY.md", "docs/reliability.md")
_NAMED = re.compile(r"`(?P<file>[\w./-]*test_\w+\.py|tests/[\w./-]+)(?:::(?P<function>\w+))?`")
_BESIDE = ROOT / "tests/faults"  # docs/reliability.md names the tests there without a path


def named(page: str) -> list[tuple[str, str | None]]:
    """Files of tests, and a function where one is named."""
    return [(match["file"], match["function"]) for match in _NAMED.finditer((ROOT / page).read_text())]


def place(file: str) -> Path:
    return ROOT / file if "/" in file else _BESIDE / file


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_promise_names_exists(page: str) -> None:
    proofs = named(page)
    assert len(proofs) > 10
    for file, function in proofs:
        assert place(file).exists(), f"{page} names {file}"
        if function:
            body = ast.parse(place(file).read_text()).body
            assert function in {one.name for one in body if isinstance(one, ast.FunctionDef)}, f"{page}: {function}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_variable_that_a_promise_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"\bmake ([a-z-]+)", re.sub(r"[^`]*(`[^`]*`)", r"\1 ", text))) <= targets
    settings = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\bLANDSCAPE_[A-Z_]+", text)):
        assert f"{name}=" in settings, f"{page} names {name}"


def test_every_promise_of_the_page_on_security_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    promises = text[text.index("## Promises") : text.index("## Not promised")]
    for section in promises.split("\n### ")[1:]:
        points = re.findall(r"(?ms)^\* (.+?)(?=^\* |\Z)", section)
        assert points, section
        for point in points:
            assert _NAMED.search(point) or "`make " in point, point
