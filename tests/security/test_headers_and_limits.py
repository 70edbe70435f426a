"""Security headers, allowed hosts, body sizes, quotas, the first token."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.guard import allowed_hosts
from service.settings import Settings
from tests.security.conftest import GRID, LARGE, TUS, Lab, User, give_everything, start_lab, stop_lab
from tests.support.service import Service, free_port, landscape, make_token, serve, start_service, wait_for

PATHS = ["/", "/static/style.css", "/static/plotly.min.js", "/api/health", "/api/jobs", "/api/nothing", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_security_headers(lab: Lab, path: str) -> None:
    with lab.client() as anyone:
        headers = anyone.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search("unsafe-(inline|eval)", headers["Content-Security-Policy"])
    assert "http" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Strict-Transport-Security" not in headers  # not over TLS


def test_over_tls_hsts_is_sent_and_the_cookie_is_secure(lab: Lab) -> None:
    """TLS is terminated by a proxy on this machine, at the address that is trusted."""
    with httpx.Client(base_url=lab.url, trust_env=False) as proxy:
        proxy.headers["X-Forwarded-Proto"] = "https"
        answer = proxy.post("/api/session", json={"token": lab.ada.token})
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_cross_origin_reads_are_not_allowed(lab: Lab) -> None:
    with lab.client(lab.ada.token) as client:
        asked = client.options(
            "/api/jobs", headers={"Origin": "https://x.example", "Access-Control-Request-Method": "GET"}
        )
        assert asked.status_code == 405
        answer = client.get("/api/jobs", headers={"Origin": "https://x.example"})
    assert not [name for name in (*asked.headers, *answer.headers) if name.startswith("access-control")]


def test_an_unknown_host_name_is_refused_without_access_control(service: Service) -> None:
    """DNS rebinding: a page at evil.example, resolved to 127.0.0.1, must not read the service."""
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1].evil.example"):
        answer = service.api.get("/jobs", headers={"Host": host})
        assert answer.status_code == 400, host
    for host in ("localhost", f"127.0.0.1:{service.port}", "[::1]:8000", socket.gethostname()):
        assert service.api.get("/jobs", headers={"Host": host}).status_code == 200, host


def test_another_site_cannot_change_anything_without_access_control(service: Service) -> None:
    foreign = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    assert service.api.put("/checkpoints", params={"name": "x"}, content=b"x", headers=foreign).status_code == 403
    assert service.api.delete("/jobs/" + "0" * 32, headers=foreign).status_code == 403


def test_allowed_hosts_follow_from_the_settings() -> None:
    def names(**settings: str) -> set[str]:
        return set(allowed_hosts(Settings(**settings)))  # type: ignore[arg-type]

    assert names(host="0.0.0.0") == {"*"}
    assert {"localhost", "127.0.0.1", "::1"} <= names(host="127.0.0.1")
    assert "*" not in names(host="0.0.0.0", access="off")
    assert names(host="0.0.0.0", allowed_hosts="Lab.example") >= {"lab.example", "localhost"}


@pytest.mark.parametrize(
    ("host", "access", "protected"),
    [
        ("127.0.0.1", "auto", False),
        ("localhost", "auto", False),
        ("::1", "auto", False),
        ("0.0.0.0", "auto", True),
        ("192.168.1.5", "auto", True),
        ("lab.example", "auto", True),
        ("0.0.0.0", "off", False),
        ("127.0.0.1", "on", True),
    ],
)
def test_access_control_is_on_where_other_machines_can_connect(host: str, access: str, protected: bool) -> None:
    assert Settings(host=host, access=access).protected is protected  # type: ignore[arg-type]


def test_a_body_larger_than_any_request_is_refused(lab: Lab) -> None:
    answer = lab.ada.api.post("/api/jobs", content=b'{"name": "' + b"a" * (2 << 20) + b'"}')
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("name", ["a%00b", "%01", "%ED%A0%80", "..%2F..%2Fetc"])
def test_an_invalid_name_is_not_found(lab: Lab, name: str) -> None:
    assert lab.ada.api.get(f"/api/datasets/{name}").status_code == 404


UNKNOWN = "0" * 32
NAMING = {  # requests of bob in which the id X may be another user's
    "checkpoint": lambda own: {"kind": "surface", "checkpoint": "X", "grid": GRID},
    "checkpoint of a slice": lambda own: {"kind": "slice", "checkpoint": "X", "grid": {"alpha": {"count": 3}}},
    "end": lambda own: {"kind": "interpolation", "checkpoint": own, "end": "X", "grid": {"alpha": {"count": 3}}},
    "second": lambda own: {"kind": "plane", "checkpoint": own, "second": "X", "third": own},
    "third": lambda own: {"kind": "plane", "checkpoint": own, "second": own, "third": "X"},
    "epochs": lambda own: {"kind": "trajectory", "epochs": [own, own, "X", own]},
    "with a network": lambda own: {"kind": "surface", "checkpoint": "X", "architecture": "no such", "grid": GRID},
    "dataset": lambda own: {"kind": "surface", "checkpoint": own, "dataset": "X", "grid": GRID},
}


@pytest.mark.parametrize("field", NAMING)
def test_a_job_that_names_another_users_resource_is_answered_as_for_an_unknown_id(lab: Lab, field: str) -> None:
    """Byte for byte, in every state of the other resource: a response does not reveal whether an id exists."""
    request = json.dumps(NAMING[field](lab.bob.has["checkpoint_id"]))
    rejected = lab.ada.api.put("/api/checkpoints?name=picture.pt", content=b"no checkpoint").json()["id"]
    wait_for(lambda: lab.ada.api.get(f"/api/checkpoints/{rejected}").json()["state"] == "rejected", "it to be read")
    theirs = [lab.ada.has["checkpoint_id"], lab.ada.has["dataset_id"], rejected, lab.ada.has["job_id"]]
    unknown, *others = [said(lab.bob, request.replace("X", one)) for one in (UNKNOWN, *theirs)]
    assert unknown[0] == 422
    assert ("Known: digits" if field == "dataset" else "No checkpoint has this id") in unknown[1]
    assert [answer.replace(one, UNKNOWN) for (_, answer), one in zip(others, theirs, strict=True)] == [unknown[1]] * 4
    assert {status for status, _ in others} == {422}


def said(user: User, request: str) -> tuple[int, str]:
    answer = user.api.post("/api/jobs", content=request, headers={"Content-Type": "application/json"})
    return answer.status_code, answer.text


def test_a_token_with_an_unprintable_name_or_an_unknown_scope_is_refused(lab: Lab) -> None:
    good = {"user": "eve", "scopes": ["read"]}
    for bad in ({"name": "a\0b"}, {"user": "a b"}, {"user": ""}, {"scopes": []}, {"scopes": ["all"]}, {"days": -1}):
        assert lab.admin.api.post("/api/tokens", json={**good, **bad}).status_code == 422, bad


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A service with small quotas."""
    lab = start_lab(
        tmp_path_factory.mktemp("tight"),
        max_unfinished_jobs="1",
        max_job_points="90601",
        max_user_bytes="1500000",
        max_user_event_streams="1",
    )
    give_everything(lab.ada)
    yield lab
    stop_lab(lab)


def test_unfinished_jobs_are_limited_per_user(tight: Lab) -> None:
    spec = {"kind": "surface", "checkpoint": tight.ada.has["checkpoint_id"], "grid": GRID}
    refused = tight.ada.api.post("/api/jobs", json=spec)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["error"] == {
        "code": "too_many",
        "message": "1 of your jobs are not finished, the most one user may have. Wait until some are, or cancel them.",
    }
    assert tight.ada.api.post(f"/api/jobs/{tight.ada.has['stopped']}/retry").status_code == 429
    assert tight.admin.api.post("/api/jobs", json=spec).status_code == 202


def test_the_points_of_a_job_are_limited(tight: Lab) -> None:
    grid = {**LARGE, "alpha": {"count": 302}}
    answer = tight.bob.api.post("/api/jobs", json={"kind": "surface", "checkpoint": "0" * 32, "grid": grid})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "grid"
    assert "90902 points" in answer.json()["error"]["message"]


def test_the_bytes_of_a_user_are_limited_for_every_kind_of_upload(tight: Lab) -> None:
    refusals = [
        tight.bob.api.put("/api/checkpoints", params={"name": "x"}, content=bytes(1_500_001)),
        tight.bob.api.put("/api/datasets", params={"name": "x"}, content=iter([bytes(800_000)] * 2)),
        tight.bob.api.post("/api/uploads", headers={**TUS, "Upload-Length": "1500001"}),
    ]
    for answer in refusals:
        assert answer.status_code == 507
        assert answer.json()["error"]["code"] == "quota"
    assert tight.bob.api.get("/api/checkpoints").json()["total"] == 0
    assert tight.bob.api.put("/api/checkpoints", params={"name": "x"}, content=b"x").status_code == 201


def test_event_streams_are_limited_per_user(tight: Lab) -> None:
    events = f"/api/jobs/{tight.ada.has['running']}/events"
    with tight.ada.api.stream("GET", events) as first:
        lines = first.iter_lines()
        next(lines)
        refused = tight.ada.api.get(events)
        assert refused.status_code == 429
        with tight.admin.api.stream("GET", events) as another:
            assert another.status_code == 200


def test_the_first_start_prints_a_token_and_later_ones_do_not(tmp_path: Path) -> None:
    service = start_service(tmp_path, access="on", workers=1)
    service.api.close()
    service.process.terminate()
    first = service.process.communicate(timeout=60)[0]
    with serve(tmp_path, access="on") as second:
        pass
    secret = re.search(r"shown only once: (ll_\S{43})", first)
    assert secret is not None
    assert "ll_" not in (second.data / "serve.log").read_text()
    assert secret[1].encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_api_alone_prints_a_token_too(tmp_path: Path) -> None:
    with serve(tmp_path, access="on") as started:
        secret = re.search(r"shown only once: (ll_\S{43})", (started.data / "serve.log").read_text())
        assert secret is not None
        assert started.api.get("/tokens", headers={"Authorization": f"Bearer {secret[1]}"}).status_code == 200


def test_the_first_token_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "admin-token"
    for secret in ("a" * 40, "b" * 40):
        file.write_text(f"{secret}\n")
        with serve(tmp_path / "data", access="on", admin_token_file=str(file)) as started:
            for token in ("a" * 40, "b" * 40):
                answer = started.api.get("/tokens", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == (200 if token == secret else 401)


def test_a_token_file_that_is_too_short_is_a_startup_error(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret")
    settings = {"access": "on", "admin_token_file": str(tmp_path / "short")}
    ended = landscape("serve", "--data", str(tmp_path), "--port", str(free_port()), **settings)
    assert ended.returncode == 1
    assert "at least 32 characters" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_operator_lists_and_revokes_tokens(tmp_path: Path) -> None:
    def token(*words: str) -> str:
        done = landscape("token", *words, "--data", str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = make_token(tmp_path, "ada", "read,submit", "--days", "3", "--name", "laptop")
    assert token("list").startswith(f"{made['id']}  ada  read,submit  laptop  never used  until ")
    assert made["token"] not in token("list", "--json")
    token("revoke", made["id"])
    assert token("list") == ""


def test_the_last_use_of_a_token_is_recorded(lab: Lab) -> None:
    made = lab.make_token("ada", "read")
    with lab.client(made["token"]) as client:
        client.get("/api/jobs")

    def used() -> bool:
        return any(one["id"] == made["id"] and one["used"] for one in lab.admin.api.get("/api/tokens").json()["items"])

    wait_for(used, "the use of a token to be noted", 90)


def test_without_access_control_every_caller_is_the_local_user(service: Service) -> None:
    who = httpx.get(f"http://127.0.0.1:{service.port}/api/session", trust_env=False).json()
    assert (who["user"], who["access"]) == ("local", False)
