"""A custom network in a file without code: packed, read back in the sandbox, with the same outputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import landscape as ls
from landscape.checkpoints.inspect import inspect
from landscape.checkpoints.sandbox import read_in_sandbox
from landscape.engine.graph.record import record
from landscape.errors import CheckpointError, LandscapeError
from landscape.models import build
from landscape.packing.dry_run import dry_run
from landscape.packing.graph_json import from_text, to_text
from landscape.parsers.source import FileError
from tests.landscape.engine.zoo import ZOO, stirred
from tests.support.architectures import SMALL


class GPT(nn.Module):
    """Token and position embeddings, a causal transformer layer, tied output weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(50, 16), nn.Embedding(12, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True, norm_first=True, activation="gelu")
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 50, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        hidden = self.tokens(x) + self.positions(torch.arange(length))
        mask = torch.full((length, length), float("-inf")).triu(1)
        return self.head(self.norm(self.block(hidden, src_mask=mask)))


class UNet(nn.Module):
    """Downsampling, upsampling by transposed convolution and by interpolation, skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.down, self.up = nn.Conv2d(8, 16, 3, padding=1), nn.ConvTranspose2d(16, 8, 2, 2)
        self.group, self.last = nn.GroupNorm(2, 8), nn.Conv2d(24, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.silu(self.norm(self.first(x)))
        two = F.leaky_relu(self.down(F.max_pool2d(one, 2)))
        three = self.group(self.up(two))
        four = F.interpolate(F.max_pool2d(three, 2), scale_factor=2, mode="bilinear")
        return self.last(torch.cat([one, three, four], 1))


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


MODELS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    **{
        name: (lambda name=name: stirred(ZOO[name]()), images(4, 3, 8, 6))  # type: ignore[misc]
        for name in ("resnet-20 with shortcuts", "resnet-20 option A", "vgg", "mlp", "transposed", "attention", "tied")
    },
    "densenet": (lambda: build(SMALL["densenet, CIFAR"][0]), images(*SMALL["densenet, CIFAR"][1])),
    "vit": (lambda: build(SMALL["vit"][0]), images(*SMALL["vit"][1])),
    "gpt": (GPT, torch.arange(36).reshape(3, 12)),
    "unet": (UNet, images(2, 3, 16, 16)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_packed_network_gives_the_numbers_of_the_module(name: str, tmp_path: Path) -> None:
    make, x = MODELS[name]
    model = make().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inspected = inspect(ls.pack(model, x, tmp_path / "network.safetensors"))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    again = inspected.model()
    torch.testing.assert_close(again(x), model.eval()(x), rtol=1e-5, atol=1e-5)
    assert {key: value.shape for key, value in again.named_parameters()} == {
        key: value.shape for key, value in model.named_parameters()
    }
    [candidate] = inspected.candidates
    assert candidate["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert candidate["takes"]["shape"] == list(x.shape[1:])
    assert candidate["takes"]["kind"] == ("tokens" if name == "gpt" else "images")


def test_the_engine_finds_the_same_graph_in_a_packed_network(tmp_path: Path) -> None:
    model = stirred(ZOO["resnet-20 with shortcuts"]())
    again = inspect(ls.pack(model, images(2, 3, 8, 6), tmp_path / "network.safetensors")).model()
    one, other = (record(module, (3, 8, 6), torch.float32) for module in (model, again))
    assert [node.operator for node in one.nodes] == [node.operator for node in other.nodes]


def test_the_vocabulary_of_a_language_model_is_known(tmp_path: Path) -> None:
    [candidate] = inspect(ls.pack(GPT(), MODELS["gpt"][1], tmp_path / "network.safetensors")).candidates
    assert (candidate["vocabulary"], candidate["answers"]) == (50, 50)


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.mean((2, 3), keepdim=True).squeeze())


def test_a_batch_of_one_keeps_its_axis_where_the_network_removes_axes_of_one(tmp_path: Path) -> None:
    model, x = Squeezed(), images(4, 3, 5, 5)
    again = inspect(ls.pack(model, x, tmp_path / "network.safetensors")).model()
    torch.testing.assert_close(again(x), model(x))
    torch.testing.assert_close(again(x[:1]), model(x)[:1])


class Sorting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.sort(1).values)


class Noisy(Sorting):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + torch.randn_like(x))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Sorting(), "aten.sort.default"),
        (Noisy(), "random"),
        (nn.LSTM(3, 4), "tuple"),
        (stirred(ZOO["on values"]()), "depends on values"),
    ],
    ids=["sort", "noise", "lstm", "on values"],
)
def test_what_cannot_be_packed_is_refused_by_name(model: nn.Module, said: str, tmp_path: Path) -> None:
    x = images(2, 3, 4, 4) if "values" in said else images(2, 5, 3) if isinstance(model, nn.LSTM) else images(2, 3)
    with pytest.raises(CheckpointError, match=said):
        ls.pack(model, x, tmp_path / "network.safetensors")
    assert not list(tmp_path.iterdir())


def packed_mlp(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, str]]:
    """The graph of a small packed network as JSON, its tensors and metadata."""
    path = ls.pack(
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), images(2, 3), folder / "good.safetensors"
    )
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["graph"]), tensors, dict(file.metadata())


def set_operator(graph: dict[str, Any], name: str, arguments: list[Any] | None = None) -> None:
    node = next(node for node in graph["nodes"] if "relu" in node[0])
    node[0], node[1] = name, node[1] if arguments is None else [*node[1], *arguments]


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an operator that runs nothing good": (lambda g: set_operator(g, "aten.from_file.default"), "aten.from_file"),
    "uninitialized memory": (lambda g: set_operator(g, "aten.empty_like.default"), "aten.empty_like"),
    "memory by strides": (lambda g: set_operator(g, "aten.as_strided.default", [[9], [9]]), "aten.as_strided"),
    "another namespace": (lambda g: set_operator(g, "prim.device.default"), "prim.device"),
    "an operator that is a list": (lambda g: set_operator(g, ["aten"]), "operator"),  # type: ignore[arg-type]
    "a tensor read before it is made": (lambda g: g["nodes"].reverse(), "not what"),
    "a tensor made twice": (lambda g: g["nodes"].append(g["nodes"][-1]), "twice"),
    "no output": (lambda g: g.update(output=999), "no output"),
    "an unknown input type": (lambda g: g["input"].update(dtype="complex64"), "unknown input"),
    "samples of terabytes": (lambda g: g["input"].update(shape=[2**20, 2**20]), "impossible"),
    "a result of terabytes": (
        lambda g: set_operator(g, "aten.repeat.default", [[2**20, 2**20]]),
        "than can be counted",
    ),
    "sizes that do not fit": (lambda g: g["input"].update(shape=[5]), "do not belong together"),
    "numbers beyond 64 bits": (lambda g: set_operator(g, "aten.sum.dim_IntList", [[2**70]]), "not what"),
    "deep arguments": (lambda g: set_operator(g, "aten.sum.dim_IntList", [[[[[[[1]]]]]]]), "not what"),
    "an unknown option": (lambda g: g["nodes"][0][2].update(out={"t": 0}), "refuses"),
    "more results": (lambda g: g["nodes"][0][3].append(77), "other results"),
    "a parameter without tensor": (lambda g: g["parameters"].update(extra=500), "extra"),
    "no sizes for a norm": (
        lambda g: set_operator(g, "aten.native_batch_norm.default", [None, None, None, None, True, 0.1, 1e-5]),
        "do not belong together",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    change, said = HOSTILE[name]
    graph, tensors, metadata = packed_mlp(tmp_path)
    change(graph)
    save_file(tensors, tmp_path / "bad.safetensors", {**metadata, "graph": json.dumps(graph)})
    from landscape.checkpoints.checkpoint import describe
    from landscape.parsers.source import Source

    with (tmp_path / "bad.safetensors").open("rb") as file, pytest.raises(LandscapeError) as caught:
        describe(Source(file))
    assert said in str(caught.value)
    assert len(str(caught.value)) <= 500


def test_a_hostile_graph_is_refused_in_the_sandbox(tmp_path: Path) -> None:
    graph, tensors, metadata = packed_mlp(tmp_path)
    set_operator(graph, "aten.from_file.default")
    save_file(tensors, tmp_path / "bad.safetensors", {**metadata, "graph": json.dumps(graph)})
    answer = read_in_sandbox("checkpoint", tmp_path / "bad.safetensors", tmp_path / "clean")
    assert "aten.from_file" in answer["rejected"]


def test_a_lookup_out_of_range_is_found_by_the_dry_run() -> None:
    class Lookup(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.last = nn.Embedding(4, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x + self.table(torch.tensor([1]))[0])

    model = Lookup()
    graph = record(model.eval(), (3,), torch.float32)
    tensors = {**dict(model.named_parameters()), **{f"@constant/{i}": t + 40 for i, t in graph.constants.items()}}
    with pytest.raises(FileError, match="cannot be computed: index out of range"):
        dry_run(from_text(to_text(graph, sample=(3,), dtype="float32")), {k: v.detach() for k, v in tensors.items()})
