"""Formats generated code as the rest of the project is."""

import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, name: str) -> str:
    """Formatted by ruff, without unused imports, as landscape/`name`."""
    fixes = _formatted(["ruff", "check", "--fix-only", "-q", "--stdin-filename", f"landscape/{name}", "-"], code)
    return _formatted(["ruff", "format", "--stdin-filename", f"landscape/{name}", "-"], fixes)


def javascript(code: str) -> str:
    """Formatted by oxfmt, which formats files in place, with the settings of the page's other modules."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kinds.js"
        file.write_text(code, encoding="utf-8")
        _formatted(["oxfmt", "-c", str(ROOT / ".oxfmtrc.json"), str(file)], "")
        return file.read_text(encoding="utf-8")


def _formatted(command: Sequence[str], text: str) -> str:
    program = Path(sysconfig.get_path("scripts")) / command[0]
    found = subprocess.run([program, *command[1:]], input=text, capture_output=True, text=True, check=True, cwd=ROOT)
    return found.stdout
