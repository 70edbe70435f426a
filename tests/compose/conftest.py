"""The project of docker-compose.yml, started once for all tests that do not change it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compose.container import why_not
from tests.compose.project import Project, make_programs, make_secrets, open_path
from tests.support.service import free_port


@pytest.fixture(scope="session")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Project]]:
    """Makes projects that are not started yet; all are stopped at the end."""
    if reason := why_not():
        pytest.skip(f"containers are made of namespaces here, and {reason}")
    made: list[Project] = []

    def project(*profiles: str, **variables: str) -> Project:
        folder = tmp_path_factory.mktemp("lab")
        open_path(folder)
        make_secrets(folder / "secrets")
        ports = {"LAB_PORT": str(free_port()), "LAB_HTTP_PORT": str(free_port()), "LAB_HTTPS_PORT": str(free_port())}
        variables = {**ports, "LAB_WORKERS": "2", **variables}
        made.append(Project(folder, make_programs(folder / "programs"), profiles=profiles, **variables))
        return made[-1]

    yield project
    for one in made:
        one.down()


@pytest.fixture(scope="session")
def lab(prepare: Callable[..., Project]) -> Project:
    """The service as `docker compose up -d` starts it."""
    project = prepare()
    project.up()
    return project


@pytest.fixture(scope="session")
def admin_token(lab: Project) -> str:
    return Path(lab.secret("admin_token")).read_text()
