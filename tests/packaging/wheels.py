"""Builds the distributions from a copy of the repository, without a compiler: the native module is optional."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

LIBRARY, SERVICE = "loss_atlas", "loss_atlas_service"
FOLDERS = {LIBRARY: Path(), SERVICE: Path("packaging/service")}  # of their pyproject.toml, in the repository
NO_COMPILER = {"CC": "/bin/false", "CXX": "/bin/false"}


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **NO_COMPILER})
    assert done.returncode == 0, done.stderr


def copy_of_sources(folder: Path, root: Path = ROOT) -> Path:
    """A new folder with what the distributions are built from, as it is in the repository at `root`."""
    folder.mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md"):
        shutil.copy(root / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info", "build")
    for name in ("landscape", "app", "worker", "service", "frontend", "packaging"):
        shutil.copytree(root / name, folder / name, symlinks=True, ignore=ignored)
    return folder


def wheel(source: Path, folder: Path) -> Path:
    """The wheel of a source tree or source distribution, in a new folder."""
    folder.mkdir(parents=True)
    options = ["-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-w", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", *options, str(source), cwd=folder)
    [found] = folder.glob("*.whl")
    return found


def sdist(source: Path, folder: Path) -> Path:
    """The source distribution of a source tree, in a new folder."""
    folder.mkdir(parents=True)
    run(sys.executable, "-c", f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})", cwd=source)
    [found] = folder.glob("*.tar.gz")
    return found


@dataclass(frozen=True)
class Built:
    """The files that were built, by name of the distribution."""

    sdists: dict[str, Path]
    wheels: dict[str, Path]
    wheels_of_sdists: dict[str, Path]


def build(folder: Path) -> Built:
    """Both distributions of this repository, into a new folder."""
    copy = copy_of_sources(folder / "copy")
    sources = {name: copy / path for name, path in FOLDERS.items()}
    sdists = {name: sdist(source, folder / "sdist" / name) for name, source in sources.items()}
    return Built(
        sdists,
        {name: wheel(source, folder / "wheel" / name) for name, source in sources.items()},
        {name: wheel(source, folder / "wheel_of_sdist" / name) for name, source in sdists.items()},
    )
