"""The reference is built from the docstrings without a warning and has every public name."""

import inspect
import subprocess
import sys
from pathlib import Path

import landscape
from tests.support.paths import ROOT


def test_the_reference_is_built_without_a_warning_and_shows_every_public_name(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, ROOT / "docs" / "reference.py", tmp_path], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    page = (tmp_path / "landscape.html").read_text()
    assert [name for name in landscape.__all__ if f'id="{name}"' not in page] == []
    assert "TrajectorySpec" in (tmp_path / "service" / "jobs" / "spec.html").read_text()


def test_every_public_name_has_a_docstring() -> None:
    offered = {name: getattr(landscape, name) for name in landscape.__all__ if name != "__version__"}
    assert [name for name, value in offered.items() if not inspect.getdoc(value)] == []
