"""Files replaced in one step, and their digests."""

import hashlib
import io
import stat
from pathlib import Path

import pytest

from landscape.disk import digest_of, move_durably, write_durably


def test_a_file_is_replaced_and_nothing_else_is_left_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"\r\nnew\0"):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_new_content_cannot_be_written_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    with pytest.raises(TypeError):
        write_durably(path, 3)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_file_is_moved_into_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    move_durably(tmp_path / "a", tmp_path / "folder" / "b")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
    assert (tmp_path / "folder" / "b").read_bytes() == b"x"


def test_the_digest_is_that_of_the_whole_file_or_of_the_rest_of_an_open_one(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert digest_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    opened = io.BytesIO(content)
    opened.seek(7)
    assert digest_of(io.BufferedReader(opened)) == hashlib.sha256(content[7:]).hexdigest()  # type: ignore[arg-type]
