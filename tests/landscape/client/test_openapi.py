"""The client compared with the service's OpenAPI document: routes, requests, responses, options."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

import landscape as ls
from landscape.client import models
from landscape.kinds import KINDS
from tests.support.paths import GALLERY
from tests.support.service import Service

NOT_NEEDED = {
    ("PUT", "/api/v1/checkpoints"): "for curl; the client uploads resumably",
    ("PUT", "/api/v1/datasets"): "for curl; the client uploads resumably",
    ("OPTIONS", "/api/v1/uploads"): "the client knows which tus extensions the service has",
    ("POST", "/api/v1/uploads/{upload_id}"): "for clients that can only POST",
    ("DELETE", "/api/v1/uploads/{upload_id}"): "an abandoned upload expires",
    ("GET", "/api/v1/events"): "for the page, which follows many jobs at once",
    ("GET", "/api/v1/gallery"): "for the page",
    ("GET", "/api/v1/store/{sha256}"): "for workers on other machines",
    ("HEAD", "/api/v1/store/{sha256}"): "for workers on other machines",
    ("PUT", "/api/v1/store/{sha256}"): "for workers on other machines",
    ("GET", "/metrics"): "for Prometheus",
}
FOR_THE_PAGE = re.compile(r"/api/v1/(session|shared|tokens)\b")  # sessions, share links and tokens, for the page


@pytest.fixture(scope="module")
def document(guarded: Service) -> dict[str, Any]:
    found: dict[str, Any] = guarded.api.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def requests(guarded: Service, token: str, tmp_path_factory: pytest.TempPathFactory) -> list[httpx.Request]:
    """The requests that the client sends when every one of its methods is called."""
    sent: list[httpx.Request] = []
    with ls.Client(f"http://127.0.0.1:{guarded.port}", token) as client:
        client._http.event_hooks["request"].append(sent.append)
        call_every_method(client, tmp_path_factory.mktemp("openapi"))
    return sent


def call_every_method(client: ls.Client, folder: Path) -> None:
    import numpy as np

    client.health(), client.version()
    checkpoint = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="openapi", progress=False)
    client.checkpoint(checkpoint.id), client.checkpoints(limit=3), client.choose(checkpoint.id, 0)
    np.savez(folder / "tiny.npz", images=np.zeros((4, 8, 8, 1), np.uint8), labels=np.arange(4))
    dataset = client.upload_dataset(folder / "tiny.npz", name="openapi", progress=False)
    client.dataset("openapi"), client.datasets(), client.delete_dataset(dataset.id or "")
    for kind, chosen in EVERY_OPTION.items():
        submit = getattr(client, kind)
        others = {"interpolation": [checkpoint], "plane": [checkpoint] * 2}.get(kind, [])
        center: Any = [checkpoint] * 4 if kind == "trajectory" else checkpoint
        grid = ls.Grid.line(3) if kind in ("slice", "interpolation") else ls.Grid.square(2)
        job = submit(center, *others, grid=grid, **chosen)
        if kind != "slice":
            job.delete() if job.refresh().info.state in models.TERMINAL else job.cancel().delete()
    job = client.slice(checkpoint, grid=ls.Grid.line(3), subset=20)
    list(job.follow()), job.wait(progress=False), job.fetch(), job.numbers(), job.log(), job.share(days=1)
    more = job.refine(2, alpha=(-0.5, 1), repeats=2)
    more.wait(progress=False), more.delete()
    client.jobs(state="done", kind="slice", limit=2), job.revoke(job.links()[0].id)
    big = client.surface(checkpoint, grid=ls.Grid.square(201)).cancel()
    again = big.retry()
    client.job(again.id).cancel().delete()
    big.delete(), job.delete()
    other = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="to delete", progress=False)
    client.delete_checkpoint(other.id)


_COMMON = {
    "architecture": "ResNet-20, width 8, with shortcuts",
    "dataset": "digits",
    "split": "test",
    "batch": 64,
    "subset": {"count": 20, "seed": 1},
    "loss": "mse",
    "weight_decay": 0.1,
    "batch_norm": "frozen",
    "precision": "float32",
    "name": "openapi",
}
_MORE = {"label_smoothing": 0.0, "calibration": 64}
_DRAWN = {
    **{"seed": 2, "normalization": "layer", "biases": "random", "orthogonality": "overall", "drawn": "authors"},
    "filters": "axes",
}
EVERY_OPTION: dict[str, dict[str, Any]] = {
    "surface": {**_COMMON, **_DRAWN, "also": "train", "compare_batch_norm": ["batch"]},
    "slice": {**_COMMON, **_DRAWN, **_MORE, "repeats": 2, "directions": "random"},
    "curvature": {**_COMMON, **_DRAWN, "over": "all", "steps": 5},
    "interpolation": _COMMON,
    "plane": _COMMON,
    "trajectory": _COMMON,
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield method.upper(), path, operation


def operation_of(request: httpx.Request, document: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    for method, path, operation in operations(document):
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        if method == request.method and re.fullmatch(pattern, request.url.path):
            return method, path, operation
    raise AssertionError(f"the document does not describe {request.method} {request.url.path}")


def errors(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    validator = Draft202012Validator({**schema, "components": document["components"]})
    return [error.message for error in validator.iter_errors(value)]


def test_every_request_of_the_client_is_described_in_the_document(
    requests: list[httpx.Request], document: dict[str, Any]
) -> None:
    assert len(requests) > 40
    for request in requests:
        method, path, operation = operation_of(request, document)
        parameters = {one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"}
        assert set(request.url.params) <= set(parameters), (method, path)
        for name, text in request.url.params.items():
            value = (
                int(text) if re.fullmatch(r"-?\d+", text) else float(text) if re.fullmatch(r"[\d.]+", text) else text
            )
            assert errors(value, parameters[name]["schema"], document) == [], (path, name, text)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            assert errors(json.loads(request.content), body["schema"], document) == [], (path, request.content)


def test_the_client_covers_every_route_that_is_not_listed_as_not_needed(
    requests: list[httpx.Request], document: dict[str, Any]
) -> None:
    covered = {operation_of(request, document)[:2] for request in requests}
    every = {(method, path) for method, path, _ in operations(document)}
    left = {one for one in every - covered - NOT_NEEDED.keys() if not FOR_THE_PAGE.search(one[1])}
    assert not left, "neither covered nor listed as not needed"
    assert not NOT_NEEDED.keys() & covered, "listed as not needed, though the client uses them"


def test_every_event_of_a_job_is_described_in_the_document(
    guarded: Service, token: str, document: dict[str, Any]
) -> None:
    with ls.Client(f"http://127.0.0.1:{guarded.port}", token) as client:
        checkpoint = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="events", progress=False)
        job = client.surface(checkpoint, grid=ls.Grid.square(3), subset=20, batch_norm="frozen", also="train")
        stream = client._http.get(f"/api/v1/jobs/{job.id}/events", timeout=60).text
    content = document["paths"]["/api/v1/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    seen = set()
    for block in filter(lambda block: "event:" in block, stream.split("\n\n")):
        event = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        assert errors(event, content["text/event-stream"]["itemSchema"], document) == []
        variants = content["text/event-stream"]["itemSchema"]["oneOf"]
        fields = next(one["properties"] for one in variants if one["properties"]["event"]["const"] == event["event"])
        assert errors(json.loads(event["data"]), fields["data"]["contentSchema"], document) == []
        model = document["components"]["schemas"][fields["data"]["contentSchema"]["$ref"].rsplit("/", 1)[1]]
        assert set(json.loads(event["data"])) == set(model["properties"])
        seen.add(event["event"])
    assert seen == {"state", "progress", "tile"}


@pytest.mark.parametrize(
    "name", ["Checkpoint", "Dataset", "JobInfo", "Progress", "Preparing", "Number", "LogEntry", "Link"]
)
def test_the_fields_that_the_client_reads_are_required_in_responses(name: str, document: dict[str, Any]) -> None:
    theirs = {"Checkpoint": "CheckpointOut", "Dataset": "DatasetOut", "JobInfo": "JobOut", "Link": "LinkOut"}.get(
        name, name
    )
    schema = document["components"]["schemas"][theirs]
    ours = {field.name for field in dataclasses.fields(getattr(models, name))}
    assert ours <= set(schema["required"])


def test_the_tests_use_every_option() -> None:
    """So that each is validated above."""
    used = {name for chosen in EVERY_OPTION.values() for name in chosen}
    known = {option.name for kind in KINDS.values() for option in kind.job_options}
    assert used == known
