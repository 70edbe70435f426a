"""The two distributions, built as wheels and source distributions: their contents, installation and dependencies."""

import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.wheels import FOLDERS, LIBRARY, SERVICE, Built, run
from tests.support.paths import ROOT

TOP_LEVEL = {LIBRARY: {"landscape"}, SERVICE: {"app", "frontend", "service", "worker"}}
PAGE = {".html", ".css", ".js", ".svg"}


def held(wheel: Path) -> set[str]:
    """Paths inside a wheel, without the metadata of the distribution."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def described(wheel: Path, file: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(f".dist-info/{file}")]
        return archive.read(name).decode()


def project(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / FOLDERS[name] / "pyproject.toml").read_text())["project"]
    return table


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_installs_its_own_top_level_names_and_no_other(built: Built, name: str, tmp_path: Path) -> None:
    options = ["-q", "--no-deps", "--no-compile", "--disable-pip-version-check", "--target", str(tmp_path)]
    run(sys.executable, "-m", "pip", "install", *options, str(built.wheels[name]), cwd=tmp_path)
    top = {path.name for path in tmp_path.iterdir() if path.suffix != ".dist-info"}
    assert top - {"bin"} == TOP_LEVEL[name]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_source_distribution_makes_the_same_wheel_as_the_repository(built: Built, name: str) -> None:
    assert held(built.wheels_of_sdists[name]) == held(built.wheels[name])


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_holds_every_python_file_of_its_folders(built: Built, name: str) -> None:
    wanted = {str(path.relative_to(ROOT)) for top in TOP_LEVEL[name] for path in (ROOT / top).rglob("*.py")}
    assert {path for path in held(built.wheels[name]) if path.endswith(".py")} == wanted


@pytest.mark.parametrize("made", [lambda built: built.wheels, lambda built: built.wheels_of_sdists])
def test_the_wheels_hold_the_page_the_migrations_and_the_gallery(
    built: Built, made: Callable[[Built], dict[str, Path]]
) -> None:
    page = {path for path in (ROOT / "frontend").rglob("*") if path.suffix in PAGE or path.parent.name == "vendor"}
    wanted = {*page, *(ROOT / "service/database/migrations/versions").glob("*.py")}
    assert {str(path.relative_to(ROOT)) for path in wanted} <= held(made(built)[SERVICE])
    gallery = {str(path.relative_to(ROOT)) for path in (ROOT / "landscape/gallery").glob("*.safetensors")}
    assert gallery
    assert gallery <= held(made(built)[LIBRARY])


def test_the_source_distribution_of_the_library_holds_the_source_of_its_native_module(built: Built) -> None:
    with tarfile.open(built.sdists[LIBRARY]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    native = ROOT / "landscape/engine/native"
    assert {str(path.relative_to(ROOT)) for path in [*native.glob("*.cpp"), *native.glob("*.inc")]} <= names


def test_the_command_is_the_librarys_and_the_service_adds_to_it(built: Built) -> None:
    library = described(built.wheels[LIBRARY], "entry_points.txt")
    service = described(built.wheels[SERVICE], "entry_points.txt")
    assert library.split() == ["[console_scripts]", "landscape", "=", "landscape.cli.main:main"]
    assert service.split() == ["[landscape.commands]", "service", "=", "service.cli:register"]


def test_both_have_the_version_of_the_package_and_the_service_requires_that_one() -> None:
    import landscape

    library, service = project(LIBRARY), project(SERVICE)
    assert library["version"] == service["version"] == landscape.__version__
    [required] = [one for one in service["dependencies"] if one.startswith("loss-atlas[")]
    assert required.endswith(f"=={landscape.__version__}")


def test_what_the_service_requires_is_an_extra_of_the_library_without_torch() -> None:
    extras = project(LIBRARY)["optional-dependencies"]
    assert {"fastapi", "uvicorn", "celery", "redis", "sqlalchemy"} <= set(extras["service"])
    assert "torch" not in extras["service"]
    assert project(LIBRARY)["dependencies"] == ["numpy"]
