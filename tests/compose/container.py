"""A container without a container engine: a service of the compose file as ordinary processes of this machine.

Namespaces and mounts follow the file: a read-only root file system, volumes, tmpfs and secrets, its user, no
capabilities, no new privileges, a private network with the names of the services, and published ports. The programs
are those of this machine; the first-start steps of the PostgreSQL image's entrypoint are in `ENTRYPOINTS`. Limits on
memory, CPUs and processes are not set.
"""

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_OWN_UIDS = {"valkey": 10002}  # users in the images that this machine lacks
STOP_SIGNALS = {"database": signal.SIGINT}  # as in the image; at SIGTERM it would wait for its clients
ENTRYPOINTS = {
    "database": """
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS -D "$PGDATA" >/dev/null
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses=''" >/dev/null
  for file in /docker-entrypoint-initdb.d/*.sql; do
    psql -v ON_ERROR_STOP=1 --username=postgres --no-password --no-psqlrc --dbname=postgres -f "$file"
  done
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
"""
}


def why_not() -> str | None:
    """Why containers cannot be made on this machine, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "making namespaces needs root on Linux"
    probe = ["unshare", "--mount", "--uts", "--net", "true"]
    if shutil.which("ip") is None or subprocess.run(probe, capture_output=True).returncode != 0:
        return "this machine does not allow network namespaces, or lacks iproute2"
    if postgresql() is None or not (shutil.which("redis-cli") or shutil.which("valkey-cli")):
        return "PostgreSQL or redis-cli is not installed (Debian: apt-get install postgresql redis-server)"
    return None


def postgresql() -> Path | None:
    """The folder of the newest PostgreSQL's programs."""
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), default=None)


@dataclass
class Network:
    """One network namespace for all services of a project; ports are published by a process that connects into it."""

    name: str
    published: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    def publish(self, address: str, port: int, target: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("publish.py")), self.name, address, str(port)]
        self.published.append(subprocess.Popen([*command, str(target)]))

    def remove(self) -> None:
        for process in self.published:
            process.terminate()
            process.wait()
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)  # may be gone already


class Container:
    """One service."""

    def __init__(self, project: Any, name: str, service: dict[str, Any]):
        self.project, self.name, self.service = project, name, service
        self.folder = project.folder / name
        self.root, self.log = self.folder / "root", self.folder / "log"
        self.root.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "PATH": f"{project.programs}:{ROOT / '.venv/bin'}:{postgresql()}:/usr/sbin:/usr/bin:/bin",
            "HOME": "/tmp",
            "OMP_NUM_THREADS": "1",
            **{key: str(value) for key, value in service.get("environment", {}).items()},
        }

    @property
    def user(self) -> str:
        """uid:gid"""
        named = str(self.service.get("user", "10001:10001"))
        if ":" in named or named.isdecimal():
            return named if ":" in named else f"{named}:{named}"
        if named in _OWN_UIDS:
            return f"{_OWN_UIDS[named]}:{_OWN_UIDS[named]}"
        entry = pwd.getpwnam(named)
        return f"{entry.pw_uid}:{entry.pw_gid}"

    def start(self) -> None:
        script = self.folder / "start.sh"
        script.write_text("\n".join(["set -eu", *self._mounts(), f"exec {shlex.join(self._entered())}"]))
        with self.log.open("ab") as log:
            elsewhere = [
                "nsenter",
                f"--net=/run/netns/{self.project.network.name}",
                "unshare",
                "--mount",
                "--uts",
                "--ipc",
            ]
            self.process = subprocess.Popen(
                [*elsewhere, "sh", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def healthy(self) -> bool:
        """The health check of the compose file, run inside as the service's user."""
        test = self.service["healthcheck"]["test"]
        command = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
        return self.run(*command).returncode == 0

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Like `docker compose exec`."""
        assert self.process is not None
        inside = ["nsenter", "-t", str(self._main()), "--mount", "--uts", "--ipc", "--net", "--root"]
        return subprocess.run([*inside, *self._dropped(list(command))], capture_output=True, text=True, timeout=120)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """Like `docker compose stop`: a signal, a grace period, then SIGKILL.

        Returns:
            The exit code.
        """
        if not self.running():
            return self.process.returncode if self.process else 0
        assert self.process is not None
        os.kill(self._main(), STOP_SIGNALS.get(self.name, signal.SIGTERM))
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """Like `docker compose kill`: every process of the container at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        self.process.wait()

    def processes(self) -> list[int]:
        """Ids of all processes in this container, found by their root directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if (entry / "root").samefile(self._root_of_main):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def _main(self) -> int:
        assert self.process is not None
        self._root_of_main = Path(f"/proc/{self.process.pid}/root")
        return self.process.pid

    def _mounts(self) -> list[str]:
        """Shell lines that build the root file system of the container."""
        root = str(self.root)
        lines = [f"mount -t tmpfs -o mode=0755,size=64m none {root}"]
        for mount in self.service.get("tmpfs", []):
            path, _, options = mount.partition(":")
            lines += [f"mkdir -p {root}{path}", f"mount -t tmpfs -o {self._options(options)} none {root}{path}"]
        for path in (*_SYSTEM, *_interpreter(), str(ROOT), *self.project.extra_paths):  # also below /tmp
            lines += _bound(path, root + path, writable=False)
        for path in ("/proc", "/dev"):
            lines += [f"mkdir -p {root}{path}", f"mount --rbind {path} {root}{path}"]
        lines += [f"mount --bind {self.project.hosts} {root}/etc/hosts"]
        for volume in self.service.get("volumes", []):
            source, target, *mode = volume.split(":")
            here = self.project.volume(source, self.user)
            lines += _bound(here, root + target, writable=mode != ["ro"], is_file=Path(here).is_file())
        for secret in self.service.get("secrets", []):
            file = self.project.secret(secret)
            lines += [f"test -e {file} || {{ echo 'bind source path does not exist: {file}' >&2; exit 1; }}"]
            lines += _bound(str(file), f"{root}/run/secrets/{secret}", writable=False, is_file=True)
        if self.service["read_only"]:
            lines.append(f"mount -o remount,ro,bind {root}")
        hostname = f"{self.name}-{self.project.network.name}"
        return [*lines, f"hostname {hostname}"]

    def _options(self, options: str) -> str:
        """Mount options of a tmpfs, with this machine's ids for the image's user 999."""
        uid, gid = self.user.split(":")
        return options.replace("uid=999", f"uid={uid}").replace("gid=999", f"gid={gid}") or "mode=1777"

    def _entered(self) -> list[str]:
        command = [str(part) for part in self.service["command"]]
        if self.name in ENTRYPOINTS:
            command = ["sh", "-euc", ENTRYPOINTS[self.name] + 'exec "$@"', "entrypoint", *command]
        return ["chroot", str(self.root), *self._dropped(command)]

    def _dropped(self, command: list[str]) -> list[str]:
        """The command as the service's user, without any privilege of root."""
        uid, gid = self.user.split(":")
        assert self.service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in self.service["security_opt"]
        drop = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        rights = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *drop]
        variables = [f"{key}={value}" for key, value in self.environment.items()]
        return [*rights, "env", "-i", "--chdir=/", *variables, *command]


def _bound(source: str, target: str, *, writable: bool, is_file: bool = False) -> list[str]:
    """Lines that mount `source` at `target`."""
    if Path(source).is_symlink():
        return [f"mkdir -p {Path(target).parent}", f"ln -s {Path(source).readlink()} {target}"]
    make = f"mkdir -p {Path(target).parent} && : > {target}" if is_file else f"mkdir -p {target}"
    lines = [f"test -e {target} || {{ {make}; }}", f"mount --bind {source} {target}"]
    return lines if writable else [*lines, f"mount -o remount,ro,bind {target}"]


def _interpreter() -> list[str]:
    """The folder of this Python, if not under /usr."""
    base = str(Path(sys.base_prefix).resolve())
    return [] if base.startswith("/usr") else [base]


def wait_until(look: Any, seconds: float, pause: float = 0.5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return True
        time.sleep(pause)
    return False
