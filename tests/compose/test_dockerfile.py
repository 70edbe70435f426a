"""The install steps of the Dockerfile, run in a clean environment: contents and size of each image.

Only steps that need the image's operating system are skipped: apt-get, users, file capabilities. They are listed here,
so that a new one fails the test.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI  # address of the default index

from tests.compose.dockerfile import stages
from tests.support.paths import ROOT

SYSTEM = ("apt-get ", "groupadd ", "setcap ")
BASE = 131  # MB of Debian's slim base image with Python, as published; measuring it needs a container engine


class Build:
    """Builds stages on top of each other; /build and /opt/landscape are folders of the test."""

    def __init__(self, folder: Path, **arguments: str):
        self.folder, self.arguments = folder, arguments
        self.environment = {"PATH": f"{folder / 'path'}:/usr/bin:/bin", "HOME": str(folder)}
        (folder / "path").mkdir()
        for name in ("python", "pip"):  # the base image's
            (folder / "path" / name).write_text(
                f'#!/bin/sh\nexec {sys.executable} {"-m pip" if name == "pip" else ""} "$@"\n'
            )
            (folder / "path" / name).chmod(0o755)

    def run(self, name: str) -> list[str]:
        """Run a stage and those it is built on.

        Returns:
            The steps that were skipped.
        """
        stage, left = stages()[name], []
        if stage.base in stages():
            left += self.run(stage.base)
        arguments: dict[str, str] = {}
        for keyword, text in stage.instructions:
            if keyword == "ARG":
                key, _, value = text.partition("=")
                arguments[key] = self.arguments.get(key, value)
            elif keyword == "ENV":
                self.environment |= {key: self.here(value) for key, value in re.findall(r"(\w+)=(\S+)", text)}
            elif keyword == "COPY" and not text.startswith("--from"):
                self.copy(text)
            elif keyword == "RUN" and text.startswith(SYSTEM):
                left.append(text.split()[0])
            elif keyword == "RUN":
                self.step(text, arguments)
        return left

    def here(self, text: str) -> str:
        text = re.sub(r"(?<!\w)/build", str(self.folder / "build"), text)
        return text.replace("/opt/landscape", str(self.folder / "opt"))

    def copy(self, text: str) -> None:
        *sources, target = text.split()
        for source in sources:
            origin, goal = ROOT / source, self.folder / "build" / (source if target == "./" else target)
            goal.parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info", "build")
            if origin.is_dir():
                shutil.copytree(origin, goal, symlinks=True, ignore=ignored)
            else:
                shutil.copy(origin, goal)

    def step(self, text: str, arguments: dict[str, str]) -> None:
        passed = {name: value for name, value in os.environ.items() if name.lower().startswith(("pip_", "ssl_"))}
        done = subprocess.run(
            ["sh", "-euc", self.here(text)],
            cwd=self.folder / "build",
            env={**passed, **self.environment, **arguments},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `docker build --target api` would copy to /opt/landscape."""
    build = Build(tmp_path_factory.mktemp("image"))
    assert build.run("api-build") == ["apt-get"]
    return build.folder / "opt"


def asked(image: Path, code: str, *options: str) -> str:
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANDSCAPE_DATA": str(image.parent / "data"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(image / "bin/python"), *options, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=image.parent, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_api_image_has_no_torch_and_creates_the_application(image: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('torch', 'sklearn', 'pip') if u.find_spec(n)])"
    assert asked(image, code) == "[]"
    made = "import app.main as m; print(m.create_app().title); print(m.__file__)"
    title, origin = asked(image, made).split("\n")
    assert title == "Loss Landscape"
    assert Path(origin).is_relative_to(image)


def test_the_api_image_serves_the_page_from_the_package(image: Path) -> None:
    code = "from app.main import FRONTEND as f; print(*[(f / n).is_file() for n in ('index.html', 'js/main.js')])"
    assert asked(image, code) == "True True"


def test_the_api_image_writes_every_format_except_pictures_which_it_refuses_with_a_sentence(image: Path) -> None:
    lines = [
        "import landscape as ls, numpy as np",
        "from service.jobs.downloads import ENDINGS",
        "result = ls.Result.empty(ls.Grid.square(3))",
        "result.put([(i, j) for i in range(3) for j in range(3)], np.random.default_rng(0).random((9, 3)))",
        "for ending in ENDINGS:",
        "    try: assert result.to_bytes(ending)",
        "    except ls.LandscapeError as error: print(ending, error)",
    ]
    told = asked(image, "\n".join(lines)).splitlines()
    assert [line.split()[0] for line in told] == ["png", "svg"]
    assert all("loss-atlas[figures]" in line for line in told)


def test_the_api_image_stays_under_300_megabytes(image: Path) -> None:
    installed = megabytes(image)
    print(f"/opt/landscape {installed:.0f} MB")
    assert installed + BASE < 300


def megabytes(folder: Path) -> float:
    """Total size of the files, as for an image."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def test_the_versions_are_those_of_the_constraints(image: Path) -> None:
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    code = "from importlib.metadata import distributions as d; print('\\n'.join(f'{x.name} {x.version}' for x in d()))"
    installed = dict(line.split() for line in asked(image, code).splitlines())
    assert installed.pop("loss-atlas") == installed.pop("loss-atlas-service")
    assert {name: pinned.get(re.sub(r"[-_.]+", "-", name).lower()) for name in installed} == installed


def test_the_worker_image_computes(tmp_path: Path) -> None:
    build = Build(tmp_path, TORCH_INDEX=PyPI.simple_url)  # or what pip.conf adds: a build for CPU is far smaller
    assert build.run("worker-build") == ["apt-get"]
    lines = [
        "import importlib.util as u, landscape as ls, landscape.engine.native as native",
        "import worker.process, service.storage.api_store",
        "from torch import nn, rand",
        "model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))",
        "result = ls.slice(model, rand(5, 1, 2, 2), rand(5).long(), grid=ls.Grid.line(3))",
        "print(result.losses.shape, native.library() is not None, [m for m in ('pip', 'fastapi') if u.find_spec(m)])",
    ]
    code = "\n".join(lines)
    assert asked(tmp_path / "opt", code) == "(3, 1) True []"


def test_all_images_run_as_an_unprivileged_user() -> None:
    assert stages()["api"].user == stages()["worker"].user == stages()["tls"].user == "10001:10001"
