"""The client held against the service's own OpenAPI document: routes, requests, answers, words."""

import dataclasses
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

import landscape as ls
from landscape.client import models, options
from tests.support.paths import GALLERY
from tests.support.service import Service

NOT_NEEDED = {
    ("PUT", "/api/checkpoints"): "for curl; the client resumes",
    ("PUT", "/api/datasets"): "for curl; the client resumes",
    ("OPTIONS", "/api/uploads"): "the client knows this service's tus",
    ("POST", "/api/uploads/{upload_id}"): "for clients that can only POST",
    ("DELETE", "/api/uploads/{upload_id}"): "an upload nobody goes on with is forgotten by itself",
    ("GET", "/api/events"): "for the page, which follows many jobs at once",
    ("GET", "/api/gallery"): "for the page",
    ("GET", "/api/store/{sha256}"): "for workers elsewhere",
    ("HEAD", "/api/store/{sha256}"): "for workers elsewhere",
    ("PUT", "/api/store/{sha256}"): "for workers elsewhere",
    ("GET", "/metrics"): "for Prometheus",
}
OF_THE_PAGE = re.compile(r"/api/(session|shared|tokens)\b")  # logging in, and letting others in


@pytest.fixture(scope="module")
def document(guarded: Service) -> dict[str, Any]:
    found: dict[str, Any] = guarded.api.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def asked(guarded: Service, token: str, tmp_path_factory: pytest.TempPathFactory) -> list[httpx.Request]:
    """Every request of a life in which every method of the client is called."""
    seen: list[httpx.Request] = []
    with ls.Client(f"http://127.0.0.1:{guarded.port}", token) as client:
        client._http.event_hooks["request"].append(seen.append)
        live(client, tmp_path_factory.mktemp("openapi"))
    return seen


def live(client: ls.Client, folder: Path) -> None:
    import numpy as np

    client.health(), client.version()
    checkpoint = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="openapi", progress=False)
    client.checkpoint(checkpoint.id), client.checkpoints(limit=3), client.choose(checkpoint.id, 0)
    np.savez(folder / "tiny.npz", images=np.zeros((4, 8, 8, 1), np.uint8), labels=np.arange(4))
    dataset = client.upload_dataset(folder / "tiny.npz", name="openapi", progress=False)
    client.dataset("openapi"), client.datasets(), client.delete_dataset(dataset.id or "")
    for kind, words in EVERY_WORD.items():
        submit = getattr(client, kind)
        others = {"interpolation": [checkpoint], "plane": [checkpoint] * 2}.get(kind, [])
        center: Any = [checkpoint] * 4 if kind == "trajectory" else checkpoint
        grid = ls.Grid.line(3) if kind in ("slice", "interpolation") else ls.Grid.square(2)
        job = submit(center, *others, grid=grid, **words)
        if kind != "slice":
            job.delete() if job.refresh().info.state in models.TERMINAL else job.cancel().delete()
    job = client.slice(checkpoint, grid=ls.Grid.line(3), subset=20)
    list(job.follow()), job.wait(progress=False), job.fetch(), job.numbers(), job.log(), job.share(days=1)
    client.jobs(state="done", kind="slice", limit=2), job.revoke(job.links()[0].id)
    big = client.surface(checkpoint, grid=ls.Grid.square(201)).cancel()
    again = big.retry()
    client.job(again.id).cancel().delete()
    big.delete(), job.delete()
    other = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="to delete", progress=False)
    client.delete_checkpoint(other.id)


_CHOICES = {
    "architecture": "ResNet-20, width 8, with shortcuts",
    "dataset": "digits",
    "split": "test",
    "subset": {"count": 20, "seed": 1},
    "loss": "mse",
    "weight_decay": 0.1,
    "batch_norm": "frozen",
    "precision": "float32",
    "name": "openapi",
}
_MORE = {"label_smoothing": 0.0, "calibration": 64}
_DRAWN = {"seed": 2, "normalization": "layer", "biases": "random", "orthogonality": "overall", "drawn": "authors"}
EVERY_WORD: dict[str, dict[str, Any]] = {
    "surface": {**_CHOICES, **_DRAWN, "also": "train", "compare_batch_norm": ["batch"]},
    "slice": {**_CHOICES, **_DRAWN, **_MORE, "repeats": 2, "directions": "random"},
    "curvature": {**_CHOICES, **_DRAWN, "over": "all", "steps": 5},
    "interpolation": _CHOICES,
    "plane": _CHOICES,
    "trajectory": _CHOICES,
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
    raise AssertionError(f"the document knows no {request.method} {request.url.path}")


def errors(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    validator = Draft202012Validator({**schema, "components": document["components"]})
    return [error.message for error in validator.iter_errors(value)]


def test_every_request_of_the_client_is_one_the_document_describes(
    asked: list[httpx.Request], document: dict[str, Any]
) -> None:
    assert len(asked) > 40
    for request in asked:
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


def test_every_route_is_covered_or_listed_as_not_needed(asked: list[httpx.Request], document: dict[str, Any]) -> None:
    covered = {operation_of(request, document)[:2] for request in asked}
    every = {(method, path) for method, path, _ in operations(document)}
    left = {one for one in every - covered - NOT_NEEDED.keys() if not OF_THE_PAGE.search(one[1])}
    assert not left, "neither covered nor listed as not needed"
    assert not NOT_NEEDED.keys() & covered, "listed as not needed, though the client uses them"


def test_every_event_of_a_job_is_one_the_document_describes(
    guarded: Service, token: str, document: dict[str, Any]
) -> None:
    with ls.Client(f"http://127.0.0.1:{guarded.port}", token) as client:
        checkpoint = client.upload(GALLERY / "resnet20-w8-skip.safetensors", name="events", progress=False)
        job = client.surface(checkpoint, grid=ls.Grid.square(3), subset=20, batch_norm="frozen", also="train")
        stream = client._http.get(f"/api/jobs/{job.id}/events", timeout=60).text
    content = document["paths"]["/api/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
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


@pytest.mark.parametrize("name", ["Checkpoint", "Dataset", "JobInfo", "Progress", "Number", "LogEntry", "Link"])
def test_what_the_client_reads_of_an_answer_is_always_there(name: str, document: dict[str, Any]) -> None:
    theirs = {"Checkpoint": "CheckpointOut", "Dataset": "DatasetOut", "JobInfo": "JobOut", "Link": "LinkOut"}.get(
        name, name
    )
    schema = document["components"]["schemas"][theirs]
    ours = {field.name for field in dataclasses.fields(getattr(models, name))}
    assert ours <= set(schema["required"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Surface", options.Repeatable),
        ("Slice", options.Repeatable),
        ("Curvature", options.Curved),
        ("Interpolation", options.Choices),
        ("Plane", options.Choices),
        ("Trajectory", options.Choices),
    ],
)
def test_the_words_of_a_request_are_the_services(kind: str, words: Any, document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"][f"{kind}Spec"]["properties"]
    ours = typing.get_type_hints(words)
    assert set(ours) == set(schema) - {"kind", "grid", "checkpoint", "end", "second", "third", "epochs"}
    for name, hint in ours.items():
        values = allowed(schema[name], document)
        if values is not None:
            assert set(typing.get_args(hint)) == values, name


def allowed(schema: dict[str, Any], document: dict[str, Any]) -> set[str] | None:
    """The words a field takes, where it takes a fixed set of them."""
    branches = schema.get("anyOf", [schema])
    values = {value for branch in branches for value in branch.get("enum", [])}
    return values or None


def test_the_tests_say_every_word_once() -> None:
    """Of every kind some word that only it knows; together all words, so that each is validated above."""
    said = {word for words in EVERY_WORD.values() for word in words}
    known = {word for one in (options.Repeatable, options.Curved) for word in typing.get_type_hints(one)}
    assert said == known
