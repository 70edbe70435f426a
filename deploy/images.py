#!/usr/bin/env python3
"""Base images: where each is pinned, what is behind, and new pins. Needs nothing but Python: `make images`.

Pins are in the Dockerfile (`ARG PYTHON=TAG@DIGEST`) and in docker-compose.yml (`image: NAME:TAG@DIGEST`).

    deploy/images.py             asks the registry for the digest of every tag, and for newer tags
    deploy/images.py --update    writes the newest patch release of each series, and its digest
    deploy/images.py --check     asks nothing: fails if an image has no digest

A patch release has the same numbers but the last and the same suffix (17.6-bookworm, 17.11-bookworm). Newer series are
listed, never written: a new major version of PostgreSQL cannot read the files of an older one.
The registry is the one that the container engine uses, or that of --registry ADDRESS.
"""

import argparse
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
_PIN = r"(?P<tag>[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
_FROM = re.compile(r"(?m)^FROM (?P<name>[a-z/-]+):\$\{(?P<argument>\w+)\}")
_IMAGE = re.compile(rf"(?m)^ +image: (?P<name>[a-z/-]+):{_PIN}$")
_TAG = re.compile(r"(\d+(?:\.\d+)+)(-[a-z][\w.-]*)?")
SECONDS = 30


class RegistryError(Exception):
    """The registry did not answer, or does not have an image."""


@dataclass(frozen=True)
class Pin:
    """An image in one of our files."""

    path: Path
    name: str
    tag: str
    digest: str | None

    def text(self) -> str:
        return self.tag + (f"@{self.digest}" if self.digest else "")


def pins(root: Path) -> Iterator[Pin]:
    """Every base image that the Dockerfile builds on or that docker-compose.yml starts."""
    dockerfile = root / "Dockerfile"
    text = dockerfile.read_text()
    for name, argument in dict.fromkeys(_FROM.findall(text)):
        match = re.search(rf"(?m)^ARG {argument}={_PIN}$", text)
        if match is None:
            raise SystemExit(f"{dockerfile}: ARG {argument} is not TAG or TAG@sha256:DIGEST.")
        yield Pin(dockerfile, name, match["tag"], match["digest"])
    compose = root / "docker-compose.yml"
    for match in _IMAGE.finditer(compose.read_text()):
        yield Pin(compose, match["name"], match["tag"], match["digest"])


def version(tag: str) -> tuple[tuple[int, ...], str] | None:
    """Numbers and suffix: "17.6-bookworm" is ((17, 6), "-bookworm"). None for a tag of another form."""
    match = _TAG.fullmatch(tag)
    return (tuple(int(number) for number in match[1].split(".")), match[2] or "") if match else None


def newest(tag: str, tags: list[str], *, same_series: bool) -> str:
    """The newest tag with as many numbers and the same suffix; of the same series if so asked."""
    parsed = version(tag)
    if parsed is None:
        return tag
    numbers, suffix = parsed
    found = {tag: numbers}
    for other in tags:
        match = version(other)
        if match is None or match[1] != suffix or len(match[0]) != len(numbers):
            continue
        if not same_series or match[0][:-1] == numbers[:-1]:
            found[other] = match[0]
    return max(found, key=lambda one: found[one])


class Registry:
    """The HTTP API, version 2, of a registry of images.

    Raises:
        RegistryError: by its methods, see there.
    """

    def __init__(self, address: str):
        self.address, self.tokens = address.rstrip("/"), dict[str, str]()

    def digest(self, name: str, tag: str) -> str:
        """Digest of what a tag names now, for all its platforms."""
        _, headers = self._ask(name, f"/v2/{_path(name)}/manifests/{tag}", "HEAD")
        digest = headers.get("Docker-Content-Digest", "")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise RegistryError(f"{self.address} names no digest for {name}:{tag}.")
        return digest

    def tags(self, name: str) -> list[str]:
        """Every tag, of all pages."""
        found: list[str] = []
        path = f"/v2/{_path(name)}/tags/list?n=1000"
        while path:
            body, headers = self._ask(name, path, "GET")
            found += json.loads(body).get("tags") or []
            link = re.match(r'<([^>]+)>; *rel="?next"?', headers.get("Link", ""))
            path = urllib.parse.urljoin(path, link[1]) if link else ""
        return found

    def _ask(self, name: str, path: str, method: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers; a token is asked for where the registry wants one."""
        try:
            try:
                return self._open(name, path, method)
            except urllib.error.HTTPError as error:
                if error.code != 401:
                    raise
                self.tokens[name] = _token(error.headers.get("WWW-Authenticate", ""))
                return self._open(name, path, method)
        except urllib.error.HTTPError as error:
            raise RegistryError(f"{self.address} answers {error.code} to {name} ({path}).") from None
        except (OSError, ValueError) as error:
            raise RegistryError(f"{self.address} does not answer as a registry: {error}.") from None

    def _open(self, name: str, path: str, method: str) -> tuple[bytes, dict[str, str]]:
        request = urllib.request.Request(self.address + path, method=method, headers={"Accept": _MANIFESTS})
        if name in self.tokens:
            request.add_header("Authorization", f"Bearer {self.tokens[name]}")
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read(), {key.title(): value for key, value in answer.headers.items()}


def _path(name: str) -> str:
    return name if "/" in name else f"library/{name}"


def _token(challenge: str) -> str:
    """An anonymous token, from where the registry says."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({key: asked[key] for key in ("service", "scope") if key in asked})
    with urllib.request.urlopen(f"{asked.get('realm', '')}?{query}", timeout=SECONDS) as answer:
        body = json.load(answer)
    return str(body.get("token") or body.get("access_token"))


def default_registry() -> str:
    """The address that the container engine uses.

    Raises:
        RegistryError: there is no engine.
    """
    try:
        command = ["docker", "info", "--format", "{{.IndexServerAddress}}"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        told = ""
    if not told:
        raise RegistryError("`docker info` names no registry; name one with --registry ADDRESS.")
    parts = urllib.parse.urlsplit(told)
    return f"{parts.scheme}://{parts.netloc}"


def without_digest(found: list[Pin]) -> list[str]:
    """A sentence for each image that is pinned by its tag only."""
    return [
        f"{pin.path.name}: {pin.name}:{pin.tag} has no digest. `make images UPDATE=--update` writes it."
        for pin in found
        if pin.digest is None
    ]


def replaced(pin: Pin, tag: str, digest: str) -> None:
    """Write another pin into its file."""
    new = Pin(pin.path, pin.name, tag, digest)
    text = pin.path.read_text()
    before = f"={pin.text()}\n" if pin.path.name == "Dockerfile" else f" {pin.name}:{pin.text()}\n"
    pin.path.write_text(text.replace(before, before.replace(pin.text(), new.text())))


def report(pin: Pin, registry: Registry, *, update: bool) -> bool:
    """Print what is behind and, if so asked, write what is current.

    Returns:
        Whether the pin is current afterwards.
    """
    tags = registry.tags(pin.name)
    tag = newest(pin.tag, tags, same_series=True)
    digest, latest = registry.digest(pin.name, tag), newest(pin.tag, tags, same_series=False)
    current = (tag, digest) == (pin.tag, pin.digest)
    if current:
        words = "current"
    elif tag != pin.tag:
        words = f"behind: {tag}"
    else:
        words = "without digest" if pin.digest is None else "its tag was built again since"
    if update and not current:
        replaced(pin, tag, digest)
        words += f"; now {tag}@{digest}"
    print(f"{pin.name}:{pin.tag}  {words}" + (f"; newer series: {latest}" if latest != tag else ""))
    return current or update


def main() -> int:
    asked = argparse.ArgumentParser(description="Base images: what is behind, and new pins.")
    asked.add_argument("--check", action="store_true", help="ask nothing; fail if an image has no digest")
    asked.add_argument("--update", action="store_true", help="write the newest patch releases and their digests")
    asked.add_argument("--registry", help="address of the registry; default: the engine's")
    asked.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the checkout")
    options = asked.parse_args()
    found = list(pins(options.root))
    if options.check:
        missing = without_digest(found)
        print("\n".join(missing) or f"All {len(found)} images are pinned by digest.")
        return bool(missing)
    try:
        registry = Registry(options.registry or default_registry())
        current = [report(pin, registry, update=options.update) for pin in found]
        return not all(current)
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
