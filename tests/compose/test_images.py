"""Base images are pinned by digest, and `deploy/images.py` finds and writes newer pins, from a registry made here."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.paths import ROOT

PAGE = 2  # tags of one answer


def digest(name: str, tag: str) -> str:
    return f"sha256:{hashlib.sha256(f'{name}:{tag}'.encode()).hexdigest()}"


@dataclass
class Images:
    """A registry on this machine: API version 2, with tokens and lists in pages, like a public one."""

    tags: dict[str, list[str]]
    tokens: set[str] = field(default_factory=set)
    address: str = ""


class _Answers(BaseHTTPRequestHandler):
    images: Images

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/token":
            return self._answer(200, {"token": self._new_token(parse_qs(url.query)["scope"][0])})
        match = re.fullmatch(r"/v2/(.+)/(?:tags/list|manifests/(.+))", url.path)
        assert match
        name, tag = match.groups()
        if not self._allowed(name):
            realm = f'Bearer realm="{self.images.address}/token",service="here",scope="repository:{name}:pull"'
            return self._answer(401, {}, {"WWW-Authenticate": realm})
        tags = self.images.tags.get(name)
        if tags is None or (tag and tag not in tags):
            return self._answer(404, {})
        if tag:
            assert "image.index" in self.headers["Accept"]  # the digest of all platforms
            return self._answer(200, {}, {"Docker-Content-Digest": digest(name, tag)})
        first = int(parse_qs(url.query).get("last", ["0"])[0])
        more = {"Link": f'</v2/{name}/tags/list?last={first + PAGE}>; rel="next"'}
        return self._answer(200, {"tags": tags[first : first + PAGE]}, more if first + PAGE < len(tags) else {})

    do_HEAD = do_GET  # noqa: N815

    def _new_token(self, scope: str) -> str:
        self.images.tokens.add(f"token of {scope}")
        return f"token of {scope}"

    def _allowed(self, name: str) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return token in self.images.tokens and token == f"token of repository:{name}:pull"

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Images]:
    images = Images(
        {
            "library/python": [
                "3.11.16-slim-bookworm",
                "3.11.19-slim-bookworm",
                "3.11.20-slim",
                "3.12.1-slim-bookworm",
            ],
            "library/caddy": ["2.11.7-alpine", "2.11.7-builder-alpine", "latest"],
            "library/postgres": ["17.9-bookworm", "17.11-bookworm", "17.12-bookworm", "18.1-bookworm", "17-bookworm"],
            "valkey/valkey": ["8.1.10", "8.1.9", "8.1.11-alpine", "9.1.0-rc1"],
        }
    )
    answers = type("Answers", (_Answers,), {"images": images})
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        images.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield images
        server.shutdown()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Dockerfile", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(root: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "deploy/images.py"), "--root", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_every_base_image_is_pinned_by_digest() -> None:
    done = run(ROOT, "--check")
    assert (done.returncode, done.stdout) == (0, "All 4 images are pinned by digest.\n")


def test_an_image_without_a_digest_fails_the_check_with_the_command_that_adds_it(checkout: Path) -> None:
    file = checkout / "docker-compose.yml"
    file.write_text(re.sub(r"(postgres:[\w.-]+)@sha256:\w+", r"\1", file.read_text()))
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert re.fullmatch(r"docker-compose.yml: postgres:\S+ has no digest. `make images .*` writes it.\n", done.stdout)


def test_what_is_behind_is_listed_and_nothing_is_written(checkout: Path, registry: Images) -> None:
    before = (checkout / "docker-compose.yml").read_text()
    done = run(checkout, "--registry", registry.address)
    assert done.returncode == 1, done.stderr
    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert lines["python:3.11.16-slim-bookworm"] == "behind: 3.11.19-slim-bookworm; newer series: 3.12.1-slim-bookworm"
    assert lines["caddy:2.11.7-alpine"] == lines["valkey/valkey:8.1.10"] == "its tag was built again since"
    assert lines["postgres:17.11-bookworm"] == "behind: 17.12-bookworm; newer series: 18.1-bookworm"
    assert (checkout / "docker-compose.yml").read_text() == before


def test_an_update_writes_the_newest_patch_release_of_the_same_series_and_its_digest(
    checkout: Path, registry: Images
) -> None:
    assert run(checkout, "--registry", registry.address, "--update").returncode == 0
    python = digest("library/python", "3.11.19-slim-bookworm")
    assert f"ARG PYTHON=3.11.19-slim-bookworm@{python}\n" in (checkout / "Dockerfile").read_text()
    compose = (checkout / "docker-compose.yml").read_text()
    for name, path, tag in [("postgres", "library/postgres", "17.12-bookworm"), ("valkey/valkey",) * 2 + ("8.1.10",)]:
        assert f"    image: {name}:{tag}@{digest(path, tag)}\n" in compose
    again = run(checkout, "--registry", registry.address)
    assert again.returncode == 0
    assert again.stdout.count("  current") == 4


def test_a_missing_image_and_a_missing_registry_are_told_in_a_sentence(checkout: Path, registry: Images) -> None:
    del registry.tags["library/caddy"]
    done = run(checkout, "--registry", registry.address)
    assert done.returncode == 2
    assert done.stderr.strip() == f"{registry.address} answers 404 to caddy (/v2/library/caddy/tags/list?n=1000)."
    done = run(checkout, "--registry", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "does not answer as a registry" in done.stderr
    assert "Traceback" not in done.stderr
