"""The data folder and its database: closed to other accounts, and every command says what is wrong with them."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from landscape.cli.main import main
from service.data_folder import open_data_folder
from service.database.sessions import Database
from service.database.tables import Count, Job
from service.errors import ServiceError
from service.settings import Settings

COMMANDS = {
    "up": ("up",),
    "serve": ("serve",),
    "worker": ("worker",),
    "token make": ("token", "make", "--user", "ada"),
    "token list": ("token", "list"),
    "backup": ("backup", "TARGET"),
    "restore": ("restore", "TARGET"),
    "clean": ("clean",),
}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(command: str, data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that is refused says; on a refusal nothing is started."""
    words = [str(data.parent / "backup.tar") if word == "TARGET" else word for word in COMMANDS[command]]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--data", str(data)])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    return said.err.strip()


def test_everything_in_a_new_data_folder_is_closed_to_other_accounts(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    with pytest.raises(SystemExit) as ended:
        main(["token", "make", "--user", "ada", "--data", str(data)])
    assert ended.value.code == 0
    with pytest.raises(SystemExit):
        main(["backup", str(tmp_path / "backup.tar"), "--data", str(data)])
    found = [data, *data.rglob("*"), tmp_path / "backup.tar"]
    assert data / "landscape.sqlite" in found
    assert [path for path in found if mode(path) & 0o077] == []


def test_an_empty_folder_is_closed_to_other_accounts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    open_data_folder(Settings(data=tmp_path / "data"))
    assert mode(tmp_path / "data") == 0o700


@pytest.mark.parametrize("command", COMMANDS)
def test_an_open_folder_with_an_open_database_is_refused_until_the_printed_command_was_run(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "a folder with 'marks'"
    data.mkdir()
    Database(f"sqlite:///{data / 'landscape.sqlite'}").engine.dispose()
    (data / "landscape.sqlite").chmod(0o644)
    data.chmod(0o750)
    said = refusal(command, data, capsys)
    assert said.startswith("Other accounts of this machine may open ")
    assert (mode(data), mode(data / "landscape.sqlite")) == (0o750, 0o644)
    subprocess.run(["sh", "-c", said.partition("Close it to them with: ")[2]], check=True)
    open_data_folder(Settings(data=data))
    assert (mode(data), mode(data / "landscape.sqlite")) == (0o700, 0o600)


def test_an_open_database_elsewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite"
    elsewhere.touch(mode=0o640)
    with pytest.raises(ServiceError, match=f"chmod 600 {re.escape(str(elsewhere))}$"):
        open_data_folder(Settings(data=tmp_path / "data", database=f"sqlite:///{elsewhere}"))


def test_sqlite_creates_its_files_for_this_account_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'landscape.sqlite'}")
    with database.reading() as session:
        session.scalar(select(func.count(Job.id)))
        modes = {path.name: mode(path) for path in tmp_path.iterdir()}
    database.engine.dispose()
    names = ("landscape.sqlite", "landscape.sqlite-wal", "landscape.sqlite-shm")
    assert modes == dict.fromkeys(names, 0o600)


def _a_file(data: Path) -> str:
    data.write_text("a file")
    return r"The data folder cannot be .*/data, which is a file\. Name a folder\."


def _below_a_file(data: Path) -> str:
    data.symlink_to(data.parent / "file" / "inside")
    (data.parent / "file").touch()
    return r"The data folder .*/file/inside cannot be used: Not a directory\. Name another with --data, .*"


def _no_database(data: Path) -> str:
    data.mkdir(mode=0o700)
    (data / "landscape.sqlite").write_bytes(b"This is not a database. " * 100)
    (data / "landscape.sqlite").chmod(0o600)
    return r"The database is damaged: file is not a database\. .* landscape restore BACKUP --data NEW-FOLDER"


def _damaged(data: Path) -> str:
    data.mkdir(mode=0o700)
    Database(f"sqlite:///{data / 'landscape.sqlite'}").engine.dispose()
    file = data / "landscape.sqlite"
    file.write_bytes(file.read_bytes()[:100] + bytes([255]) * (file.stat().st_size - 100))
    return r"The database is damaged: database disk image is malformed\. .*"


def _of_another_program(data: Path) -> str:
    data.mkdir(mode=0o700)
    with closing(sqlite3.connect(data / "landscape.sqlite")) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    (data / "landscape.sqlite").chmod(0o600)
    return r"The database is that of another program: it has a table 'songs', .*"


def _a_folder_for_a_database(data: Path) -> str:
    (data / "landscape.sqlite").mkdir(parents=True, mode=0o700)
    data.chmod(0o700)
    return r"The database does not answer: unable to open database file\. Is it a file of this account, .*"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "make", [_a_file, _below_a_file, _no_database, _damaged, _of_another_program, _a_folder_for_a_database]
)
def test_every_command_says_in_a_sentence_what_is_wrong_with_the_data(
    tmp_path: Path, command: str, make: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = make(tmp_path / "data")
    before = files(tmp_path / "data")
    assert re.fullmatch(expected, refusal(command, tmp_path / "data", capsys))
    assert files(tmp_path / "data").items() >= before.items()


def files(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data.parent.rglob("*") if path.is_file()}


def test_damage_that_is_found_on_the_way_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database = Database(f"sqlite:///{data / 'landscape.sqlite'}")
    with database.writing() as session:
        session.add_all(Count(name=f"counter {n}", label="x" * 500, value=1.0) for n in range(1000))
    database.engine.dispose()
    file = data / "landscape.sqlite"
    content = bytearray(file.read_bytes())
    for page in range(len(content) // 2 // 4096, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    file.write_bytes(content)
    assert refusal("backup", data, capsys).startswith("The database is damaged: database disk image is malformed.")


READ_ONLY = 'mount -t tmpfs tmpfs "$1" && mkdir -m 700 "$1/data" && mount -o remount,ro "$1" && shift && exec "$@"'


def test_a_disk_that_is_read_only_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "landscape.cli", "token", "list", "--data", str(tmp_path / "data")]
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine has no mount namespaces")
    words = ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(tmp_path), *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert done.stderr.startswith(f"The data folder {tmp_path / 'data'} is on a disk that is read-only. Name another")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
@pytest.mark.parametrize("folder", [".", "data"])
def test_a_folder_of_another_account_is_named(tmp_path: Path, folder: str) -> None:
    data = tmp_path / "data"
    (tmp_path / folder).mkdir(mode=0o700, exist_ok=True)
    os.seteuid(65_534)
    try:
        with pytest.raises(ServiceError, match=r"^The data folder .* cannot be used: Permission denied\. Name another"):
            open_data_folder(Settings(data=data))
    finally:
        os.seteuid(0)
