"""Checkpoint contents besides the weights: averaged copies, prefixes, facts, recorded accuracy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from landscape.checkpoints.inspect import inspect
from landscape.checkpoints.sandbox import read_in_sandbox
from landscape.checkpoints.state_dict import mismatch, recorded_accuracy
from landscape.models import build
from landscape.models.mlp_lenet import MLP

ARCHITECTURE = MLP((("a", True),), (3, 2))
TRAINED, AVERAGED = (build(ARCHITECTURE, seed).state_dict() for seed in (0, 1))
EMA: dict[str, Callable[[], Any]] = {
    "timm": lambda: {"state_dict": TRAINED, "state_dict_ema": AVERAGED},
    "a model and its average": lambda: {"model": TRAINED, "model_ema": AVERAGED, "epoch": 3},
    "an average with a shadow": lambda: {"model": TRAINED, "ema": {"shadow": AVERAGED, "decay": 0.999}},
    "one state with prefixes": lambda: {**TRAINED, **{f"ema.{name}": tensor for name, tensor in AVERAGED.items()}},
    "Lightning with prefixes": lambda: {
        "state_dict": {f"{p}.{n}": t for p, s in (("model", TRAINED), ("ema_model", AVERAGED)) for n, t in s.items()}
    },
}


@pytest.mark.parametrize("name", EMA)
def test_a_file_with_an_averaged_copy_has_a_candidate_for_each_copy(name: str, tmp_path: Path) -> None:
    torch.save(EMA[name](), tmp_path / "ema.pt")
    inspected = inspect(tmp_path / "ema.pt")
    assert [one["label"] for one in inspected.candidates] == ["MLP 3-2 (as trained)", "MLP 3-2 (averaged copy, EMA)"]
    for chosen, state in enumerate((TRAINED, AVERAGED)):
        assert torch.equal(inspected.model(chosen).get_parameter("a.weight"), state["a.weight"])


def test_an_averaged_model_alone_is_not_asked_about(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(build(ARCHITECTURE, 1))
    torch.save(averaged.state_dict(), tmp_path / "swa.pt")
    inspected = inspect(tmp_path / "swa.pt")
    assert [one["label"] for one in inspected.candidates] == ["MLP 3-2"]
    assert torch.equal(inspected.model().get_parameter("a.weight"), AVERAGED["a.weight"])


def test_facts_are_texts_and_single_numbers(tmp_path: Path) -> None:
    around = {"epoch": 7, "best_acc1": torch.tensor(93.5), "arch": "mlp", "optimizer": {"lr": 0.1}, "acc": [1, 2]}
    torch.save({"state_dict": TRAINED, **around}, tmp_path / "facts.pt")
    assert read_in_sandbox("checkpoint", tmp_path / "facts.pt", tmp_path / "clean")["facts"] == {
        "arch": "mlp",
        "epoch": "7",
        "best_acc1": "93.5",
    }


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"acc": "94.2"}, ("acc", 0.942)),
        ({"best_acc": "0.5"}, ("best_acc", 0.5)),
        ({"test_error": "0.06"}, ("test_error", 0.94)),
        ({"acc": "nan"}, None),
        ({"acc": "high"}, None),
        ({"epoch": "3"}, None),
    ],
)
def test_the_recorded_accuracy_is_a_share(facts: dict[str, str], expected: tuple[str, float] | None) -> None:
    found = recorded_accuracy(facts)
    assert found == (expected and (expected[0], pytest.approx(expected[1])))


def test_an_accuracy_mismatch_is_reported_and_a_small_difference_is_not() -> None:
    said = "This checkpoint says 94% (acc), here it scores 11% on the test split: wrong normalization or classes?"
    assert mismatch({"acc": "94"}, 0.11, "test") == said
    assert mismatch({"acc": "94"}, 0.9, "test") is None
    assert mismatch({"acc": "94"}, None, "test") is None
    assert mismatch({}, 0.1, "test") is None


LAB = """
import torch
def make():
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.PReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 7))
    model.input_shape = (2, 4, 4)
    return model
"""


def test_an_installed_plugin_adds_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "lab-1.0.dist-info"
    info.mkdir()
    (tmp_path / "lab_networks.py").write_text(LAB)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[landscape.architectures]\nlab-net = lab_networks:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from landscape.checkpoints.load import load
    from landscape.models.plugins import module_called
    from landscape.models.recognize import recognize

    state = module_called("lab-net").state_dict()
    [found] = recognize({name: tuple(tensor.shape) for name, tensor in state.items()})
    assert (found.label, found.input_shape, found.outputs) == ("lab-net", (2, 4, 4), 7)
    x = torch.ones(2, 2, 4, 4)
    again = load({**found.described(), "copy": ""}, state)
    assert torch.equal(again(x)[0], again(x)[1])
    assert torch.equal(again.get_parameter("3.bias"), state["3.bias"])


def test_safetensors_are_read_with_headers_of_any_length(tmp_path: Path) -> None:
    state = build(ARCHITECTURE, 0).state_dict()
    for extra in range(0, 256, 8):
        content = save(state, metadata={"note": "x" * extra})
        if content[0] == 0x80:  # the first byte of a pickle
            (tmp_path / "odd.safetensors").write_bytes(content)
    assert [one["label"] for one in inspect(tmp_path / "odd.safetensors").candidates] == ["MLP 3-2"]
