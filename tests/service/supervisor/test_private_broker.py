"""The folder of the private broker: removed by the next start if its supervisor was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.supervisor.private_broker import PrivateBroker

HOLDS_ONE = """
from service.supervisor.private_broker import PrivateBroker
broker = PrivateBroker()
print(broker.folder, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def own_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # so that the variable is read again


def test_the_folder_of_a_killed_supervisor_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    others = tmp_path / "landscape-broker-of-someone-else"
    others.mkdir()
    link = tmp_path / "landscape-broker-link"
    link.symlink_to(others)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        (folder / "broker.conf").write_text("of its broker")
        PrivateBroker().remove()
        assert (folder / "broker.conf").exists()
        os.kill(process.pid, signal.SIGKILL)
    own = PrivateBroker()
    assert not folder.exists()
    assert {path.name for path in tmp_path.iterdir()} == {own.folder.name, others.name, link.name}
    own.remove()
    assert not own.folder.exists()
