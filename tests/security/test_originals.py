"""What a packed file says of its original is hostile data: sizes, types, numbers and work are checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import landscape as ls
from landscape.checkpoints.checkpoint import describe
from landscape.checkpoints.sandbox import read_in_sandbox
from landscape.errors import LandscapeError
from landscape.packing import EARLIER
from landscape.packing.original import MOST_WORK
from landscape.packing.trials import MOST_BYTES
from landscape.parsers.source import Source

Parts = tuple[dict[str, Any], dict[str, Tensor], dict[str, str]]
EXAMPLE, FIRST, LAST = "@original/example", "@original/outputs/0", "@original/outputs/5"


class Lookup(nn.Module):
    """Tokens (N, 4) of 5 kinds -> (N, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(5, 3), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.table(x).flatten(1))


def parts(folder: Path, *, tokens: bool = False) -> Parts:
    """The graph of a small packed network as JSON, its tensors and metadata."""
    model = Lookup() if tokens else nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    example = torch.tensor([[0, 1, 2, 4]]) if tokens else torch.ones(2, 3)
    path = ls.pack(model, example, folder / "good.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["graph"]), tensors, dict(file.metadata())


def written(folder: Path, graph: dict[str, Any], tensors: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    path = folder / "bad.safetensors"
    save_file(tensors, path, {**metadata, "graph": json.dumps(graph)})
    return path


def put(name: str, tensor: Tensor) -> Callable[..., None]:
    def change(graph: dict[str, Any], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        tensors[name] = tensor

    return change


def spoiled(name: str, value: float) -> Callable[..., None]:
    def change(graph: dict[str, Any], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        tensors[name].view(-1)[0] = value

    return change


def said(**entries: Any) -> Callable[..., None]:
    def change(graph: dict[str, Any], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        graph["original"].update(entries)

    return change


HOSTILE: dict[str, tuple[Callable[..., None], str]] = {
    "a long example": (put(EXAMPLE, torch.ones(MOST_BYTES // 4 + 1)), "impossible length"),
    "no example": (put(EXAMPLE, torch.ones(0)), "impossible length"),
    "an example of axes": (put(EXAMPLE, torch.ones(2, 3)), "impossible length"),
    "an example of integers": (put(EXAMPLE, torch.ones(6, dtype=torch.int64)), "another type"),
    "an example of complex numbers": (put(EXAMPLE, torch.ones(6, dtype=torch.complex64)), "another type"),
    "NaN in the example": (spoiled(EXAMPLE, float("nan")), "NaN or infinity"),
    "infinity in the example": (spoiled(EXAMPLE, float("inf")), "not finite"),
    "NaN in outputs": (spoiled(FIRST, float("nan")), "NaN or infinity"),
    "infinity in outputs": (spoiled(LAST, -float("inf")), "not finite"),
    "wide outputs": (put(FIRST, torch.ones(2, 3)), "impossible shape"),
    "outputs of more samples": (put(FIRST, torch.ones(3, 2)), "impossible shape"),
    "outputs without axes": (put(FIRST, torch.ones(4)), "impossible shape"),
    "outputs of integers": (put(FIRST, torch.ones(2, 2, dtype=torch.int64)), "not finite real"),
    "outputs of complex numbers": (put(FIRST, torch.ones(2, 2, dtype=torch.complex64)), "not finite real"),
    "no outputs": (lambda graph, tensors, _: tensors.pop(LAST), "'@original/outputs/5' is only in one"),
    "the example is missing": (lambda graph, tensors, _: tensors.pop(EXAMPLE), "'@original/example' is only in one"),
    "outputs of no trial": (put("@original/outputs/6", torch.ones(1, 2)), "'@original/outputs/6' is only in one"),
    "a word is missing": (lambda graph, *_: graph.pop("original"), "does not belong to its format"),
    "more than the format has": (lambda _, __, metadata: metadata.update(format=EARLIER[0]), "does not belong"),
    "an unknown type": (said(precision="float8"), "nothing known"),
    "a type that is a list": (said(precision=[]), "nothing known"),
    "no type": (lambda graph, *_: graph["original"].pop("precision"), "not what landscape.pack writes"),
    "many trials": (said(trials=[["noise", 1, 0]] * 7), "nothing known"),
    "trials that are a word": (said(trials="noise"), "nothing known"),
    "a trial of many samples": (said(trials=[["noise", 8, 0]]), "unknown way"),
    "a trial of no samples": (said(trials=[["noise", 0, 0]]), "unknown way"),
    "a trial far away": (said(trials=[["noise", 1, 3]]), "unknown way"),
    "a trial of something else": (said(trials=[["nothing", 1, 0]]), "unknown way"),
    "a trial of true": (said(trials=[["noise", True, 0]]), "not what landscape.pack writes"),
    "a trial of too much": (said(trials=[["noise", 1, 0, 0]]), "not what landscape.pack writes"),
    "a number for an original": (lambda graph, *_: graph.update(original=7), "not what landscape.pack writes"),
}


def refused(path: Path) -> str:
    with path.open("rb") as file, pytest.raises(LandscapeError) as caught:
        describe(Source(file))
    assert len(str(caught.value)) <= 500
    return str(caught.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_original_is_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    change, words = HOSTILE[name]
    given = parts(tmp_path)
    change(*given)
    assert words in refused(written(tmp_path, *given))


@pytest.mark.parametrize("token", [-1, 5, 2**40])
def test_a_token_out_of_range_is_refused(token: int, tmp_path: Path) -> None:
    graph, tensors, metadata = parts(tmp_path, tokens=True)
    tensors[EXAMPLE][0] = token
    assert "tokens that it does not know" in refused(written(tmp_path, graph, tensors, metadata))


def test_a_hostile_original_is_refused_in_the_sandbox(tmp_path: Path) -> None:
    given = parts(tmp_path)
    given[1][FIRST] = torch.ones(2, 7)
    answer = read_in_sandbox("checkpoint", written(tmp_path, *given), tmp_path / "clean")
    assert "impossible shape" in answer["rejected"]
    assert not (tmp_path / "clean").exists()


def costly(*trials: list[Any]) -> Parts:
    """A network of 1.6e10 multiply-adds a sample, tried so."""
    described = {
        "input": {"index": 0, "shape": [4096], "dtype": "float32"},
        "parameters": {"w": 1},
        "buffers": {},
        "constants": [],
        "nodes": [
            ["aten.view.default", [{"t": 0}, [{"n": [1, 0]}, 4096, 1]], {}, [2]],
            ["aten.expand.default", [{"t": 2}, [{"n": [1, 0]}, 4096, 2000]], {}, [3]],
            ["aten.bmm.default", [{"t": 3}, {"t": 4}], {}, [5]],
            ["aten.sum.dim_IntList", [{"t": 5}, [1]], {}, [6]],
        ],
        "output": 6,
        "original": {"precision": "float32", "trials": list(trials)},
    }
    described["nodes"].insert(2, ["aten.expand.default", [{"t": 1}, [{"n": [1, 0]}, 2000, 2000]], {}, [4]])  # type: ignore[attr-defined]
    outputs = {f"@original/outputs/{at}": torch.ones(count, 256) for at, (_, count, _) in enumerate(trials)}
    return described, {"w": torch.ones(2000, 2000), EXAMPLE: torch.ones(8), **outputs}, {}


def test_trials_of_more_work_than_packing_does_are_refused(tmp_path: Path) -> None:
    _, _, metadata = parts(tmp_path)
    graph, tensors, _ = costly(*[["noise", 1, 0]] * 6)
    assert MOST_WORK > 6 * 4096 * 2000 * 2000  # few enough
    with written(tmp_path, graph, tensors, metadata).open("rb") as file:
        assert describe(Source(file)).packed
    graph, tensors, _ = costly(["noise", 1, 0], ["noise", 2, 0])
    assert "more samples than such a network" in refused(written(tmp_path, graph, tensors, metadata))


def test_outputs_of_another_network_are_read_and_fail_the_check(tmp_path: Path) -> None:
    graph, tensors, metadata = parts(tmp_path)
    tensors[LAST] += 1
    model = ls.inspect(written(tmp_path, graph, tensors, metadata)).model()
    result = ls.slice(model, torch.ones(4, 3), torch.arange(4) % 2, progress=False)
    [line] = [check for check in result.checks if check.name == "original module"]
    assert not line.passed
