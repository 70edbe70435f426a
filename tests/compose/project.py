"""The compose project, started in the order of its dependencies, with its volumes, secrets and names."""

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.compose.container import Container, Network, wait_until
from tests.compose.reading import compose, seconds
from tests.support.paths import ROOT


class Project:
    """`docker compose up -d` and the commands after it, for one file on one host."""

    def __init__(self, folder: Path, programs: Path, *, profiles: tuple[str, ...] = (), **variables: str):
        self.folder, self.programs = folder, programs
        self.extra_paths = [str(programs), str(folder / "bound")]
        (folder / "bound").mkdir()
        variables = {"LAB_SECRETS": str(folder / "secrets"), **variables}
        self.file = compose(environment=variables)
        self.network = Network(f"lab-{secrets.token_hex(3)}")
        self.hosts = folder / "hosts"
        names = [
            name for name, one in self.file["services"].items() if set(one.get("profiles", ["·"])) & {"·", *profiles}
        ]
        self.hosts.write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        services = self.file["services"]
        self.containers = {name: Container(self, name, services[name]) for name in _in_order(names, services)}

    def up(self, *names: str) -> None:
        """Start these services (by default all), each when its dependencies are healthy."""
        wanted_now = {name: one for name, one in self.containers.items() if not names or name in names}
        for name, container in wanted_now.items():
            if container.running():
                continue
            for other, wanted in container.service.get("depends_on", {}).items():
                assert wanted == {"condition": "service_healthy"}, f"{name} waits for {other} by {wanted}"
                self.wait_healthy(other)
            container.start()
        for name in wanted_now:
            self.wait_healthy(name)
        for container in wanted_now.values():
            for port in container.service.get("ports", []):
                *address, outside, inside = port.split(":")
                self.network.publish(address[0] if address else "0.0.0.0", int(outside), int(inside))

    def wait_healthy(self, name: str) -> None:
        container, check = self.containers[name], self.containers[name].service["healthcheck"]
        timeout = 0.2 * seconds(check["start_period"]) + seconds(check["interval"]) * check["retries"]
        ended = wait_until(lambda: not container.running() or container.healthy(), timeout)
        assert ended, (
            f"{name} is not healthy: {container.run(*_check(check)).stderr}\n{container.log.read_text()[-3000:]}"
        )
        assert container.running(), f"{name} ended: {container.log.read_text()[-3000:]}"

    def once(self, name: str, command: list[str], *volumes: str) -> str:
        """Like `docker compose run --rm`: a container of this service for one command, with further volumes."""
        service = self.file["services"][name]
        mounts = [*service.get("volumes", []), *volumes]
        container = Container(self, f"{name}-run", {**service, "command": command, "volumes": mounts})
        container.start()
        assert container.process is not None
        assert container.process.wait(120) == 0, container.log.read_text()
        return container.log.read_text()

    def down(self) -> dict[str, int]:
        """Stop all, in reverse order of their start.

        Returns:
            Exit codes by name.
        """
        codes = {name: container.stop() for name, container in reversed(self.containers.items())}
        self.network.remove()
        return codes

    def volume(self, source: str, user: str) -> str:
        """The folder of a named volume, with the owner as in the image; or a path in the repository."""
        if source.startswith((".", "/")):
            return str(ROOT / source)
        assert source in self.file["volumes"], f"{source} is not a volume of the file"
        path = self.folder / "volumes" / source
        if not path.exists():
            path.mkdir(parents=True, mode=0o700)
            uid, gid = user.split(":")
            shutil.chown(path, int(uid), int(gid))
        return str(path)

    def secret(self, name: str) -> Path:
        return Path(self.file["secrets"][name]["file"])


def make_secrets(folder: Path) -> None:
    """Create the secrets with the script that the documentation names."""
    script = ["sh", str(ROOT / "deploy/make-secrets"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)


def make_programs(folder: Path) -> Path:
    """The programs of the broker's image, under the image's names, from this machine's packages."""
    from service.supervisor.private_broker import _server

    folder.mkdir(mode=0o755)
    (folder / "valkey-server").symlink_to(_server())
    cli = shutil.which("valkey-cli") or shutil.which("redis-cli")
    assert cli is not None
    (folder / "valkey-cli").symlink_to(cli)
    return folder


def open_path(path: Path) -> None:
    """Let other users into the parent folders, which pytest makes private."""
    for parent in [path, *path.parents]:
        if parent != Path("/tmp") and parent.stat().st_uid == os.getuid() and re.match(r"/tmp/.", str(parent)):
            parent.chmod(0o755)


def _check(check: dict[str, Any]) -> list[str]:
    test = check["test"]
    return ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]


def _in_order(names: list[str], services: dict[str, Any]) -> list[str]:
    ordered: list[str] = []
    while len(ordered) < len(names):
        ready = [n for n in names if n not in ordered and set(services[n].get("depends_on", {})) <= set(ordered)]
        assert ready, "the services wait for each other in a circle"
        ordered += ready
    return ordered
