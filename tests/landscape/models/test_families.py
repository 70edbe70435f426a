"""Every family of networks: counts of the public models, modules with exactly the described names, recognized again."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.checkpoints.load import load
from landscape.errors import UnknownNetworkError
from landscape.models import build
from landscape.models.densenet import DenseNet
from landscape.models.mlp_lenet import MLP, LeNet
from landscape.models.recognize import Architecture, from_json, recognize
from landscape.models.resnet import DeepResNet
from landscape.models.vgg import VGG
from landscape.models.vit import ViT
from tests.support.architectures import SMALL

V9 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M")
V11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
V16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")

PUBLIC: list[tuple[Architecture, str, int]] = [
    (DeepResNet((2, 2, 2, 2), False), "ResNet-18", 11_689_512),
    (DeepResNet((3, 4, 6, 3), False), "ResNet-34", 21_797_672),
    (DeepResNet((3, 4, 6, 3), True), "ResNet-50", 25_557_032),
    (DeepResNet((3, 4, 23, 3), True), "ResNet-101", 44_549_160),
    (DeepResNet((2, 2, 2, 2), False, 3, 64, 10, 3, "shortcut"), "ResNet-18, CIFAR stem", 11_173_962),
    (DeepResNet((3, 4, 6, 3), True, 3, 64, 10, 3, "shortcut"), "ResNet-50, CIFAR stem", 23_520_842),
    (VGG(V9, True, "normalized", 256, 4, 10), "VGG-9", 2_789_706),
    (VGG(V11, False), "VGG-11", 132_863_336),
    (VGG(V11, True), "VGG-11 with BatchNorm", 132_868_840),
    (VGG(V16, False), "VGG-16", 138_357_544),
    (VGG(V16, True), "VGG-16 with BatchNorm", 138_365_992),
    (VGG(V16, True, "one", 4096, 1, 10), "VGG-16 with BatchNorm, CIFAR head", 14_728_266),
    (DenseNet((6, 12, 24, 16)), "DenseNet-121, CIFAR stem", 6_956_298),
    (DenseNet((6, 12, 24, 16), 32, 64, 1000, 3, "torchvision"), "DenseNet-121", 7_978_856),
    (DenseNet((6, 12, 32, 32), 32, 64, 1000, 3, "torchvision"), "DenseNet-169", 14_149_480),
    (ViT(192, 12, 3, 768, 16, 224, True, 1000), "ViT, 12 blocks of 192, 3 heads, patches 16×16 of 224×224", 5_717_416),
    (LeNet(tuple((n, True) for n in "abcde"), (1, 6, 16), (5, 5), (120, 84, 10), 32), "LeNet 6-16-120-84-10", 61_706),
    (MLP((("1", True), ("3", True)), (784, 100, 10)), "MLP 784-100-10, ReLU", 79_510),
]


@pytest.mark.parametrize(("architecture", "label", "count"), PUBLIC, ids=[label for _, label, _ in PUBLIC])
def test_labels_and_parameter_counts_are_those_of_the_public_models(
    architecture: Architecture, label: str, count: int
) -> None:
    assert architecture.parameter_count == count
    assert architecture.label.startswith(label)


@pytest.fixture(params=SMALL)
def given(request: pytest.FixtureRequest) -> tuple[Architecture, tuple[int, ...]]:
    return SMALL[request.param]


Given = tuple[Architecture, tuple[int, ...]]


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_the_module_has_exactly_the_described_parameters_in_their_order(given: Given) -> None:
    module = build(given[0])
    parameters = {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}
    assert list(parameters.items()) == list(given[0].parameter_shapes().items())
    assert shapes_of(module) == given[0].parameter_shapes() | given[0].buffer_shapes()


def test_it_answers_one_row_of_scores_a_sample_and_every_parameter_matters(given: Given) -> None:
    architecture, shape = given
    module = build(architecture).train()
    scores = module(torch.randn(shape, generator=torch.Generator().manual_seed(3)))
    assert scores.shape == (shape[0], architecture.outputs)
    scores.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_it_is_recognized_among_the_candidates_from_names_and_shapes(given: Given) -> None:
    found = recognize(shapes_of(build(given[0])))
    assert given[0] in found
    assert {candidate.family for candidate in found} == {given[0].family}
    assert len({candidate.label for candidate in found}) == len(found)


def test_json_brings_it_back_and_loads_its_weights(given: Given) -> None:
    import json

    described = json.loads(json.dumps({**given[0].described(), "copy": ""}))
    assert from_json(described) == given[0]
    trained = build(given[0], seed=4).eval()
    again = load(described, {n: t for n, t in trained.state_dict().items() if not n.endswith("num_batches_tracked")})
    x = torch.randn(given[1], generator=torch.Generator().manual_seed(3))
    assert torch.equal(again(x), trained(x))


def test_the_averaged_copy_is_loaded_where_it_was_chosen() -> None:
    architecture = MLP((("a", True),), (3, 2))
    trained, averaged = build(architecture, 0).state_dict(), build(architecture, 1).state_dict()
    state = {**trained, **{f"@average/{name}": tensor for name, tensor in averaged.items()}}
    assert torch.equal(load({**architecture.described(), "copy": ""}, state).a.weight, trained["a.weight"])
    assert torch.equal(load({**architecture.described(), "copy": "@average/"}, state).a.weight, averaged["a.weight"])


def test_weights_that_lack_a_parameter_are_refused() -> None:
    with pytest.raises(UnknownNetworkError, match=r"lack 'a\.bias'"):
        load(MLP((("a", True),), (3, 2)).described(), {"a.weight": torch.zeros(2, 3)})


def test_a_wide_resnet_without_last_layer_says_what_is_missing() -> None:
    shapes = shapes_of(build(DeepResNet((1, 1, 1, 1), False, 7, 4, 5)))
    del shapes["fc.bias"]
    with pytest.raises(UnknownNetworkError, match=r"closest is ResNet-10, width 4, missing fc\.bias\. Use"):
        recognize(shapes)


def test_a_chain_in_scrambled_order_is_put_together_where_sizes_allow() -> None:
    shapes = {"out.weight": (3, 5), "in.weight": (5, 7), "out.bias": (3,)}
    assert recognize(shapes)[0] == MLP((("in", False), ("out", True)), (7, 5, 3))


@pytest.mark.parametrize("other", [{"b.weight": (4, 4)}, {"b": (3,)}, {"a.bias": (4,)}])
def test_layers_that_do_not_follow_each_other_are_no_chain(other: dict[str, Any]) -> None:
    with pytest.raises(UnknownNetworkError):
        recognize({"a.weight": (3, 5), **other})


def test_a_layer_with_an_impossible_name_is_refused_in_words() -> None:
    with pytest.raises(UnknownNetworkError, match="cannot be called 'forward'"):
        build(MLP((("forward", True),), (3, 2)))


def test_lenet_asks_for_what_its_shapes_do_not_tell() -> None:
    lenet = LeNet(tuple((n, True) for n in "abcde"), (1, 6, 16), (5, 5), (120, 84, 10), 32)
    labels = [found.label for found in recognize(lenet.parameter_shapes())]
    assert len(labels) == 6
    assert "LeNet 6-16-120-84-10, images 28×28, ReLU, max pooling" in labels
    assert "LeNet 6-16-120-84-10, images 32×32, tanh, average pooling" in labels


def test_the_transformer_is_attention_as_written_in_its_source() -> None:
    a = ViT(24, 1, 3, 40, 4, 8, True, 5)
    module = build(a, seed=1).eval()
    p, x = dict(module.named_parameters()), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    patches = F.unfold(x, 4, stride=4).transpose(1, 2) @ p["patch_embed.proj.weight"].flatten(1).T
    tokens = torch.cat([p["cls_token"].expand(2, 1, 24), patches + p["patch_embed.proj.bias"]], 1) + p["pos_embed"]
    tokens = tokens + written_out_attention(p, norm(tokens, p, "blocks.0.norm1"))
    hidden = F.gelu(
        F.linear(norm(tokens, p, "blocks.0.norm2"), p["blocks.0.mlp.fc1.weight"], p["blocks.0.mlp.fc1.bias"])
    )
    tokens = tokens + F.linear(hidden, p["blocks.0.mlp.fc2.weight"], p["blocks.0.mlp.fc2.bias"])
    expected = F.linear(norm(tokens, p, "norm")[:, 0], p["head.weight"], p["head.bias"])
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


def norm(x: Tensor, p: dict[str, Any], name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)


def written_out_attention(p: dict[str, Any], x: Tensor) -> Tensor:
    """Attention computed head by head."""
    qkv = F.linear(x, p["blocks.0.attn.qkv.weight"], p["blocks.0.attn.qkv.bias"])
    q, k, v = qkv.split(24, -1)
    heads = []
    for h in range(3):
        part = slice(8 * h, 8 * h + 8)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(8)).softmax(-1)
        heads.append(weights @ v[..., part])
    return F.linear(torch.cat(heads, -1), p["blocks.0.attn.proj.weight"], p["blocks.0.attn.proj.bias"])
