"""Bills of materials in CycloneDX: `make sbom` writes what each image holds, from the locks.

    api.json       packages of the API, with the libraries that the page loads, on the base image with Python
    worker.json    packages of a worker, with torch and its CUDA libraries, on the same base image
    lab.json       the images that docker-compose.yml starts beside them

Packages have the hashes of the files that may be installed; Debian's packages in the images are not listed: the
digest of an image fixes them, and a scanner of images reads them. Usage: python -m deploy.sbom FOLDER
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name
from plotly.offline import get_plotlyjs_version

from deploy import images, lock

LOCKS = {"api": ("api",), "worker": ("worker", "torch")}


def packages(name: str) -> Iterator[Component]:
    """Every package of a lock."""
    for need, lines in lock.blocks((lock.FOLDER / f"{name}.txt").read_text()):
        [pin] = need.specifier
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", lines)
        yield _component("pypi", canonicalize_name(need.name), pin.version, hashes)


def libraries_of_the_page() -> Iterator[Component]:
    """What frontend/vendor/ holds, and plotly.js, which the API serves out of the package plotly."""
    table = (lock.ROOT / "frontend/vendor/README.md").read_text()
    for name, version in re.findall(r"(?m)^\| `[^`]+` \| ([\w.-]+) \(.*\|\s*(\d[\w.]*)\s*\|[^|]*\|$", table):
        yield _component("npm", name, version)
    yield _component("npm", "plotly.js", get_plotlyjs_version())


def base_images() -> Iterator[Component]:
    """Every image that the Dockerfile builds on or that docker-compose.yml starts, by digest."""
    for pin in images.pins(lock.ROOT):
        hashes = [pin.digest.removeprefix("sha256:")] if pin.digest else []
        yield _component("docker", pin.name, pin.tag, hashes, ComponentType.CONTAINER)


def _component(
    kind: str,
    name: str,
    version: str,
    hashes: list[str] | None = None,
    type_: ComponentType = ComponentType.LIBRARY,
) -> Component:
    namespace, _, short = name.rpartition("/")
    address = PackageURL(kind, namespace or None, short, version)
    return Component(
        name=name,
        version=version,
        type=type_,
        purl=address,
        bom_ref=str(address),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes or ()],
    )


def bill(subject: str, components: list[Component]) -> str:
    """One document."""
    version = re.search(r'(?m)^version = "(.+)"$', (lock.ROOT / "pyproject.toml").read_text())
    assert version is not None
    document = Bom(components=components)
    document.metadata.component = Component(
        name=f"loss-landscape-{subject}",
        version=version[1],
        type=ComponentType.CONTAINER if subject != "lab" else ComponentType.APPLICATION,
        bom_ref=f"loss-landscape-{subject}",
    )
    document.register_dependency(document.metadata.component, components)
    return JsonV1Dot6(document).output_as_string(indent=1)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pinned = {component.name: component for component in base_images()}
    python = [pinned.pop("python")]
    for subject, locks in LOCKS.items():
        found = [component for name in locks for component in packages(name)] + python
        found += libraries_of_the_page() if subject == "api" else ()
        (folder / f"{subject}.json").write_text(bill(subject, found))
    (folder / "lab.json").write_text(bill("lab", list(pinned.values())))
    print(f"Written to {folder}: {', '.join(sorted(path.name for path in folder.glob('*.json')))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
