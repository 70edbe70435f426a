"""Builds an architecture from its JSON, and recognizes one from the names and shapes of a checkpoint.

No torch; `landscape.models.build` makes modules. A new family is one subclass of `Architecture`, with its `built_by`,
and one entry in `FAMILIES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..errors import UnknownNetworkError
from .base import COUNTER, DERIVED, Architecture, Shape, Shapes, as_tuples, clip, names_in_words, rest_in_words
from .densenet import DenseNet
from .mlp_lenet import MLP, LeNet
from .plugins import Installed
from .resnet import DeepResNet
from .resnet_cifar import CifarResNet, Shortcuts
from .vgg import VGG
from .vit import ViT

__all__ = [
    "COUNTER",
    "DERIVED",
    "FAMILIES",
    "Architecture",
    "CifarResNet",
    "Shape",
    "Shapes",
    "Shortcuts",
    "from_json",
    "recognize",
]

FAMILIES: tuple[type[Architecture], ...] = (CifarResNet, DeepResNet, VGG, DenseNet, ViT, LeNet, MLP)
_NAMED: tuple[type[Architecture], ...] = (*FAMILIES, Installed)  # all families in descriptions


def from_json(description: Mapping[str, Any]) -> Architecture:
    """The architecture that `Architecture.to_json` described.

    Raises:
        UnknownNetworkError: the family is unknown, or a field is missing, unknown or not possible.

    >>> from_json(CifarResNet(depth=56, shortcuts="none").to_json()).label
    'ResNet-56, width 16, without shortcuts'
    """
    known = {family.family: family for family in _NAMED}
    name = description.get("family") if isinstance(description, Mapping) else None
    if not isinstance(name, str) or name not in known:
        raise UnknownNetworkError(f"Unknown network family {clip(repr(name))}. Known: {', '.join(known)}.")
    given = {key: as_tuples(value) for key, value in description.items() if key not in ("family", *DERIVED)}
    expected = {field.name for field in fields(known[name])}
    if given.keys() != expected:
        parts = [f"missing {names_in_words(expected - given.keys())}"] if expected - given.keys() else []
        parts += [f"unknown {names_in_words(given.keys() - expected)}"] if given.keys() - expected else []
        raise UnknownNetworkError(f"The description of a {name} network does not fit: {'; '.join(parts)}.")
    return known[name](**given)


def recognize(shapes: Shapes) -> list[Architecture]:
    """All known architectures with exactly these names and shapes.

    Args:
        shapes: name -> shape of every parameter and buffer of a checkpoint; `num_batches_tracked` may be left out.

    Returns:
        One architecture or several (a ResNet without shortcut parameters fits "none" and "padding", in this order).

    Raises:
        UnknownNetworkError: none fits; the message names the closest, with missing, extra and misshapen parameters.

    >>> shapes = {"0.weight": (3, 2), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    >>> [architecture.label for architecture in recognize(shapes)]
    ['MLP 2-3-2, ReLU', 'MLP 2-3-2, tanh', 'MLP 2-3-2, GELU', 'MLP 2-3-2, sigmoid']
    """
    candidates = [candidate for family in FAMILIES for candidate in _members(family, shapes)]
    differences = [_difference(candidate, shapes) for candidate in candidates]
    fitting = [candidate for candidate, found in zip(candidates, differences, strict=True) if not any(found)]
    fitting = fitting or [*Installed.candidates(shapes)]
    if fitting:
        return fitting
    closest = min(range(len(candidates)), key=lambda i: sum(map(len, differences[i])))
    raise UnknownNetworkError(_refusal(candidates[closest], shapes, differences[closest]))


def _members(family: type[Architecture], shapes: Shapes) -> Sequence[Architecture]:
    """The members of a family that `shapes` suggest; none if the suggestion is invalid."""
    try:
        return family.candidates(shapes)
    except UnknownNetworkError:
        return ()


Difference = tuple[list[str], list[str], list[str]]  # names that are missing, extra, misshapen


def _difference(candidate: Architecture, shapes: Shapes) -> Difference:
    expected = candidate.parameter_shapes() | candidate.buffer_shapes()
    missing = [name for name in expected if name not in shapes and not name.endswith(COUNTER)]
    extra = [name for name in shapes if name not in expected]
    misshapen = [name for name in expected if name in shapes and tuple(shapes[name]) != expected[name]]
    return missing, extra, misshapen


def _refusal(closest: Architecture, shapes: Shapes, difference: Difference) -> str:
    if not shapes:
        return "The checkpoint holds no parameters. Save the model's state_dict()."
    missing, extra, misshapen = difference
    if len(extra) == len(shapes):
        return (
            f"No known network has parameters with these names: {names_in_words(extra)}. Known are ResNets, VGGs, "
            "DenseNets, ViTs, LeNets and MLPs by their public names; landscape.pack(model, example_input) makes a "
            "file of any other network."
        )
    parts = []
    if missing:
        parts.append(f"missing {names_in_words(missing)}")
    if extra:
        parts.append(f"extra {names_in_words(extra)}")
    if misshapen:
        expected = closest.parameter_shapes() | closest.buffer_shapes()
        name = misshapen[0]
        shape = f"{clip(str(tuple(shapes[name])))} instead of {expected[name]}"
        parts.append(f"misshapen {clip(name)}: {shape}{rest_in_words(len(misshapen) - 1)}")
    return (
        f"No known network has these parameters; the closest is {closest.label}, {'; '.join(parts)}. "
        "Use the unchanged state_dict() of a known network, or landscape.pack(model, example_input) for your own."
    )
