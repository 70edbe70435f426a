"""A job is refined through the real service: what was computed is reused bit for bit, and only the rest is computed."""

from typing import Any

import numpy as np
import pytest

import landscape as ls
from tests.support.service import Service

GRID = {"alpha": {"min": -0.5, "max": 1.0, "count": 4}, "beta": {"min": -1.0, "max": 0.5, "count": 3}}
SUBSET = {"count": 60, "seed": 1}


@pytest.fixture(scope="module")
def coarse(service: Service, shipped: dict[str, Any]) -> dict[str, Any]:
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], subset=SUBSET, grid=GRID, seed=2)
    return service.wait(job_id)


def refine(service: Service, job: dict[str, Any], **refinement: Any) -> dict[str, Any]:
    answer = service.api.post(f"/jobs/{job['id']}/refine", json=refinement)
    assert answer.status_code == 202, answer.text
    assert answer.json()["id"] != job["id"]
    return dict(answer.json())


def grid_of(job: dict[str, Any]) -> ls.Grid:
    return ls.Grid(*(ls.Axis(**job["spec"]["grid"][name]) for name in ("alpha", "beta")))


def test_a_finer_grid_is_the_one_computed_at_once_bit_for_bit(service: Service, coarse: dict[str, Any]) -> None:
    submitted = refine(service, coarse, factor=2)
    assert submitted["progress"]["done"] >= 12
    assert submitted["progress"]["total"] == 7 * 5
    finer = service.result(service.wait(submitted["id"])["id"])
    at_once = service.result(service.wait(service.submit(**submitted["spec"]))["id"])
    for name in ("losses", "accuracies", "standard_errors", "alphas", "betas"):
        assert finer[name] == at_once[name]
    assert np.array(finer["losses"])[::2, ::2].tolist() == service.result(coarse["id"])["losses"]
    note = {"job": coarse["id"], "points": 12, "coordinate_difference": 0.0, "exact": True}
    assert finer["provenance"]["reused"] == note
    assert "reused" not in at_once["provenance"]
    assert finer["provenance"]["center"] == at_once["provenance"]["center"]
    assert finer["self_check"]["passed"] is True
    log = [line["text"] for line in service.api.get(f"/jobs/{submitted['id']}/log").json()["items"]]
    assert f"Starts from 12 points of 35 of job {coarse['id']}." in log


def test_a_wider_range_and_then_a_region_of_it(service: Service, coarse: dict[str, Any]) -> None:
    wider = service.wait(refine(service, coarse, alpha={"min": -1.0, "max": 1.0})["id"])
    assert grid_of(wider).shape == (5, 3)
    result = service.result(wider["id"])
    assert result["losses"][1:] == service.result(coarse["id"])["losses"]
    region = refine(service, wider, factor=4, alpha={"min": 0, "max": 0.5}, beta={"min": -0.25, "max": 0.5})
    region = service.wait(region["id"])
    assert grid_of(region) == ls.Grid(ls.Axis(0.0, 0.5, 5), ls.Axis(-0.25, 0.5, 5))
    zoomed = service.result(region["id"])
    assert zoomed["provenance"]["reused"]["points"] == 2 * 2
    assert np.array(zoomed["losses"])[::4, ::4][:, 1:].tolist() == [[row[-1]] for row in result["losses"][2:4]]


def test_more_seeds_are_the_mean_computed_at_once(service: Service, coarse: dict[str, Any]) -> None:
    found = service.wait(refine(service, coarse, repeats=3)["id"])
    again = service.wait(service.submit(**found["spec"]))
    more, at_once = (ls.Result.from_json(service.result(one["id"])) for one in (found, again))
    assert more.columns == at_once.columns
    for name in more.columns:
        assert more.array(name) == pytest.approx(at_once.array(name), rel=1e-12)
    assert more.provenance["repeated"] == at_once.provenance["repeated"]
    assert (more.provenance["reused"]["points"], more.provenance["reused"]["seeds"]) == (12, 1)
    fourth = service.wait(refine(service, found, repeats=4)["id"])
    last = ls.Result.from_json(service.result(fourth["id"]))
    assert last.provenance["repeated"]["seeds"] == [2, 3, 4, 5]
    assert (last.array("lowest_losses") <= more.array("lowest_losses")).all()


def test_an_answer_that_was_lost_is_sent_again_by_its_key(service: Service, coarse: dict[str, Any]) -> None:
    key = {"Idempotency-Key": "0123456789abcdef0123456789abcdef"}
    answers = [
        service.api.post(f"/jobs/{coarse['id']}/refine", json={"factor": 3}, headers=key).json()["id"] for _ in range(2)
    ]
    assert answers == [key["Idempotency-Key"]] * 2
    other = service.api.post(f"/jobs/{coarse['id']}/refine", json={"factor": 4}, headers=key)
    assert other.status_code == 409
    service.wait(answers[0])


@pytest.mark.parametrize(
    ("refinement", "field", "sentence"),
    [
        ({}, None, "adds nothing"),
        ({"factor": 0}, "factor", "greater than or equal to 1"),
        ({"alpha": {"min": 1, "max": 0}}, None, "empty or reversed"),
        ({"factor": 64, "alpha": {"min": -1e6, "max": 1e6}}, "count", "less than or equal to 100001"),
        ({"seed": 3}, "seed", "not permitted"),
    ],
)
def test_an_impossible_refinement_is_refused_with_its_reason(
    service: Service, coarse: dict[str, Any], refinement: dict[str, Any], field: str | None, sentence: str
) -> None:
    answer = service.api.post(f"/jobs/{coarse['id']}/refine", json=refinement)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert sentence in error["message"]
    assert (error.get("field") or "").split(".")[-1] == (field or "")
