"""A service under access control with an administrator and two users who each own resources of every kind."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import randint
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.paths import GALLERY
from tests.support.service import Service, make_token, start_service, wait_for

GRID = {"alpha": {"count": 3}, "beta": {"count": 2}}
LARGE = {"alpha": {"count": 301}, "beta": {"count": 301}}
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class User:
    """A user with a token, and the ids of their resources."""

    name: str
    token: str
    api: httpx.Client
    has: dict[str, str] = field(default_factory=dict)


@dataclass
class Lab:
    """The service, its administrator and two users."""

    service: Service
    admin: User
    ada: User
    bob: User

    def make_token(self, user: str, scopes: str, *options: str) -> dict[str, Any]:
        database = self.service.settings.get("database")
        return make_token(self.service.data, user, scopes, *options, database=database)

    @property
    def url(self) -> str:
        return self.service.url

    def client(self, token: str | None = None, *, header: str | None = None) -> httpx.Client:
        """A client with this token, or with exactly this Authorization header."""
        header = f"Bearer {token}" if token else header
        headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=60, trust_env=False, transport=from_own_address()
        )


def from_own_address() -> httpx.HTTPTransport:
    """Connections from an address of this machine that no other client has: wrong tokens are counted by address."""
    return httpx.HTTPTransport(local_address=f"127.{randint(1, 254)}.{randint(1, 254)}.{randint(1, 254)}")


def dataset_file() -> bytes:
    content = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 255, (12, 1, 8, 8), dtype=np.uint8)
    np.savez(content, images=images, labels=np.arange(12) % 10)
    return content.getvalue()


def give_everything(user: User) -> None:
    """A checkpoint, a data set, a finished, a cancelled and a running job, a link, an incomplete upload."""
    api, has = user.api, user.has
    file = (GALLERY / "resnet20-w8-skip.safetensors").read_bytes()
    for kind, name, content in (
        ("checkpoint", f"{user.name}.safetensors", file),
        ("dataset", f"data of {user.name}", dataset_file()),
    ):
        has[f"{kind}_id"] = api.put(f"/api/{kind}s", params={"name": name}, content=content).json()["id"]
    for path in (f"/api/checkpoints/{has['checkpoint_id']}", f"/api/datasets/{has['dataset_id']}"):
        wait_for(lambda path=path: api.get(path).json()["state"] == "ready", f"{path} to be read")
    has["job_id"] = submit(user, GRID)
    wait_for(lambda: api.get(f"/api/jobs/{has['job_id']}").json()["state"] == "done", "a job to be done", 120)
    has["stopped"] = submit(user, LARGE)
    assert api.post(f"/api/jobs/{has['stopped']}/cancel").status_code == 200
    has["running"] = submit(user, LARGE, subset=None)  # of all samples: it outlasts the tests
    has["link"] = api.post(f"/api/jobs/{has['job_id']}/share", json={}).json()["link"]
    has["link_id"] = api.get(f"/api/jobs/{has['job_id']}/share").json()["items"][0]["id"]
    begun = api.post("/api/uploads", headers={**TUS, "Upload-Length": "1000"})
    has["upload_id"] = begun.headers["location"].rsplit("/", 1)[1]


def submit(user: User, grid: dict[str, Any], subset: int | None = 20) -> str:
    spec = {"kind": "surface", "checkpoint": user.has["checkpoint_id"], "grid": grid}
    spec |= {"subset": {"count": subset}} if subset else {}
    answer = user.api.post("/api/jobs", json=spec)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def start_lab(data: Path, **settings: str) -> Lab:
    service = start_service(data, access="on", **settings)
    lab = Lab(service, *(None, None, None))  # type: ignore[arg-type]
    for name, scopes in (("admin", "read,submit,admin"), ("ada", "read,submit"), ("bob", "read,submit")):
        token = lab.make_token("root" if name == "admin" else name, scopes)["token"]
        setattr(lab, name, User(name, token, lab.client(token)))
    return lab


@contextmanager
def furnished(data: Path, **settings: str) -> Iterator[Lab]:
    """A lab in which both users own resources of every kind."""
    lab = start_lab(data, **settings)
    for user in (lab.ada, lab.bob):
        give_everything(user)
    yield lab
    stop_lab(lab)


def stop_lab(lab: Lab) -> None:
    for user in (lab.admin, lab.ada, lab.bob):
        user.api.close()
    lab.service.stop()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with furnished(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
