"""Architectures as descriptions: shapes, counts, JSON, and recognizing a checkpoint from names and shapes."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from landscape.errors import LandscapeError, UnknownNetworkError
from landscape.models.recognize import CifarResNet, Shape, from_json, recognize

Shapes = dict[str, Shape]


def all_shapes(architecture: CifarResNet) -> Shapes:
    return architecture.parameter_shapes() | architecture.buffer_shapes()


@pytest.mark.parametrize(
    ("architecture", "count"),
    [
        (CifarResNet(20), 272_474),
        (CifarResNet(20, shortcuts="none"), 269_722),
        (CifarResNet(20, shortcuts="padding"), 269_722),
        (CifarResNet(56), 855_770),
        (CifarResNet(56, shortcuts="none"), 853_018),
        (CifarResNet(110), 1_730_714),
        (CifarResNet(56, width=32), 3_412_394),
        (CifarResNet(56, width=128), 54_470_282),
    ],
    ids=lambda value: value.label if isinstance(value, CifarResNet) else "",
)
def test_parameter_counts_are_those_of_the_authors_networks(architecture: CifarResNet, count: int) -> None:
    assert architecture.parameter_count == count


def test_descriptions_are_usable_without_torch() -> None:
    code = (
        "import sys; from landscape.models.recognize import recognize, CifarResNet, from_json\n"
        "a = CifarResNet(20); recognize(a.parameter_shapes() | a.buffer_shapes()); from_json(a.to_json())\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_name_depth_width_and_shortcuts() -> None:
    assert CifarResNet(56, 8).label == "ResNet-56, width 8, with shortcuts"
    assert CifarResNet(56, 8, "none").label == "ResNet-56, width 8, without shortcuts"
    assert CifarResNet(110, 16, "padding").label == "ResNet-110, width 16, option-A shortcuts"
    assert CifarResNet(56, 32).label == "WRN-56-2, width 32, with shortcuts"


@pytest.mark.parametrize("shortcuts", ["projection", "none", "padding"])
def test_json_brings_back_the_same_architecture(shortcuts: str) -> None:
    architecture = CifarResNet(14, 5, shortcuts, 7, 2)  # type: ignore[arg-type]
    assert from_json(architecture.to_json()) == architecture
    assert architecture.to_json()["family"] == "cifar_resnet"


GOOD = CifarResNet(8).to_json()


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({}, "family None"),
        ({**GOOD, "family": "unet"}, "'unet'. Known: cifar_resnet"),
        ({**GOOD, "family": ["cifar_resnet"]}, "Known: cifar_resnet"),
        ({**GOOD, "dropout": 0.5}, "unknown dropout"),
        ({key: GOOD[key] for key in GOOD if key != "width"}, "missing width"),
        ({**GOOD, "depth": 57}, "6n+2"),
        ({**GOOD, "depth": 2}, "6n+2"),
        ({**GOOD, "depth": 6 * 10**9 + 2}, "from 1 to 3002"),
        ({**GOOD, "depth": "20"}, "'20'"),
        ({**GOOD, "width": True}, "got True"),
        ({**GOOD, "width": 0}, "got 0"),
        ({**GOOD, "shortcuts": "identity"}, "Known: projection, none, padding"),
        ({**GOOD, "shortcuts": "x" * 10_000}, "Unknown shortcuts"),
        ([], "family None"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_in_words(description: dict[str, object], said: str) -> None:
    with pytest.raises(LandscapeError) as caught:
        from_json(description)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("depth", [8, 20, 56])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_a_network_with_projections_is_recognized_as_itself_alone(depth: int, width: int) -> None:
    architecture = CifarResNet(depth, width, "projection", 7, 1)
    assert recognize(all_shapes(architecture)) == [architecture]


@pytest.mark.parametrize("shortcuts", ["none", "padding"])
def test_a_network_without_shortcut_parameters_fits_plain_first_and_option_a_second(shortcuts: str) -> None:
    architecture = CifarResNet(20, 4, shortcuts)  # type: ignore[arg-type]
    assert [found.to_json()["shortcuts"] for found in recognize(all_shapes(architecture))] == ["none", "padding"]


def test_the_batch_counters_may_be_absent() -> None:
    architecture = CifarResNet(14, 4)
    shapes = {name: shape for name, shape in all_shapes(architecture).items() if "batches" not in name}
    assert recognize(shapes) == [architecture]


def test_the_order_of_names_does_not_matter() -> None:
    architecture = CifarResNet(14, 4)
    assert recognize(dict(reversed(all_shapes(architecture).items()))) == [architecture]


def without(name: str) -> Callable[[Shapes], Shapes]:
    return lambda shapes: {key: value for key, value in shapes.items() if key != name}


def plus(**more: Shape) -> Callable[[Shapes], Shapes]:
    return lambda shapes: shapes | {name.replace("__", "."): shape for name, shape in more.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("linear.bias"), ["missing linear.bias"]),
        (without("conv1.weight"), ["missing conv1.weight", "ResNet-20, width 8"]),
        (without("layer1.0.bn1.running_mean"), ["missing layer1.0.bn1.running_mean"]),
        (without("layer2.0.shortcut.0.weight"), ["missing layer2.0.shortcut.0.weight", "with shortcuts"]),
        (plus(head__weight=(3, 3)), ["extra head.weight"]),
        (plus(linear__bias=(11,)), ["misshapen linear.bias: (11,) instead of (10,)"]),
        (plus(conv1__weight=(9, 3, 3, 3)), ["ResNet-20, width 8", "(9, 3, 3, 3) instead of (8, 3, 3, 3)"]),
        (plus(layer1__0__bn1__num_batches_tracked=(2,)), ["num_batches_tracked: (2,) instead of ()"]),
    ],
)
def test_the_refusal_names_the_closest_network_and_what_differs(
    change: Callable[[Shapes], Shapes], said: list[str]
) -> None:
    with pytest.raises(UnknownNetworkError) as caught:
        recognize(change(all_shapes(CifarResNet(20, 8))))
    for part in [*said, "closest is ResNet-20"]:
        assert part in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)},
        {"conv1.weight": ()},
        {"conv1.weight": (0, 0, 0, 0), "linear.weight": (0, 0)},
        {"conv1.weight": (10**18, 10**18, 3, 3), "linear.weight": (10**18, 10**18)},
        {"conv1.weight": tuple(range(1, 500))},
        {"x" * 100_000: (1,)},
        {"x" * 100_000: (1,), "conv1.weight": (16, 3, 3, 3), "layer1.999999.conv1.weight": (1,)},
        {f"layer1.{index}.conv1.weight": (16, 16, 3, 3) for index in range(3000)},
    ],
    ids=range(9),
)
def test_a_foreign_or_hostile_file_is_refused_in_one_short_sentence(shapes: Shapes) -> None:
    with pytest.raises(UnknownNetworkError) as caught:
        recognize(shapes)
    assert 20 < len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)
