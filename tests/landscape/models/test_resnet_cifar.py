"""The modules of the ResNets: names, shapes, shortcuts, initialization."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import UnknownNetworkError
from landscape.models import Architecture, CifarResNet, build

KINDS = ["projection", "none", "padding"]


def gaussian(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def stirred(architecture: CifarResNet) -> nn.Module:
    """The module in evaluation mode, with biases and statistics that are not the identity."""
    module = build(architecture).eval()
    generator = torch.Generator().manual_seed(2)
    for name, tensor in module.state_dict().items():
        if tensor.ndim == 1:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        assert tensor.is_floating_point() or name.endswith("num_batches_tracked")
    return module


def written_out(state: dict[str, Tensor], x: Tensor, *, blocks: int, shortcuts: str) -> Tensor:
    """The forward pass from the state dict alone, as in the authors' code."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias, mean, var = (state[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var"))
        shape = (1, -1, 1, 1)
        return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * weight.view(shape) + bias.view(shape)

    x = norm("bn1", conv("conv1", x)).relu()
    for stage in (1, 2, 3):
        for block in range(blocks):
            prefix, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = norm(f"{prefix}.bn1", conv(f"{prefix}.conv1", x, stride)).relu()
            out = norm(f"{prefix}.bn2", conv(f"{prefix}.conv2", out))
            if shortcuts == "padding" and stride == 2:
                half = x.shape[1] // 2
                x = torch.zeros_like(out).index_copy(1, torch.arange(half, half + x.shape[1]), x[:, :, ::2, ::2])
            if shortcuts == "projection" and stride == 2:
                x = norm(f"{prefix}.shortcut.1", conv(f"{prefix}.shortcut.0", x, 2, 0))
            x = out.relu() if shortcuts == "none" else (out + x).relu()
    return F.linear(x.flatten(2).mean(2), state["linear.weight"], state["linear.bias"])


@pytest.mark.parametrize("shortcuts", KINDS)
@pytest.mark.parametrize(("depth", "width", "size"), [(8, 4, (8, 8)), (14, 6, (9, 5)), (8, 2, (32, 32))])
def test_logits_are_those_of_the_network_written_out(
    depth: int, width: int, size: tuple[int, int], shortcuts: str
) -> None:
    module = stirred(CifarResNet(depth, width, shortcuts, 7, 2)).double()  # type: ignore[arg-type]
    images = gaussian(3, 2, *size).double()
    expected = written_out(module.state_dict(), images, blocks=(depth - 2) // 6, shortcuts=shortcuts)
    assert expected.shape == (3, 7)
    torch.testing.assert_close(module(images), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shortcuts", KINDS)
def test_names_shapes_and_order_are_those_of_the_description(shortcuts: str) -> None:
    architecture = CifarResNet(20, 3, shortcuts, 5, 1)  # type: ignore[arg-type]
    module = build(architecture)
    assert [(name, tuple(p.shape)) for name, p in module.named_parameters()] == [
        *architecture.parameter_shapes().items()
    ]
    assert [(name, tuple(b.shape)) for name, b in module.named_buffers()] == [*architecture.buffer_shapes().items()]


def test_the_plain_twin_keeps_every_batchnorm_and_loses_only_the_projections() -> None:
    skip, plain = (CifarResNet(20, 4, kind).parameter_shapes() for kind in ("projection", "none"))  # type: ignore[arg-type]
    assert {name for name in skip if name not in plain} == {name for name in skip if ".shortcut." in name}
    assert set(plain) <= set(skip)


def test_building_is_reproducible_from_its_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (build(CifarResNet(8, 4), seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_convolutions_start_he_normal_and_batchnorm_as_the_identity() -> None:
    state = build(CifarResNet(8, 64)).state_dict()
    weight = state["layer3.0.conv2.weight"]
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (256 * 9)), rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    for name, tensor in state.items():
        if tensor.ndim < 2:
            ones = name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1)
            assert torch.equal(tensor, torch.full_like(tensor, int(ones))), name


def test_a_built_module_takes_a_state_dict_without_batch_counters() -> None:
    architecture = CifarResNet(8, 2)
    state = {name: t for name, t in build(architecture, 1).state_dict().items() if "batches" not in name}
    build(architecture).load_state_dict(state, strict=True)


def test_an_architecture_without_a_module_is_refused() -> None:
    class Other(CifarResNet.__base__):  # type: ignore[misc,name-defined]
        family = "other"
        label = input_shape = outputs = parameter_shapes = buffer_shapes = candidates = None

    architecture = Other()
    assert isinstance(architecture, Architecture)
    with pytest.raises(UnknownNetworkError, match="No module is known"):
        build(architecture)
