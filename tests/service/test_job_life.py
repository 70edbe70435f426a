"""A job from upload to result through the real service: submit, follow, fetch."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import landscape as ls
from landscape.data import load
from landscape.models import build
from landscape.models.recognize import from_json
from tests.support.paths import GALLERY
from tests.support.service import Service

GRID = {"alpha": {"min": -0.5, "max": 1.0, "count": 7}, "beta": {"min": -1.0, "max": 0.5, "count": 5}}
SUBSET = {"count": 100, "seed": 3}


@pytest.fixture(scope="module")
def surface(service: Service, shipped: dict[str, Any]) -> dict[str, Any]:
    job_id = service.submit(
        kind="surface", checkpoint=shipped["id"], dataset="digits", subset=SUBSET, grid=GRID, seed=5
    )
    return service.wait(job_id)


def events_of(service: Service, job_id: str, **headers: str) -> list[tuple[str, str | None, Any]]:
    """(event, id, data) of every event until the stream ends."""
    with service.api.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def test_an_uploaded_checkpoint_is_recognized_by_names_and_shapes(shipped: dict[str, Any]) -> None:
    record = next(r for r in json.loads((GALLERY / "records.json").read_text()) if r["name"] == "resnet20-w8-skip")
    assert shipped["architecture"]["label"] == record["label"]
    assert shipped["parameters"] == record["parameters"]
    assert shipped["sha256"] == record["sha256"]


def test_the_service_computes_what_the_library_computes_bit_for_bit(service: Service, surface: dict[str, Any]) -> None:
    record = next(r for r in json.loads((GALLERY / "records.json").read_text()) if r["name"] == "resnet20-w8-skip")
    model = build(from_json(record["architecture"]))
    model.load_state_dict(load_file(GALLERY / record["file"]), strict=False)
    samples = load("digits", "train").subset(**SUBSET)
    grid = ls.Grid(ls.Axis(-0.5, 1.0, 7), ls.Axis(-1.0, 0.5, 5))
    torch.set_num_threads(1)
    expected = ls.surface(model, samples.images, samples.labels, grid=grid, seed=5)
    result = service.result(surface["id"])
    assert result["losses"] == expected.losses.tolist()
    assert result["accuracies"] == expected.accuracies.tolist()
    assert result["standard_errors"] == expected.standard_errors.tolist()


def test_a_result_carries_its_provenance(service: Service, surface: dict[str, Any]) -> None:
    result = service.result(surface["id"])
    provenance = result["provenance"]
    samples = load("digits", "train").subset(**SUBSET)
    assert provenance["data_sha256"] == samples.digest
    assert provenance["samples"] == 100
    assert provenance["samples_in_split"] == 1500
    assert provenance["subset"] == SUBSET
    assert abs(provenance["cosine"]) < 1e-12
    assert provenance["filter_ratio_min"] == pytest.approx(1, abs=1e-9)
    assert provenance["filter_ratio_max"] == pytest.approx(1, abs=1e-9)
    assert provenance["center"]["on_grid"] is False
    assert provenance["center"]["loss"] == pytest.approx(provenance["center"]["independent_loss"], rel=1e-5)
    assert provenance["nan_count"] == provenance["infinite_count"] == 0
    assert provenance["seed"] == 5
    assert provenance["seconds"] > 0
    assert set(provenance["versions"]) >= {"landscape", "torch", "python"}
    assert result["self_check"]["passed"] is True
    assert "7 × 5 points" in result["caption"]
    assert "100 of 1500" in result["caption"]


def test_the_same_request_gives_the_same_bits(service: Service, surface: dict[str, Any]) -> None:
    again = service.wait(service.submit(**surface["spec"]))
    assert again["id"] != surface["id"]
    assert service.result(again["id"])["losses"] == service.result(surface["id"])["losses"]


def test_npz_csv_and_json_files_hold_the_same_numbers(service: Service, surface: dict[str, Any]) -> None:
    result = service.result(surface["id"])
    path = f"/jobs/{surface['id']}/result"
    answer = service.api.get(path, params={"format": "npz"})
    assert answer.headers["content-disposition"].startswith("attachment")
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        for name in ("alphas", "betas", "losses", "accuracies"):
            assert arrays[name].tolist() == result[name]
        assert arrays["losses"].shape == (7, 5)
    rows = service.api.get(path, params={"format": "csv"}).text.splitlines()
    assert rows[0] == "alpha,beta,loss,accuracy,standard_error"
    assert len(rows) == 1 + 35
    for row in rows[1:]:
        alpha, beta, loss, *_ = map(float, row.split(","))
        assert loss == result["losses"][result["alphas"].index(alpha)][result["betas"].index(beta)]
    assert service.api.get(path, params={"format": "json"}).json()["losses"] == result["losses"]


def test_events_hold_every_value_once_and_resume_after_the_last_event_id(
    service: Service, shipped: dict[str, Any]
) -> None:
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], subset={"count": 50}, grid=GRID)
    events = events_of(service, job_id)
    assert events[0][0] == "state"
    assert events[-1] == ("state", None, {"job": job_id, "state": "done", "error": None})
    tiles = [(number, tile) for kind, number, tile in events if kind == "tile"]
    points = [tuple(point) for _, tile in tiles for point in tile["points"]]
    assert sorted(points) == [(i, j) for i in range(7) for j in range(5)]
    losses = service.result(job_id)["losses"]
    for _, tile in tiles:
        assert [losses[i][j] for i, j in tile["points"]] == tile["losses"]
    assert {tile["level"] for _, tile in tiles} == {0, 1}
    middle = tiles[len(tiles) // 2][0]
    rest = [
        number for kind, number, _ in events_of(service, job_id, **{"Last-Event-ID": str(middle)}) if kind == "tile"
    ]
    assert rest == [number for number, _ in tiles if int(number or 0) > int(middle or 0)]


def test_a_result_has_summary_numbers(service: Service, surface: dict[str, Any]) -> None:
    numbers = service.api.get(f"/jobs/{surface['id']}/numbers").json()["items"]
    assert all(number["definition"] and number["unit"] for number in numbers)
    by_name = {number["name"]: number["value"] for number in numbers}
    assert 0 <= by_name["area under 0.1"] <= 1.5 * 1.5
    assert 0 <= by_name["negative curvature"] <= 1
    assert service.api.get(f"/jobs/{surface['id']}/numbers", params={"radius": 0}).status_code == 422


def test_a_slice_has_one_axis(service: Service, shipped: dict[str, Any]) -> None:
    grid = {"alpha": {"min": -1.0, "max": 1.0, "count": 4}}
    job_id = service.submit(kind="slice", checkpoint=shipped["id"], subset={"count": 60}, grid=grid, split="test")
    service.wait(job_id)
    result = service.result(job_id)
    assert result["kind"] == "slice"
    assert result["betas"] == [0.0]
    assert [len(row) for row in result["losses"]] == [1, 1, 1, 1]
    assert result["provenance"]["cosine"] is None
    assert result["provenance"]["center"]["on_grid"] is False


def test_a_cancelled_job_keeps_its_points_and_can_be_retried(service: Service, shipped: dict[str, Any]) -> None:
    grid = {"alpha": {"count": 101}, "beta": {"count": 101}}
    job_id = service.submit(kind="surface", checkpoint=shipped["id"], grid=grid)
    with service.api.stream("GET", f"/jobs/{job_id}/events") as answer:
        for line in answer.iter_lines():
            if line == "event: tile":
                break
    cancelled = service.api.post(f"/jobs/{job_id}/cancel").json()
    assert cancelled["state"] == "cancelled"
    assert service.api.post(f"/jobs/{job_id}/cancel").status_code == 409
    partial = service.result(job_id)
    computed = [(i, j) for i, row in enumerate(partial["losses"]) for j, loss in enumerate(row) if loss is not None]
    assert 0 < len(computed) < 101 * 101
    again = service.api.post(f"/jobs/{job_id}/retry").json()
    assert again["progress"]["done"] >= len(computed)
    resumed = service.result(again["id"])
    assert all(resumed["losses"][i][j] == partial["losses"][i][j] for i, j in computed)
    service.api.post(f"/jobs/{again['id']}/cancel")
    assert service.api.delete(f"/jobs/{again['id']}").status_code == 204
    assert service.api.get(f"/jobs/{again['id']}").status_code == 404


def test_lists_are_paged_and_filtered(service: Service, surface: dict[str, Any]) -> None:
    everything = service.api.get("/jobs", params={"limit": 1}).json()
    assert len(everything["items"]) == 1
    assert everything["total"] > 1
    slices = service.api.get("/jobs", params={"kind": "slice"}).json()["items"]
    assert all(job["kind"] == "slice" for job in slices)
    assert service.api.get("/checkpoints", params={"limit": 200}).json()["total"] >= 1


def test_a_checkpoint_in_use_is_not_deleted_and_results_are_kept_without_it(service: Service) -> None:
    checkpoint = service.upload(GALLERY / "resnet20-w8-plain.safetensors")
    grid = {"alpha": {"count": 201}, "beta": {"count": 201}}
    long = service.submit(kind="surface", checkpoint=checkpoint["id"], grid=grid)
    refused = service.api.delete(f"/checkpoints/{checkpoint['id']}")
    assert refused.status_code == 409
    assert "Cancel it first" in refused.json()["error"]["message"]
    service.api.post(f"/jobs/{long}/cancel")
    short = service.submit(
        kind="slice", checkpoint=checkpoint["id"], grid={"alpha": {"count": 3}}, subset={"count": 20}
    )
    service.wait(short)
    assert service.api.delete(f"/checkpoints/{checkpoint['id']}").status_code == 204
    assert service.result(short)["losses"][0][0] is not None
    assert not (service.data / "store" / checkpoint["sha256"][:2] / checkpoint["sha256"]).exists()


def test_the_openapi_document_names_every_route(service: Service) -> None:
    paths = service.api.get("/openapi.json").json()["paths"]
    assert {
        "/api/v1/checkpoints",
        "/api/v1/jobs",
        "/api/v1/jobs/{job_id}/result",
        "/api/v1/jobs/{job_id}/events",
    } <= set(paths)


def test_the_page_uses_no_other_host_and_its_policy_forbids_it(service: Service) -> None:
    page = httpx.get(f"http://127.0.0.1:{service.port}/", trust_env=False)
    assert page.status_code == 200
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    plotly = httpx.get(f"http://127.0.0.1:{service.port}/static/plotly.min.js", trust_env=False)
    assert len(plotly.content) > 1_000_000
