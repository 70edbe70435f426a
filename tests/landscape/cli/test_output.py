"""What the commands print: names of others cannot steer the terminal."""

import ast
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from landscape.cli.main import main
from landscape.cli.output import say
from landscape.client.flow import Reply, _refusal
from landscape.terminal import printable
from service.cli.common import report
from service.database.tables import Job
from service.supervisor.run import _summary
from tests.support.paths import ROOT

HOSTILE = "a\x1b]0;title\x07\x1b[2J\r\nroot  done\u202egpj.exe\u2066\x9b31m\u2028\x7f\ud800"
PRINTS = {("landscape/cli/output.py", "say"), ("landscape/cli/output.py", "print_json")}
PRINTS |= {
    ("service/cli/common.py", "report"),
    ("service/cli/tokens.py", "make"),
    ("service/cli/tokens.py", "list_tokens"),
}


def is_harmless(line: str) -> bool:
    return all(one.isprintable() or one == "\u3000" for one in line)


def test_characters_that_steer_a_terminal_are_spelt_out_and_letters_are_not() -> None:
    assert is_harmless(printable(HOSTILE))
    assert printable("Größe 試験\u3000é ✓ ± λ_max") == "Größe 試験\u3000é ✓ ± λ_max"
    assert printable("\x1b\u202e\n\ud800") == r"\x1b\u202e\n\ud800"


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"first {HOSTILE}", "second")
    report(f"third {HOSTILE}")
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[:-1]] == ["first", "second", "third"]
    assert all(is_harmless(line) for line in lines)


def test_the_name_and_the_error_of_a_job_are_printed_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(name=HOSTILE, error=HOSTILE, kind="surface", state="failed", points=1, points_done=0, finished=2.0)
    report(_summary(job))
    assert is_harmless(capsys.readouterr().out.removesuffix("\n"))


def test_an_error_is_printed_harmlessly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", str(tmp_path / "\x1b[2J\u202e")])
    with pytest.raises(SystemExit):
        main(["login", "--server", "http://\x1b[2J", "--token-file", str(Path(__file__))])
    assert "\x1b" not in capsys.readouterr().err


def test_names_of_tensors_are_printed_harmlessly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"fc.weight\x1b[2J\u202e": torch.zeros(3, 2)}, file)
    with pytest.raises(SystemExit):
        main(["inspect", str(file)])
    said = capsys.readouterr()
    assert "\x1b[2J" not in said.out + said.err
    assert "\u202e" not in said.out + said.err


@pytest.mark.parametrize("folder", ["landscape/cli", "service/cli", "service/supervisor"])
def test_commands_print_by_the_functions_that_spell_out(folder: str) -> None:
    """Except JSON, which escapes by itself, and a secret that the service made."""
    found = set()
    for path in sorted((ROOT / folder).glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and any(_prints(node) for node in ast.walk(function)):
                found.add((str(path.relative_to(ROOT)), function.name))
    assert found <= PRINTS


def _prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "print",
        "typer.echo",
        "typer.secho",
        "sys.stdout.write",
    )


def test_the_message_of_a_service_is_harmless_in_a_traceback() -> None:
    body = json.dumps({"error": {"code": "invalid", "message": HOSTILE}}).encode()
    error = _refusal(Reply(422, {}, body))
    assert is_harmless(str(error))
    assert str(error).startswith("a\\x1b]0;title")
