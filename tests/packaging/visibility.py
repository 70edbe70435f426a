"""What editors and type checkers see of the library, installed from its wheel into a clean environment.

    python -m tests.packaging.visibility [FOLDER]    prints a table for this repository, or for another checkout

An editable installation would not do: its finder hides the package from pyright and mypy.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.packaging import options_in_help
from tests.packaging.wheels import FOLDERS, LIBRARY, copy_of_sources, wheel
from tests.support.paths import ROOT

DOCUMENTED = """
import inspect, landscape
print(*(name for name in landscape.__all__ if name != "__version__" and inspect.getdoc(getattr(landscape, name))))
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel; numpy, torch and the tools are those of the environment of the tests."""

    folder: Path

    @classmethod
    def of_wheel(cls, wheel: Path, folder: Path) -> "Environment":
        """Install the wheel into a new environment. A path file adds a folder, but not the path files in there."""
        venv.create(folder, with_pip=False)
        [packages] = folder.glob("lib/python*/site-packages")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        return cls(folder)

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    def run(self, *arguments: str | Path, may_fail: bool = False) -> str:
        """The output of its Python; stops at a failure, unless it is a tool's way to say that it found something."""
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
        variables |= {"VIRTUAL_ENV": str(self.folder), "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run([self.python, *arguments], capture_output=True, text=True, cwd=self.folder, env=variables)
        assert may_fail or done.returncode == 0, done.stderr
        return done.stdout

    def pyright(self, *arguments: str | Path) -> dict[str, Any]:
        """The report of basedpyright, which is pyright with its Node.js in one wheel."""
        text = self.run("-m", "basedpyright", "--outputjson", *arguments, may_fail=True)
        report: dict[str, Any] = json.loads(text)
        return report

    def diagnostics(self, script: Path, **rules: str) -> list[dict[str, Any]]:
        """What pyright reports about a user's script, in its standard mode."""
        project = script.parent / "pyrightconfig.json"
        project.write_text(json.dumps({"typeCheckingMode": "standard", "include": [script.name], **rules}))
        found: list[dict[str, Any]] = self.pyright("-p", project)["generalDiagnostics"]
        return found

    def mypy(self, script: Path) -> str:
        """What mypy says about a user's script in its strict mode; the second time it knows the libraries."""
        return self.run("-m", "mypy", "--strict", "--cache-dir", self.folder / "mypy", script, may_fail=True)

    def revealed(self, names: Iterable[str]) -> dict[str, str]:
        """The type of each public name, as pyright shows it."""
        script = self.folder / "revealed.py"
        script.write_text("import landscape as ls\n" + "".join(f"reveal_type(ls.{name})\n" for name in names))
        messages = [one["message"] for one in self.diagnostics(script) if one["severity"] == "information"]
        shown = (message.split('"', 3) for message in messages)  # Type of "ls.Grid" is "type[Grid]"
        return {name.removeprefix("ls."): kind.rstrip('"') for _, name, _, kind in shown}

    @cached_property
    def completeness(self) -> dict[str, Any]:
        """pyright's report about the types of everything that the package exports."""
        found: dict[str, Any] = self.pyright("--verifytypes", "landscape", "--ignoreexternal")["typeCompleteness"]
        return found

    @cached_property
    def names(self) -> list[str]:
        """The public functions and classes."""
        return self.run("-c", "import landscape; print(*{*landscape.__all__} - {'__version__'})").split()


def table(environment: Environment) -> str:
    """How many public names there are, and for how many of them an editor knows type and documentation."""
    types = environment.revealed(environment.names)
    options = environment.run(Path(options_in_help.__file__)).splitlines()
    listed = environment.run("-c", "import landscape; print(*dir(landscape))").split()
    rows = {
        "public functions and classes": len(environment.names),
        "in dir()": len({*listed} & {*environment.names}),
        "with a type for pyright": sum(kind not in ("Any", "Unknown") for kind in types.values()),
        "with a docstring": len(environment.run("-c", DOCUMENTED).split()),
        "their options": len(options),
        "explained in help()": sum(line.endswith("True") for line in options),
        "completeness of types": f"{environment.completeness['completenessScore']:.1%}",
    }
    return "\n".join(f"{name:30} {value:>6}" for name, value in rows.items())


def main(root: Path) -> None:
    """Print the table for the repository at `root`."""
    with TemporaryDirectory() as folder:
        source = copy_of_sources(Path(folder) / "copy", root) / FOLDERS[LIBRARY]
        built = wheel(source, Path(folder) / "wheel")
        print(table(Environment.of_wheel(built, Path(folder) / "environment")))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT)
