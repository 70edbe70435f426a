"""The session and its cookie, links, and cross-site requests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.rate_limit import ATTEMPTS
from tests.security.conftest import LARGE, Lab, User, from_own_address, submit


def browser(lab: Lab, **headers: str) -> httpx.Client:
    """A client with cookies and the headers that a browser sends from our own page."""
    own = {"Origin": lab.url, "Sec-Fetch-Site": "same-origin"}
    return httpx.Client(
        base_url=lab.url, headers={**own, **headers}, timeout=60, trust_env=False, transport=from_own_address()
    )


@contextmanager
def logged_in(lab: Lab, token: str) -> Iterator[httpx.Client]:
    with browser(lab) as client:
        answer = client.post("/api/session", json={"token": token})
        assert answer.status_code == 200, answer.text
        yield client


def test_a_session_has_the_scopes_of_its_token(lab: Lab) -> None:
    token = lab.make_token("ada", "read")["token"]
    with logged_in(lab, token) as client:
        assert client.get("/api/session").json() | {"expires": None} == {
            "user": "ada",
            "scopes": ["read"],
            "access": True,
            "expires": None,
        }
        assert client.get(f"/api/jobs/{lab.ada.has['job_id']}").status_code == 200
        assert client.get(f"/api/jobs/{lab.bob.has['job_id']}").status_code == 404
        assert client.post(f"/api/jobs/{lab.ada.has['running']}/cancel").status_code == 403
        assert client.get("/api/tokens").status_code == 403


def test_the_cookie_is_strict_http_only_expires_and_is_new_at_every_login(lab: Lab) -> None:
    with browser(lab) as client:
        answers = [client.post("/api/session", json={"token": lab.ada.token}) for _ in range(2)]
    cookies = [answer.headers["set-cookie"] for answer in answers]
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert int(re.search(r"Max-Age=(\d+)", cookie)[1]) == 168 * 3600  # type: ignore[index]
        assert lab.ada.token not in cookie
    assert len({cookie.split(";")[0] for cookie in cookies}) == 2


def test_logging_out_ends_the_session_on_the_service(lab: Lab) -> None:
    with logged_in(lab, lab.ada.token) as client:
        cookie = client.cookies["landscape_session"]
        assert client.delete("/api/session").status_code == 204
        assert "landscape_session" not in client.cookies
        client.cookies.set("landscape_session", cookie)
        assert client.get("/api/jobs").status_code == 401


def test_revoking_a_token_ends_its_sessions(lab: Lab) -> None:
    made = lab.make_token("ada", "read")
    with logged_in(lab, made["token"]) as client:
        assert client.get("/api/jobs").status_code == 200
        assert lab.admin.api.delete(f"/api/tokens/{made['id']}").status_code == 204
        assert client.get("/api/jobs").status_code == 401


def test_an_event_stream_ends_when_its_token_is_revoked(lab: Lab) -> None:
    made = lab.make_token("ada", "read,submit")
    with lab.client(made["token"]) as client:
        client.timeout = 120
        job = {"kind": "surface", "checkpoint": lab.ada.has["checkpoint_id"], "grid": LARGE, "subset": {"count": 20}}
        job_id = client.post("/api/jobs", json=job).json()["id"]
        with client.stream("GET", f"/api/jobs/{job_id}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            assert lab.admin.api.delete(f"/api/tokens/{made['id']}").status_code == 204
            told = [line for line in lines if line.startswith("data:")]
    assert not any('"state": "done"' in line for line in told)
    assert lab.ada.api.get(f"/api/jobs/{job_id}").json()["state"] in ("queued", "running")
    assert lab.ada.api.post(f"/api/jobs/{job_id}/cancel").status_code == 200


def test_a_session_is_not_accepted_as_a_token_nor_a_token_as_a_session(lab: Lab) -> None:
    with logged_in(lab, lab.ada.token) as client, lab.client(client.cookies["landscape_session"]) as program:
        assert program.get("/api/jobs").status_code == 401
    with browser(lab) as client:
        client.cookies.set("landscape_session", lab.ada.token)
        assert client.get("/api/jobs").status_code == 401


CROSS_SITE = {
    "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "another site, old browser": {"Origin": "https://evil.example"},
    "another port of this host": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "a name that begins like ours": {"Origin": "http://127.0.0.1.evil.example"},
    "a sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "no origin": {},
}


@pytest.mark.parametrize("kind", CROSS_SITE)
def test_a_cross_site_request_with_our_cookie_changes_nothing(lab: Lab, kind: str) -> None:
    with logged_in(lab, lab.ada.token) as client:
        cookies = dict(client.cookies)
    with httpx.Client(base_url=lab.url, headers=CROSS_SITE[kind], cookies=cookies, trust_env=False) as other:
        job = submit(lab.ada, LARGE)
        asks = [("POST", f"/api/jobs/{job}/cancel"), ("DELETE", f"/api/checkpoints/{lab.ada.has['checkpoint_id']}")]
        asks += [("PUT", "/api/checkpoints?name=x"), ("POST", f"/api/jobs/{job}/share")]
        for method, path in asks:
            assert other.request(method, path, content=b"{}").status_code in (403, 422), (method, path)
        assert other.post(f"/api/jobs/{job}/cancel").json()["error"]["code"] == "forbidden"
    assert lab.ada.api.get(f"/api/jobs/{job}").json()["state"] in ("queued", "running")
    assert lab.ada.api.post(f"/api/jobs/{job}/cancel").status_code == 200


def test_a_cross_site_request_cannot_log_in_or_out(lab: Lab) -> None:
    with logged_in(lab, lab.ada.token) as client:
        client.headers.update(CROSS_SITE["another site"])
        assert client.post("/api/session", json={"token": lab.bob.token}).status_code == 403
        assert client.delete("/api/session").status_code == 403
        assert client.post("/api/shared", json={"link": "x"}).status_code == 403
        client.headers.update({"Origin": lab.url, "Sec-Fetch-Site": "same-origin"})
        assert client.get("/api/session").json()["user"] == "ada"


WRONG = {  # ways to send a wrong secret
    "a login": lambda client, secret: client.post("/api/session", json={"token": secret}),
    "an address": lambda client, secret: client.get("/", params={"token": secret}),
    "a token": lambda client, secret: client.get("/api/jobs", headers={"Authorization": f"Bearer {secret}"}),
    "a link": lambda client, secret: client.post("/api/shared", json={"link": secret}),
    "a session": lambda client, secret: client.get("/api/jobs", cookies={"landscape_session": secret}),
}


@pytest.mark.filterwarnings("ignore:Setting per-request cookies")
@pytest.mark.parametrize("way", WRONG)
def test_wrong_secrets_slow_down_wrong_secrets_only(lab: Lab, way: str) -> None:
    """After ten of an address, wrong ones of every kind get 429, and right ones get in at once."""
    with browser(lab) as client:
        assert {WRONG[way](client, f"ll_{number}").status_code for number in range(ATTEMPTS)} == {401}
        assert WRONG[way](client, "ll_0").status_code == 401  # the same again is no further guess
        for other in WRONG.values():
            refused = other(client, "ll_wrong")
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["Retry-After"]) <= 61
            assert "Send a valid one, or try again in" in refused.json()["error"]["message"]
        assert client.get("/api/jobs", headers={"Authorization": f"Bearer {lab.ada.token}"}).status_code == 200
        assert client.post("/api/session", json={"token": lab.ada.token}).status_code == 200
        assert client.get("/api/jobs").status_code == 200
        assert client.post("/api/shared", json={"link": lab.ada.has["link"].rsplit("/", 1)[1]}).status_code == 200
    with browser(lab) as another:
        assert WRONG[way](another, "ll_wrong").status_code == 401


def test_the_cookie_of_a_session_that_is_over_is_deleted(lab: Lab) -> None:
    """The page would send it with every request, and be refused for too many wrong ones."""
    with logged_in(lab, lab.ada.token) as client:
        wrong = client.get("/api/jobs", headers={"Authorization": "Bearer ll_wrong"})
        assert "set-cookie" not in wrong.headers
        with lab.client(lab.admin.token) as program:
            program.delete(
                "/api/session", headers={"Cookie": f"landscape_session={client.cookies['landscape_session']}"}
            )
        assert client.get("/api/jobs").status_code == 401
        assert "landscape_session" not in client.cookies


def test_an_address_with_a_token_logs_in_and_shows_the_address_without_it(lab: Lab) -> None:
    with browser(lab) as client:
        client.headers.pop("Origin")
        opened = client.get("/", params={"token": lab.ada.token}, headers={"Sec-Fetch-Site": "none"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert client.get("/api/session").json()["user"] == "ada"


def test_another_site_cannot_log_in_by_an_address_with_its_own_token(lab: Lab) -> None:
    with browser(lab) as client:
        opened = client.get("/", params={"token": lab.bob.token}, headers={"Sec-Fetch-Site": "cross-site"})
        assert opened.status_code == 303
        assert client.get("/api/session").status_code == 401


def test_no_secret_is_stored_or_logged(lab: Lab) -> None:
    secret = lab.ada.has["link"].rsplit("/", 1)[1]
    with logged_in(lab, lab.ada.token) as client:
        kept = [secret, lab.ada.token, client.cookies["landscape_session"]]
    files = [path for path in lab.service.data.rglob("*") if path.is_file()]
    assert any(path.name == "landscape.sqlite" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not [one for one in kept if one.encode() in content], path.name


def open_link(lab: Lab, user: User, client: httpx.Client) -> str:
    answer = client.post("/api/shared", json={"link": user.has["link"].rsplit("/", 1)[1]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job"])


def test_the_cookie_of_a_link_is_sent_for_its_job_alone(lab: Lab) -> None:
    with browser(lab) as client:
        job = open_link(lab, lab.ada, client)
        assert job == lab.ada.has["job_id"]
        for prefix in ("/api", "/api/v1"):
            for part in ("", "/result", "/numbers", "/log", "/events", "/result?format=npz"):
                assert client.get(f"{prefix}/jobs/{job}{part}").status_code == 200
            for path in ("/jobs", "/checkpoints", "/gallery", f"/jobs/{lab.ada.has['running']}"):
                assert client.get(prefix + path).status_code == 401
        assert client.delete(f"/api/jobs/{job}").status_code == 403
        assert client.get(f"/api/jobs/{job}/share").status_code == 403


def test_a_link_opened_before_the_v1_prefix_still_opens_its_job(lab: Lab) -> None:
    """Its cookie is for /api/jobs/ID; a request for the job there sets it for both prefixes."""
    secret, job = lab.ada.has["link"].rsplit("/", 1)[1], lab.ada.has["job_id"]
    with browser(lab) as client:
        client.cookies.set("landscape_link", secret, domain="127.0.0.1", path=f"/api/jobs/{job}")
        assert client.get(f"/api/v1/jobs/{job}").status_code == 401
        assert client.get(f"/api/jobs/{job}").status_code == 200
        for part in ("", "/result", "/numbers", "/log", "/events"):
            assert client.get(f"/api/v1/jobs/{job}{part}").status_code == 200
        assert client.get("/api/v1/jobs").status_code == 401


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_an_invalid_link_is_not_renewed(lab: Lab, prefix: str) -> None:
    with browser(lab, Authorization=f"Bearer {lab.ada.token}") as client:
        client.cookies.set("landscape_link", "ll_" + "0" * 43)
        answer = client.get(f"{prefix}/jobs/{lab.ada.has['job_id']}")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


def test_a_logged_in_user_keeps_their_session_while_a_link_is_open(lab: Lab) -> None:
    with logged_in(lab, lab.bob.token) as client:
        job = open_link(lab, lab.ada, client)
        seen = client.get(f"/api/jobs/{job}").json()
        assert (seen["id"], seen["yours"]) == (job, False)
        assert client.post(f"/api/jobs/{job}/share", json={}).status_code == 403
        assert client.get(f"/api/jobs/{lab.bob.has['job_id']}").json()["yours"] is True
        assert job not in {item["id"] for item in client.get("/api/jobs").json()["items"]}


def test_a_link_is_invalid_once_it_is_revoked_or_expired(lab: Lab) -> None:
    share = f"/api/jobs/{lab.ada.has['job_id']}/share"
    made = [lab.ada.api.post(share, json={"days": days}).json() for days in (1e-9, 1)]
    assert lab.bob.api.delete(f"{share}/{made[1]['id']}").status_code == 404
    with browser(lab) as client:
        assert client.post("/api/shared", json={"link": made[0]["link"].rsplit("/", 1)[1]}).status_code == 401
        link = {"link": made[1]["link"].rsplit("/", 1)[1]}
        job = client.post("/api/shared", json=link).json()["job"]
        assert client.get(f"/api/jobs/{job}").status_code == 200
        assert lab.ada.api.delete(f"{share}/{made[1]['id']}").status_code == 204
        assert client.get(f"/api/jobs/{job}").status_code == 401
        assert client.post("/api/shared", json=link).status_code == 401
    listed = {one["id"] for one in lab.ada.api.get(share).json()["items"]}
    assert not listed & {one["id"] for one in made}
