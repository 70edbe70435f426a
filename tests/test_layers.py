"""The layers of the code: allowed imports between them, none upwards and none in a circle.

`LAYERS` is read from the top down: a package imports itself and packages below it, never one above it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("app", "worker", "service", "landscape")  # app and worker do not import each other
LAYERS = {
    "landscape": (
        "cli",
        "client",
        "gallery",
        "api",
        "pointwise",
        "refine",
        "reproduce",
        "kinds",
        "evaluation",
        "options",
        "training",
        "checkpoints",
        "packing",
        "models",
        "hessian",
        "engine",
        "data",
        "directions",
        "objective",
        "result",
        "formats",
        "plots",
        "results",
        "sanitized",
        "parsers",
        "disk_cache",
        "disk",
        "memory",
        "grid",
        "keywords",
        "sandbox",
        "terminal",
        "stop",
        "errors",
        "version",
    ),
    "service": (
        "cli",
        "supervisor",
        "maintenance",
        "jobs",
        "library",
        "queue",
        "access",
        "versions",
        "storage",
        "database",
        "data_folder",
        "settings",
        "open_files",
        "logs",
        "errors",
    ),
    "app": (
        "main",
        "routes",
        "resumable",
        "uploads",
        "answers",
        "checks",
        "feeds",
        "openapi",
        "cookies",
        "slow_clients",
        "connections",
        "guard",
        "schemas",
        "deps",
        "rate_limit",
        "turns",
        "slots",
        "prefix",
    ),
}
LIBRARIES = {  # the top-level packages that may import them
    "torch": {"landscape", "worker"},
    "fastapi": {"app"},
    "starlette": {"app"},
    "uvicorn": {"app", "service"},
    "celery": {"service", "worker"},
    "redis": {"app", "service", "worker"},
    "sqlalchemy": {"app", "service", "worker"},
}


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def every_module() -> frozenset[str]:
    return frozenset(module_of(path) for package in PACKAGES for path in files(package))


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of the modules that a module imports, at its top or in a function, for types or to run."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            submodules = {f"{module}.{alias.name}" for alias in node.names} & every_module()
            yield from submodules
            if len(submodules) < len(node.names):
                yield module


def part_of(module: str) -> str:
    """The part of its top-level package that a module belongs to: `landscape.engine.lanes.plan` -> `engine`."""
    return module.split(".")[1] if "." in module else ""


ALL = [path for package in PACKAGES for path in files(package)]


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_package_imports_one_above_or_beside_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = {"app": {"app", "service", "landscape"}, "worker": {"worker", "service", "landscape"}}
    allowed |= {"service": {"service", "landscape"}, "landscape": {"landscape"}}
    used = {name.split(".")[0] for name in imports(path)}
    assert used & set(PACKAGES) <= allowed[package]
    assert not {library for library in used & LIBRARIES.keys() if package not in LIBRARIES[library]}


@pytest.mark.parametrize("package", LAYERS)
def test_every_part_has_its_layer_and_imports_nothing_above_it(package: str) -> None:
    order = LAYERS[package]
    wrong = []
    for path in files(package):
        own = part_of(module_of(path))
        for name in imports(path):
            other = part_of(name)
            within = name.split(".")[0] == package and name in every_module()
            if within and own and other and order.index(own) > order.index(other):
                wrong.append(f"{module_of(path)} -> {name}")
    assert not wrong


def test_no_imports_form_a_circle() -> None:
    graph = {module_of(path): imports(path) & every_module() - {module_of(path)} for path in ALL}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    "module",
    [
        "app.main",
        "service.supervisor.run",
        "service.queue.wakeups",
        "landscape.result",
        "landscape.kinds",
        "service.jobs.spec",
        "service.cli",
    ],
)
def test_it_can_be_imported_without_loading_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
