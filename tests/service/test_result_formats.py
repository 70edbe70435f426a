"""Results from the service in every file format, and as the library's Result."""

from typing import Any

import pytest

from landscape.formats import FORMATS
from landscape.result import Result
from tests.support.service import Service

GRID = {"alpha": {"min": -0.5, "max": 1.0, "count": 5}, "beta": {"min": -1.0, "max": 0.5, "count": 3}}


@pytest.fixture(scope="module")
def surface(service: Service, shipped: dict[str, Any]) -> str:
    subset = {"count": 40, "seed": 3}
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], dataset="digits", subset=subset, grid=GRID)
    service.wait(job_id)
    return job_id


@pytest.mark.parametrize("ending", FORMATS)
def test_a_result_comes_as_a_file_of_every_format(service: Service, surface: str, ending: str) -> None:
    answer = service.api.get(f"/jobs/{surface}/result", params={"format": ending})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == FORMATS[ending].media.split(";")[0]
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-disposition"].endswith(f"{surface[:8]}.{ending}")
    if FORMATS[ending].reads and ending != "json":
        content = Result.from_json(service.result(surface))
        assert answer.content == content.to_bytes(ending) or ending in ("h5", "npz")


def test_a_result_of_the_service_has_the_type_of_a_local_one(service: Service, surface: str) -> None:
    answer = service.result(surface)
    result = Result.from_json(answer)
    assert all(check.passed for check in result.checks)
    assert {**answer, **result.to_json()} == answer


def test_an_unknown_format_height_or_array_is_refused_with_the_known_ones(service: Service, surface: str) -> None:
    for query, known in (
        ({"format": "xlsx"}, "json, npz, csv"),
        ({"format": "vtp", "height": "cubic"}, "paper, linear, log"),
        ({"format": "svg", "array": "lambda_min"}, "losses, accuracies"),
    ):
        answer = service.api.get(f"/jobs/{surface}/result", params=query)
        assert answer.status_code == 422
        assert known in answer.json()["error"]["message"]


def test_the_openapi_document_lists_the_formats(service: Service) -> None:
    described = service.api.get("/openapi.json").json()
    parameters = described["paths"]["/api/v1/jobs/{job_id}/result"]["get"]["parameters"]
    [found] = [one for one in parameters if one["name"] == "format"]
    assert list(FORMATS) in (found.get("enum"), found["schema"].get("enum"))
