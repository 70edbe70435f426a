"""The bills of materials are valid CycloneDX and name what the images hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import images, lock, sbom
from tests.compose.test_locks import locked


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sbom")
    sbom.main(folder)
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_they_are_valid_by_the_schema(bills: dict[str, dict[str, Any]]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert sorted(bills) == ["api", "lab", "worker"]
    for bill in bills.values():
        assert (error := validator.validate_str(json.dumps(bill))) is None, str(error)[:200]
    assert validator.validate_str('{"bomFormat": "CycloneDX"}') is not None


def test_every_package_of_an_image_is_named_with_its_version_and_hashes(bills: dict[str, dict[str, Any]]) -> None:
    for subject, locks in sbom.LOCKS.items():
        named = {one["name"]: one for one in bills[subject]["components"] if one["purl"].startswith("pkg:pypi/")}
        expected = {name: pin for each in locks for name, pin in locked(each).items()}
        assert {name: (one["version"], len(one["hashes"])) for name, one in named.items()} == expected
        assert named["numpy"]["purl"] == f"pkg:pypi/numpy@{lock.constraints()['numpy']}"


def test_libraries_of_the_page_and_base_images_are_named(bills: dict[str, dict[str, Any]]) -> None:
    files = {path.name for path in Path(lock.ROOT / "frontend/vendor").glob("*.js")}
    page = {one["name"]: one["version"] for one in bills["api"]["components"] if one["purl"].startswith("pkg:npm/")}
    assert len(page) == len(files) + 1
    assert set(page) == {"tus-js-client", "plotly.js"}
    held = {one["name"] for bill in bills.values() for one in bill["components"] if one["type"] == "container"}
    assert held == {pin.name for pin in images.pins(lock.ROOT)}
