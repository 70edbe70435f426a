"""The HTTP face stays light: no torch, no mathematics; and nothing imports upwards."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SERVICE_LIBRARIES = {"fastapi", "celery", "redis", "sqlalchemy", "starlette", "uvicorn", "app", "worker"}


def imported(path: Path) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted((ROOT / "app").rglob("*.py")), ids=lambda path: path.name)
def test_app_imports_neither_torch_nor_tasks_nor_mathematics(path: Path) -> None:
    for name in imported(path):
        assert not name.startswith(("torch", "landscape", "worker.tasks")), name


@pytest.mark.parametrize("path", sorted((ROOT / "landscape").rglob("*.py")), ids=lambda path: path.name)
def test_landscape_imports_nothing_of_the_service(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & SERVICE_LIBRARIES


@pytest.mark.parametrize("module", ["app.main", "worker.supervisor", "worker.hints", "landscape.result"])
def test_it_can_be_imported_without_loading_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
