"""The client without torch: the built wheel in its own virtual environment, against a running service."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import GALLERY, ROOT

USE = """
import sys
import landscape as ls
with ls.Client(sys.argv[1], sys.argv[2]) as client:
    checkpoint = client.upload(sys.argv[3], name="torch-free")
    job = client.surface(checkpoint, grid=ls.Grid.square(3), subset=20)
    kinds = {event.kind for event in job.follow()}
    result = job.wait()
    result.save("surface.npz")
    print(kinds >= {"state", "tile"}, result.losses.shape, ls.Result.load("surface.npz").kind)
    job.delete()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "app", "worker", "rich", "pydantic"}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a clean copy and without a compiler: the native part is optional."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "landscape"):
        leave = shutil.ignore_patterns("__pycache__", "*.so")
        source, goal = ROOT / name, folder / "source" / name
        goal.parent.mkdir(exist_ok=True)
        shutil.copytree(source, goal, ignore=leave) if source.is_dir() else shutil.copy(source, goal)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    nothing = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false"}
    done = subprocess.run([*build, str(folder / "source")], capture_output=True, text=True, env=nothing)
    assert done.returncode == 0, done.stderr
    [found] = folder.glob("*.whl")
    return found


def test_the_client_needs_numpy_and_httpx_only_and_the_extra_adds_the_command_line(
    wheel: Path, token: str, url: str, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python, file = str(tmp_path / "venv/bin/python"), str(GALLERY / "resnet20-w8-skip.safetensors")

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "LANDSCAPE_TOKEN": token, "LANDSCAPE_SERVER": url}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    def install(*packages: str) -> None:
        options = ["-q", "--no-compile", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
        done = run(python, "-m", "pip", "install", *options, *packages)
        assert done.returncode == 0, done.stderr

    install(str(wheel), "httpx")
    used = run(python, "-c", USE, url, token, file)
    assert used.returncode == 0, used.stderr
    assert used.stdout == "True (3, 3) surface\n[]\n"
    assert "No module named 'torch'" in run(python, "-c", "import torch").stderr

    install(f"{wheel}[client]")
    landscape = str(tmp_path / "venv/bin/landscape")
    done = run(landscape, "surface", file, "--grid", "3x3", "--images", "20", "-o", "shell.npz")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shell.npz").is_file()
    assert "surface" in run(landscape, "jobs").stdout
    assert "No module named 'torch'" in run(python, "-c", "import torch").stderr
    up = run(landscape, "up")
    assert up.returncode == 1
    assert up.stderr == (
        "'landscape up' belongs to the service, which is not installed. Run: pip install loss-atlas-service\n"
    )
