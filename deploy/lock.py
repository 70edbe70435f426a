"""Locks of the images' Python packages, with the SHA-256 of every file: `make locks`, after a change of a version.

uv resolves the extras of pyproject.toml with the versions of constraints.txt, for Linux on x86-64 and ARM, and asks the
configured package index for the hashes. One file per install step of the Dockerfile is written to deploy/requirements/:

    build.txt         what builds the wheels
    api.txt           the API
    api-figures.txt   … with EXTRAS=figures
    worker.txt        a worker, without torch
    torch.txt         torch and the CUDA libraries that only it needs, as the default index has them

PyTorch's own indexes hold other builds of torch, with other hashes: with TORCH_INDEX, torch.txt is not used.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy/requirements"
EXTRAS = {
    "api": ("service", "postgresql", "s3"),
    "api-figures": ("service", "postgresql", "s3", "figures"),
    "worker": ("worker", "postgresql", "s3"),
}
BUILD = "setuptools"
MACHINES = ("x86_64", "aarch64")
_PINNED = re.compile(r"(?m)^([A-Za-z0-9._-]+)==(\S+)$")


def constraints() -> dict[str, str]:
    """Version of every package in constraints.txt."""
    return {
        canonicalize_name(name): version for name, version in _PINNED.findall((ROOT / "constraints.txt").read_text())
    }


def blocks(text: str) -> Iterator[tuple[Requirement, str]]:
    """Every requirement of a lock, with its lines."""
    for block in re.findall(r"(?m)^[A-Za-z0-9].*\n(?:[ \t]+.*\n?)*", text):
        yield Requirement(block.splitlines()[0].rstrip(" \\")), block


def wanted(requirement: Requirement) -> bool:
    """Whether an image needs it: Python 3.11 on Linux."""
    images = {"python_version": "3.11", "python_full_version": "3.11.16", "sys_platform": "linux"}
    images |= {"platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"}
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**images, "platform_machine": machine}) for machine in MACHINES)


def resolved(lock: str, source: list[str], given: str = "") -> dict[str, str]:
    """Lines by name of package. Versions that constraints.txt lacks stay as they are in the present lock."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--universal",
    ]
    command += ["--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--constraints", "constraints.txt"]
    if (present := FOLDER / f"{lock}.txt").exists() and "--upgrade" not in sys.argv:
        command += ["--constraints", str(present)]
    command += source
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, str] = {}
    for need, lines in blocks(done.stdout):
        if wanted(need):  # one package may have a version for each machine
            found[canonicalize_name(need.name)] = found.get(canonicalize_name(need.name), "") + lines
    return found


def write(lock: str, packages: dict[str, str]) -> None:
    """Write one lock."""
    head = "# Made by `make locks` (deploy/lock.py): install with --require-hashes.\n"
    (FOLDER / f"{lock}.txt").write_text(head + "".join(packages[name] for name in sorted(packages)))
    print(f"{lock:12}{len(packages):4} packages")


def main() -> None:
    pinned = constraints()
    write("build", resolved("build", ["-"], BUILD))
    torch = resolved("torch", ["-"], "torch")
    only = {name: lines for name, lines in torch.items() if name == "torch" or name not in pinned}
    write("torch", only)
    for lock, extras in EXTRAS.items():
        source = ["pyproject.toml", *(word for extra in extras for word in ("--extra", extra))]
        found = resolved("torch" if lock == "worker" else lock, source)
        write(lock, {name: lines for name, lines in found.items() if lock != "worker" or name not in only})


if __name__ == "__main__":
    main()
