"""`landscape train`, and the gallery's checkpoints that it made."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import landscape as ls
from landscape.cli.main import main
from landscape.data import load
from landscape.models.recognize import from_json, recognize
from landscape.training.train import evaluate
from tests.support.paths import GALLERY

pytestmark = pytest.mark.usefixtures("threads_restored")
RECORDS: list[dict[str, Any]] = json.loads((GALLERY / "records.json").read_text())
SMALL = ("train", "--depth=8", "--width=2", "--epochs=2", "--batch=400", "--no-shortcuts", "--lr=0.05", "--seed=3")


@pytest.fixture
def threads_restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from landscape.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    done = run(*SMALL, "-o", "one", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"ResNet-8, width 2, without shortcuts: loss \d\.\d{4}, train error .*written to one", done.stdout)
    return folder


def test_train_writes_a_checkpoint_a_trajectory_and_a_record(folder: Path) -> None:
    found = sorted(path.relative_to(folder / "one").as_posix() for path in (folder / "one").rglob("*.*"))
    epochs = [f"trajectory/epoch-{number:03d}.safetensors" for number in range(3)]
    assert found == ["checkpoint.safetensors", "record.json", *epochs]


def test_the_command_in_the_record_reproduces_the_same_bytes(folder: Path) -> None:
    record = json.loads((folder / "one" / "record.json").read_text())
    assert record["sha256"] == hashlib.sha256((folder / "one" / "checkpoint.safetensors").read_bytes()).hexdigest()
    again = run(*record["command"].split()[1:], "-o", "two", cwd=folder)
    assert again.returncode == 0, again.stderr
    for path in (folder / "one").rglob("*.safetensors"):
        assert path.read_bytes() == (folder / "two" / path.relative_to(folder / "one")).read_bytes()


def test_the_record_holds_no_local_path(folder: Path) -> None:
    assert str(folder) not in (folder / "one" / "record.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--depth", "21"], "6n+2 layers"),
        (["--dataset", "mnist"], "Unknown data set 'mnist'. Known: digits, synthetic."),
        (["--epochs", "0"], "'epochs' must be at least 1"),
        (["--lr", "nan"], "'learning_rate' must be a finite number"),
        (["--width", "100000"], "from 1 to 4096"),
        (["--threads", "0"], "'threads' must be at least 1"),
    ],
)
def test_an_invalid_setting_fails_with_one_sentence_on_stderr(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments, "-o", str(tmp_path / "run")])
    out, sentence = capsys.readouterr()
    assert (stopped.value.code, out) == (1, "")
    assert said in sentence
    assert sentence.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_second_run_into_the_same_folder_is_refused(folder: Path) -> None:
    before = (folder / "one" / "record.json").read_bytes()
    done = run(*SMALL, "-o", "one", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "The folder 'one' holds a training run already. Choose another.\n"
    assert (folder / "one" / "record.json").read_bytes() == before


def test_help_does_not_import_torch_or_numpy() -> None:
    code = "import sys; import landscape.cli.main; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_gallery_holds_both_comparisons_in_under_twelve_megabytes() -> None:
    names = {record["name"] for record in RECORDS}
    wanted = {f"resnet56-w{width}-{kind}" for width in (4, 8, 16) for kind in ("skip", "plain")}
    assert names == wanted | {"resnet20-w8-skip", "resnet20-w8-plain"}
    assert {path.name for path in GALLERY.glob("*.safetensors")} == {f"{name}.safetensors" for name in names}
    assert sum(path.stat().st_size for path in GALLERY.glob("*.safetensors")) < 12e6


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_a_shipped_checkpoint_is_what_its_record_says(record: dict[str, Any]) -> None:
    path = GALLERY / record["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
    architecture = from_json(record["architecture"])
    state = load_file(path)
    assert recognize({name: tuple(tensor.shape) for name, tensor in state.items()})[0] == architecture
    module = ls.shipped(record["name"])
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items() if name in state)
    train_loss, train_error = evaluate(module, load("digits", "train"))
    _, test_error = evaluate(module, load("digits", "test"))
    assert train_loss == pytest.approx(record["train_loss"], rel=1e-4)
    assert train_error == pytest.approx(record["train_error"], abs=2 / 1500)
    assert test_error == pytest.approx(record["test_error"], abs=2 / 297)
    with safe_open(path, "pt") as file:
        assert file.metadata()["command"] == record["command"]
