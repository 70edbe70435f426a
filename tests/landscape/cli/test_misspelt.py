"""The shell answers a misspelt command, option or value with the near one."""

import pytest

from tests.landscape.cli.test_compute import SKIP, run


@pytest.mark.parametrize(
    ("arguments", "code", "near"),
    [
        (["surfase", SKIP], 2, "Did you mean 'surface'?"),
        (["surface", SKIP, "--normalisation", "filter"], 2, "--normalization"),
        (["curvature", SKIP, "--stepz", "20"], 2, "--steps"),
        (["surface", SKIP, "--subset", "20", "-o", "x.npz", "--normalization", "filtre"], 1, "Did you mean 'filter'?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_near_one(
    arguments: list[str], code: int, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    assert near in capsys.readouterr().err
