"""The awaitable client is generated from the blocking one, and is up to date."""

from pathlib import Path

import pytest

from landscape.client import generate_aio


def test_the_awaitable_client_is_what_the_script_generates() -> None:
    generated = generate_aio.generated(generate_aio.SOURCE.read_text())
    assert generate_aio.TARGET.read_text() == generated, "aio.py is out of date: run `make client`"


def test_a_check_of_an_outdated_file_prints_the_difference_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outdated = tmp_path / "aio.py"
    outdated.write_text(generate_aio.TARGET.read_text().replace("async def close", "def close"))
    before = outdated.read_bytes()
    monkeypatch.setattr(generate_aio, "TARGET", outdated)
    assert generate_aio.main(["--check"]) == 1
    assert "+    async def close" in capsys.readouterr().out
    assert outdated.read_bytes() == before
    assert generate_aio.main([]) == 0
    assert generate_aio.main(["--check"]) == 0
