"""The locks of the images' packages hold everything that is installed, in the tested versions, with hashes."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock import BUILD, EXTRAS, FOLDER, blocks, constraints, wanted
from tests.compose.dockerfile import stages
from tests.support.paths import ROOT

LOCKS = sorted(path.stem for path in FOLDER.glob("*.txt"))


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of every package of a lock."""
    found = {}
    for need, lines in blocks((FOLDER / f"{name}.txt").read_text()):
        [pin] = need.specifier
        assert pin.operator == "=="
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", lines)
        assert len(lines.strip().splitlines()) == 1 + len(hashes), lines
        found[canonicalize_name(need.name)] = (pin.version, len(hashes))
    return found


def needed(requirement: Requirement, seen: set[str]) -> Iterator[str]:
    """Names of all packages that a requirement installs, from what is installed here."""
    key = f"{canonicalize_name(requirement.name)}[{','.join(sorted(requirement.extras))}]"
    if key in seen:
        return
    seen.add(key)
    yield canonicalize_name(requirement.name)
    for line in requires(requirement.name) or ():
        other = Requirement(line)
        if _asked(other, requirement.extras):
            yield from needed(other, seen)


def _asked(other: Requirement, extras: set[str]) -> bool:
    return wanted(other) if "extra" not in str(other.marker) else any(_with(other, extra) for extra in extras)


def _with(other: Requirement, extra: str) -> bool:
    return other.marker is not None and other.marker.evaluate({"extra": extra})


def of_extras(extras: tuple[str, ...]) -> set[str]:
    """Names of all packages that extras of the library install, without the library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting, seen, names = [*project["dependencies"]], set[str](), set[str]()
    waiting += [one for extra in extras for one in project["optional-dependencies"][extra]]
    while waiting:
        one = Requirement(waiting.pop())
        if one.name == project["name"]:
            waiting += [more for extra in one.extras for more in project["optional-dependencies"][extra]]
        else:
            names |= set(needed(one, seen))
    return names


@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_holds_everything_that_its_extras_install(lock: str) -> None:
    held = set(locked(lock)) | (set(locked("torch")) if lock == "worker" else set())
    assert of_extras(EXTRAS[lock]) - held == set(), "run `make locks`"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_the_version_of_the_constraints_and_a_hash(lock: str) -> None:
    pinned = constraints()
    for name, (version, hashes) in locked(lock).items():
        assert hashes >= 1, name
        others_of_torch = lock == "torch" and name != "torch"  # CUDA libraries, whose versions torch names
        assert pinned.get(name) == version or others_of_torch or name == BUILD, f"{name}: run `make locks`"


def test_the_locks_overlap_only_where_they_must() -> None:
    assert sorted(["build", "torch", *EXTRAS]) == LOCKS
    assert set(locked("torch")).isdisjoint(locked("worker"))
    assert not {"torch", "scikit-learn", "matplotlib"} & set(locked("api"))
    assert set(locked("api")) < set(locked("api-figures"))


def test_every_install_of_the_images_checks_hashes_or_says_why_not() -> None:
    steps = [text for stage in stages().values() for text in stage.all("RUN") if re.search(r"\bpip\b.* install", text)]
    assert len(steps) == 6
    for step in steps:
        assert "--require-hashes -r " in step or step.endswith("--no-deps /build/wheels/*.whl"), step
    files = set(re.findall(r"deploy/requirements/([a-z]+)", (ROOT / "Dockerfile").read_text()))
    assert files == {"build", "api", "worker", "torch"}
    assert Path(FOLDER / "api-figures.txt").exists()  # by "api${EXTRAS:+-$EXTRAS}.txt"
