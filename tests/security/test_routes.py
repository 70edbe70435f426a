"""Every route of the OpenAPI document, under both prefixes, with missing, bad and other users' tokens: all are refused.

The requests are real: with the owner's token each of them works (the last test), so a refusal is due to the token.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import httpx
import pytest

from app.openapi import MEANING
from tests.security.conftest import LARGE, TUS, Lab, User, furnished
from tests.support.servers import new_database

OPEN = {
    ("get", "/api/v1/health"),
    ("get", "/api/v1/version"),
    ("post", "/api/v1/session"),
    ("delete", "/api/v1/session"),
    ("post", "/api/v1/shared"),
    ("options", "/api/v1/uploads"),
}
PIECE = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
DIGEST = "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"  # of b"3"


@dataclass
class Ask:
    """A request that works with the right token."""

    scope: str
    status: int
    own: str | None = None  # the part of the request that belongs to one user
    path: dict[str, str] = field(default_factory=dict)  # the user's ids for path parameters with other names
    more: Callable[[User], dict[str, Any]] = lambda user: {}


def a_job(user: User) -> dict[str, Any]:
    return {"json": {"kind": "surface", "checkpoint": user.has["checkpoint_id"], "grid": LARGE}}


ASKS = {
    ("get", "/api/v1/session"): Ask("link", 200),
    ("get", "/api/v1/tokens"): Ask("admin", 200),
    ("post", "/api/v1/tokens"): Ask("admin", 201, more=lambda _: {"json": {"user": "eve", "scopes": ["read"]}}),
    ("delete", "/api/v1/tokens/{token_id}"): Ask("admin", 204),
    ("get", "/api/v1/checkpoints"): Ask("read", 200),
    ("put", "/api/v1/checkpoints"): Ask("submit", 201, more=lambda _: {"params": {"name": "x"}, "content": b"3"}),
    ("get", "/api/v1/checkpoints/{checkpoint_id}"): Ask("read", 200, "checkpoint_id"),
    ("post", "/api/v1/checkpoints/{checkpoint_id}/architecture"): Ask(
        "submit", 200, "checkpoint_id", more=lambda _: {"json": {"index": 0}}
    ),
    ("get", "/api/v1/datasets"): Ask("read", 200),
    ("put", "/api/v1/datasets"): Ask("submit", 201, more=lambda _: {"params": {"name": "y"}, "content": b"3"}),
    ("get", "/api/v1/datasets/{name}"): Ask("read", 200, "dataset_id", {"name": "dataset_id"}),
    ("post", "/api/v1/jobs"): Ask("submit", 202, "body", more=a_job),
    ("get", "/api/v1/jobs"): Ask("read", 200),
    ("get", "/api/v1/jobs/{job_id}"): Ask("link", 200, "job_id"),
    ("get", "/api/v1/jobs/{job_id}/log"): Ask("link", 200, "job_id"),
    ("get", "/api/v1/jobs/{job_id}/result"): Ask("link", 200, "job_id"),
    ("get", "/api/v1/jobs/{job_id}/numbers"): Ask("link", 200, "job_id"),
    ("get", "/api/v1/jobs/{job_id}/events"): Ask("link", 200, "job_id"),
    ("get", "/api/v1/events"): Ask("read", 200, "query", more=lambda user: {"params": {"jobs": user.has["job_id"]}}),
    ("post", "/api/v1/jobs/{job_id}/share"): Ask("submit", 201, "job_id", more=lambda _: {"json": {"days": 1}}),
    ("get", "/api/v1/jobs/{job_id}/share"): Ask("submit", 200, "job_id"),
    ("post", "/api/v1/jobs/{job_id}/cancel"): Ask("submit", 200, "job_id", {"job_id": "running"}),
    ("post", "/api/v1/jobs/{job_id}/retry"): Ask("submit", 202, "job_id", {"job_id": "stopped"}),
    ("post", "/api/v1/jobs/{job_id}/refine"): Ask("submit", 202, "job_id", more=lambda _: {"json": {"factor": 2}}),
    ("get", "/api/v1/gallery"): Ask("read", 200),
    ("post", "/api/v1/uploads"): Ask("submit", 201, more=lambda _: {"headers": {**TUS, "Upload-Length": "5"}}),
    ("head", "/api/v1/uploads/{upload_id}"): Ask("submit", 200, "upload_id", more=lambda _: {"headers": TUS}),
    ("patch", "/api/v1/uploads/{upload_id}"): Ask(
        "submit", 204, "upload_id", more=lambda _: {"headers": PIECE, "content": b"123"}
    ),
    ("post", "/api/v1/uploads/{upload_id}"): Ask(
        "submit",
        204,
        "upload_id",
        more=lambda _: {
            "headers": {**PIECE, "Upload-Offset": "3", "X-HTTP-Method-Override": "PATCH"},
            "content": b"4",
        },
    ),
    ("put", "/api/v1/store/{sha256}"): Ask("work", 201, more=lambda _: {"content": b"3"}),
    ("head", "/api/v1/store/{sha256}"): Ask("work", 200),
    ("get", "/api/v1/store/{sha256}"): Ask("work", 200),
    ("get", "/metrics"): Ask("read", 200),
    # deletions come last
    ("delete", "/api/v1/uploads/{upload_id}"): Ask("submit", 204, "upload_id", more=lambda _: {"headers": TUS}),
    ("delete", "/api/v1/jobs/{job_id}/share/{link_id}"): Ask("submit", 204, "job_id"),
    ("delete", "/api/v1/jobs/{job_id}"): Ask("submit", 204, "job_id"),
    ("delete", "/api/v1/checkpoints/{checkpoint_id}"): Ask("submit", 204, "checkpoint_id"),
    ("delete", "/api/v1/datasets/{dataset_id}"): Ask("submit", 204, "dataset_id"),
}
ERROR_BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
WRONG = {401, 429}  # unauthorized; and so often that the address must wait
PREFIXES = ("/api/v1", "/api")  # of the document, and its alias
Operation = tuple[str, str]
BAD_TOKENS = {
    "none": None,
    "empty": "Bearer",
    "no scheme": "ll_0123456789012345678901234567890123456789012",
    "another scheme": "Basic YWRhOmFkYQ==",
    "wrong": "Bearer ll_0123456789012345678901234567890123456789012",
    "odd bytes": "Bearer \xff'\" or 1=1 --",
    "very long": "Bearer " + "a" * 6000,
    "a digest": f"Bearer {DIGEST}",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for all tests; the last one consumes its resources."""
    on = {"database": new_database(request.getfixturevalue("postgresql_url"))} if request.param == "postgresql" else {}
    with furnished(tmp_path_factory.mktemp("routes"), **on) as lab:
        yield lab


@pytest.fixture(scope="module")
def document(lab: Lab) -> dict[str, Any]:
    """The OpenAPI document; under either prefix it describes /api/v1 alone."""
    with lab.client() as anyone:
        read, same = (anyone.get(f"{prefix}/openapi.json").json() for prefix in PREFIXES)
    assert read == same
    return dict(read)


@pytest.fixture(scope="module")
def counted(lab: Lab) -> Iterator[dict[str, int]]:
    """The number of refused requests; printed for docs/reliability.md."""
    counts = {"requests": 0, "unauthorised successes": 0}
    yield counts
    on = "PostgreSQL" if "database" in lab.service.settings else "SQLite"
    print(f"\nunauthorised successes: {counts['unauthorised successes']} of {counts['requests']} requests ({on})")


def ask(lab: Lab, operation: Operation, client: httpx.Client, about: User, prefix: str) -> int:
    """Status code of this request for a user's resources, made under this prefix."""
    method, path = operation
    own = ASKS[operation]
    places = {**about.has, **{name: about.has[other] for name, other in own.path.items()}, "sha256": DIGEST}
    places.setdefault("token_id", "0" * 32)
    address = path.format(**places).replace("/api/v1", prefix, 1)
    return client.request(method.upper(), address, **own.more(about)).status_code


def test_every_route_is_listed_here_as_open_or_as_protected(document: dict[str, Any]) -> None:
    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert set(ASKS) | OPEN == operations
    assert not set(ASKS) & OPEN


def test_the_document_declares_security_for_the_protected_routes(document: dict[str, Any]) -> None:
    secured = {(m, p) for p, item in document["paths"].items() for m, one in item.items() if one.get("security")}
    assert secured == set(ASKS)
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    for method, path in secured:
        assert {"401", "403"} <= set(document["paths"][path][method]["responses"])


def test_the_document_describes_every_error_with_its_meaning_and_our_body(document: dict[str, Any]) -> None:
    """FastAPI describes its own 422 if a route does not declare one."""
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            found = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
            assert {"400", "503"} <= set(found), (method, path)
            assert {code: MEANING[int(code)] for code in found} == {c: one["description"] for c, one in found.items()}
            bodies = {json.dumps(one.get("content")) for one in found.values()}
            assert bodies == {"null" if method == "head" else json.dumps(ERROR_BODY)}, (method, path)


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_request_without_a_valid_token_is_unauthorized(lab: Lab, counted: dict[str, int], kind: str) -> None:
    with lab.client(header=BAD_TOKENS[kind]) as client:
        for operation, prefix in product(ASKS, PREFIXES):
            refuse(counted, operation, ask(lab, operation, client, lab.ada, prefix), WRONG)


def refuse(counted: dict[str, int], operation: Operation, status: int, expected: set[int]) -> None:
    counted["requests"] += 1
    counted["unauthorised successes"] += status < 400
    assert status in expected, (operation, status)


def test_an_expired_token_is_unauthorized(lab: Lab, counted: dict[str, int]) -> None:
    token = lab.make_token("ada", "read,submit,admin", "--days", "0.0000001")["token"]
    with lab.client(token) as client:
        for operation, prefix in product(ASKS, PREFIXES):
            refuse(counted, operation, ask(lab, operation, client, lab.ada, prefix), WRONG)


def test_a_revoked_token_is_unauthorized_at_once(lab: Lab, counted: dict[str, int]) -> None:
    made = lab.make_token("ada", "read,submit,admin")
    with lab.client(made["token"]) as client:
        assert client.get("/api/v1/jobs").status_code == 200
        assert lab.admin.api.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
        for operation, prefix in product(ASKS, PREFIXES):
            refuse(counted, operation, ask(lab, operation, client, lab.ada, prefix), WRONG)


@pytest.mark.parametrize("scope", ["read", "submit", "work"])
def test_a_token_of_another_scope_is_forbidden(lab: Lab, counted: dict[str, int], scope: str) -> None:
    """Even on the resources of its owner."""
    enough = {"read": {"read", "link"}, "submit": {"submit"}, "work": {"work"}}[scope]
    token = lab.make_token("ada", scope)["token"]
    with lab.client(token) as client:
        for (operation, own), prefix in product(ASKS.items(), PREFIXES):
            if own.scope not in enough:
                refuse(counted, operation, ask(lab, operation, client, lab.ada, prefix), {403})


@pytest.mark.parametrize("names", [("ada", "bob"), ("bob", "ada")])
def test_resources_of_other_users_are_not_found(lab: Lab, counted: dict[str, int], names: tuple[str, str]) -> None:
    """404, as for an unknown id; 422 for a job that names another user's checkpoint."""
    caller, owner = (getattr(lab, name) for name in names)
    for (operation, own), prefix in product(ASKS.items(), PREFIXES):
        if own.own is not None:
            expected = {422} if own.own == "body" else {404}
            refuse(counted, operation, ask(lab, operation, caller.api, owner, prefix), expected)
        elif own.scope in ("admin", "work"):
            refuse(counted, operation, ask(lab, operation, caller.api, owner, prefix), {403})


def test_a_link_opens_its_result_and_nothing_else(lab: Lab, counted: dict[str, int]) -> None:
    secret = lab.ada.has["link"].rsplit("/", 1)[1]
    with lab.client(secret) as client:
        for (operation, own), prefix in product(ASKS.items(), PREFIXES):
            status = ask(lab, operation, client, lab.ada, prefix)
            if own.scope == "link":
                assert status == 200, operation
                if own.own is not None:
                    refuse(counted, operation, ask(lab, operation, client, lab.bob, prefix), {404})
            else:
                refuse(counted, operation, status, {403})


def test_lists_hold_only_visible_resources(lab: Lab) -> None:
    for caller, other in ((lab.ada, lab.bob), (lab.bob, lab.ada)):
        seen = [
            item["id"]
            for path in ("/api/v1/checkpoints", "/api/v1/datasets", "/api/v1/jobs")
            for item in caller.api.get(path, params={"limit": 200}).json()["items"]
        ]
        assert {caller.has["checkpoint_id"], caller.has["dataset_id"], caller.has["job_id"]} <= set(seen)
        assert not set(seen) & set(other.has.values())
    everything = {item["id"] for item in lab.admin.api.get("/api/v1/jobs", params={"limit": 200}).json()["items"]}
    assert {lab.ada.has["job_id"], lab.bob.has["job_id"]} <= everything


def test_totals_count_only_visible_resources(lab: Lab) -> None:
    listed = lab.ada.api.get("/api/v1/jobs", params={"limit": 200}).json()
    assert listed["total"] == len(listed["items"])


def test_a_data_set_of_another_user_is_not_found_by_its_name(lab: Lab) -> None:
    assert lab.ada.api.get("/api/v1/datasets/data of bob").status_code == 404
    spec = {"kind": "surface", "checkpoint": lab.ada.has["checkpoint_id"], "grid": LARGE, "dataset": "data of bob"}
    for dataset in ("data of bob", lab.bob.has["dataset_id"]):
        answer = lab.ada.api.post("/api/v1/jobs", json={**spec, "dataset": dataset})
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == "dataset"
        assert "Known: digits, synthetic, data of ada" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("prefix", "name"), [("/api/v1", "bob"), ("/api", "ada")])
def test_every_request_works_for_its_owner(lab: Lab, prefix: str, name: str) -> None:
    """The control: refusals above are due to the token. It runs last, since it consumes the user's resources."""
    worker, user = lab.make_token("gpu-box", "work")["token"], getattr(lab, name)
    user.has["token_id"] = lab.make_token("eve", "read")["id"]
    with lab.client(worker) as remote:
        clients = {"admin": lab.admin.api, "work": remote}
        for operation, own in ASKS.items():
            if operation == ("delete", "/api/v1/checkpoints/{checkpoint_id}"):
                cancel_everything(user)
            status = ask(lab, operation, clients.get(own.scope, user.api), user, prefix)
            assert status == own.status, (operation, status)


def cancel_everything(user: User) -> None:
    for job in user.api.get("/api/v1/jobs", params={"limit": 200}).json()["items"]:
        if job["state"] in ("queued", "running"):
            assert user.api.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 200
