"""The commands in docs/lab.md for a container engine, those that can be run without one."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import landscape as ls
from tests.compose.project import Project, open_path
from tests.compose.reading import compose
from tests.compose.test_lab import SKIP, client_of
from tests.docs.documents import blocks
from tests.support.paths import ROOT

SCRIPTS = [block.code for block in blocks("docs/lab.md") if block.remark == "engine"]


def lines(script: str) -> Iterator[list[str]]:
    for line in script.splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def typed(project: Project, script: str, folder: Path) -> list[str]:
    """Run a block; `exec`, `cp` and `run` act on the project's containers.

    Returns:
        The output of each command.
    """
    answers = []
    for words in lines(script):
        if words[:4] == ["docker", "compose", "exec", "-T"]:
            done = project.containers[words[4]].run(*words[5:])
            assert done.returncode == 0, (words, done.stderr)
            answers.append(done.stdout)
        elif words[:3] == ["docker", "compose", "cp"]:
            copied(project, *words[3:], folder=folder)
        elif words[:5] == ["docker", "compose", "run", "--rm", "-T"]:
            answers.append(project.once(words[7], words[8:], str(folder / words[6].removeprefix("./"))))
        elif words[:3] == ["docker", "compose", "up"]:
            project.up(*[word for word in words[3:] if not word.startswith("-")])
    return answers


def copied(project: Project, source: str, target: str, *, folder: Path) -> None:
    def place(name: str) -> Path:
        service, _, path = name.rpartition(":")
        assert not service or path.startswith("/data/")
        return project.folder / "volumes" / "data" / Path(path).name if service else folder / path

    goal = place(target) / place(source).name if target == "." else place(target)
    shutil.copy(place(source), goal)
    goal.chmod(0o644)


def script(words: str) -> str:
    [found] = [one for one in SCRIPTS if words in one]
    return found


def test_tokens_are_created_as_documented(lab: Project, tmp_path: Path) -> None:
    [secret, table] = typed(lab, script("token make --user ada"), tmp_path)
    assert "ada" in table
    port = lab.containers["api"].service["ports"][0].split(":")[1]
    with ls.Client(f"http://127.0.0.1:{port}", secret.strip()) as client:
        assert client.jobs() == []
    [secret] = typed(lab, script("--scopes work"), tmp_path)
    assert secret.strip()


def test_a_backup_of_one_lab_fills_another(lab: Project, prepare: Callable[..., Project], tmp_path: Path) -> None:
    with client_of(lab) as client:
        checkpoint = client.upload(SKIP, name="kept", progress=False)
        job = client.slice(checkpoint, grid=ls.Grid.line(3), subset=20)
        before = job.wait(progress=False)
    typed(lab, script("landscape backup"), tmp_path)
    assert "monday.tar" not in lab.containers["api"].run("ls", "/data").stdout
    other = prepare(LAB_WORKERS="1")
    open_path(tmp_path)
    typed(other, script("landscape restore"), tmp_path)
    with client_of(other) as client:
        assert client.checkpoint(checkpoint.id).name == "kept"
        assert (client.job(job.id).fetch().losses == before.losses).all()
        assert client.slice(checkpoint.id, grid=ls.Grid.line(3), subset=10).wait(progress=False).computed.all()


def test_the_role_of_an_earlier_volume_is_demoted_as_documented(lab: Project, tmp_path: Path) -> None:
    """Here the role has no rights any more; tests/compose/test_database_role.py demotes one that has."""
    commands = [line for line in script("demote.sql").splitlines() if "exec" in line]
    assert typed(lab, "\n".join(commands), tmp_path) == ["The role landscape is no superuser: nothing to do.\n"]


@pytest.mark.parametrize(
    "words", [words for one in SCRIPTS for words in lines(one) if words[:2] == ["docker", "compose"]]
)
def test_what_the_page_names_exists_in_the_files(words: list[str]) -> None:
    files = [ROOT / words[n + 1] for n, word in enumerate(words) if word == "-f"]
    project = compose(*files)
    for n, word in enumerate(words):
        if word == "--profile":
            assert [name for name, one in project["services"].items() if words[n + 1] in one.get("profiles", [])]
        if word == "exec":
            assert words[n + 2] in project["services"]


def test_every_service_and_variable_that_the_page_names_exists() -> None:
    page = (ROOT / "docs/lab.md").read_text()
    services = compose()["services"]
    for name in re.findall(r"(?:up -d|restart|logs(?: --tail \d+)?) (\w+)`", page):
        assert name in services, name
    example = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\b((?:LAB|LANDSCAPE)_[A-Z_]*[A-Z0-9])\b", page)):
        assert name in example or name in (ROOT / "docker-compose.yml").read_text() or name.startswith("LAB_GPU"), name
