"""The tools of `make lint` for the page's code: each finds the fault it is there for, planted in a copy of the page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
MODULE = """/** A module with a fault. */

import {{ element }} from "./element.js";
import {{ t }} from "./text.js";

export const title = t("jobs.title");

/** @type {{(name: string) => HTMLElement}} */
export const made = (name) => {made};
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy of the page and of what configures the tools."""
    page = tmp_path / "frontend"
    shutil.copytree(ROOT / "frontend", page)
    (tmp_path / "tests" / "frontend").mkdir(parents=True)
    for name in (".oxfmtrc.json", ".oxlintrc.json", "tests/frontend/strings.lint.js"):
        shutil.copy(ROOT / name, tmp_path / name)
    return page


def run(tool: str, page: Path, made: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of `make lint` over the page with one more module, js/fault.js."""
    (page / "js" / "fault.js").write_text(MODULE.format(made=made))
    environment = {**os.environ, "DENO_DIR": str(ROOT / "build" / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    command = [str(BIN / tool.split()[0]), *tool.split()[1:]]
    return subprocess.run(command, cwd=page, env=environment, capture_output=True, text=True, timeout=120, check=False)


FORMAT, LINT, TYPES, STRINGS = "oxfmt --check js", "oxlint js", "deno check --quiet js", "deno lint"
SOUND = 'element("p", { title: t("jobs.lead") }, name)'


@pytest.mark.parametrize("tool", [FORMAT, LINT, TYPES, STRINGS])
def test_a_sound_module_passes(page: Path, tool: str) -> None:
    done = run(tool, page, SOUND)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("tool", "made", "told"),
    [
        (FORMAT, "element('p', {}, name)", "fault.js"),
        (LINT, "Object.assign(element('p'), (document.body.innerHTML = name))", "innerHTML"),
        (LINT, "document.body.insertAdjacentHTML('beforeend', name)", "insertAdjacentHTML"),
        (LINT, "name == '' ? element('p') : element('b')", "eqeqeq"),
        (TYPES, 'element("p", {}, name.size)', "'size' does not exist"),
        (TYPES, 'element("p", {}, t("jobs.titel"))', "jobs.titel"),
        (TYPES, 'element("p", {}, t("part.of", { part: name }))', "'total' is missing"),
        (TYPES, 'element("p", {}, t("points", { count: name }))', "'number'"),
        (STRINGS, 'element("p", {}, "cancel")', '"cancel" is text'),
        (STRINGS, 'element("p", {}, `${name} is done`)', "is done"),
        (STRINGS, 'element("p", { title: "help" }, name)', '"help" is text'),
        (STRINGS, 'element("p", {}, name ? [name, "none"] : t("do.copy"))', '"none" is text'),
        (STRINGS, 'Object.assign(element("p"), { name: "Not a key" })', "Not a key"),
    ],
)
def test_a_fault_is_found(page: Path, tool: str, made: str, told: str) -> None:
    done = run(tool, page, made)
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
