"""The base class of network families: label, parameter shapes, JSON; and checks that families share. No torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from ..errors import UnknownNetworkError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

COUNTER = "num_batches_tracked"  # BatchNorm's batch counter: older files and safetensors of ours leave it out
MAX_CLASSES = 100_000
MAX_CHANNELS = 4096


# Keys that `Architecture.described` and the reader add to the fields of an architecture.
DERIVED = ("label", "parameters", "takes", "answers", "copy")


@dataclass(frozen=True)
class Architecture(ABC):
    """The description of a network: enough to know every parameter's name and shape and to build it."""

    family: ClassVar[str]
    built_by: ClassVar[str] = ""  # "file:function" in this folder that turns a description into a module; needs torch

    @property
    @abstractmethod
    def label(self) -> str:
        """Its name for people, for example "ResNet-56, width 8, with shortcuts"."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int | None, ...]:
        """(channels, height, width) of one image, or the shape of one sample; None where any size works."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of classes."""

    @abstractmethod
    def parameter_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every trainable parameter, in the order of the module's `parameters()`."""

    @abstractmethod
    def buffer_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every buffer (BatchNorm's statistics and counters), in the module's order."""

    @classmethod
    @abstractmethod
    def candidates(cls, shapes: Shapes) -> list[Self]:
        """Members of the family closest to `shapes`; they need not fit."""

    @property
    def takes(self) -> str:
        """The kind of sample: "images" (channels, height, width), "vectors" (any shape, flattened) or "tokens"."""
        return "images"

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers (buffers not counted)."""
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary with the key "family" and every field; `from_json` is its inverse."""
        return {"family": self.family, **{key: as_lists(value) for key, value in asdict(self).items()}}

    def described(self) -> dict[str, Any]:
        """`to_json`, with the derived fields that people and jobs need; see `DERIVED`."""
        return {
            **self.to_json(),
            "label": self.label,
            "parameters": self.parameter_count,
            "takes": {"kind": self.takes, "shape": list(self.input_shape)},
            "answers": self.outputs,
        }


def as_lists(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return [as_lists(item) for item in value] if isinstance(value, tuple | list) else value


def as_tuples(value: Any) -> Any:
    """Lists as tuples, as in the fields of an architecture."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def names_in_words(names: Iterable[str], shown: int = 2) -> str:
    """The first `shown` names, sorted unless they have an order, each clipped, and how many more there are."""
    ordered = [clip(str(name)) for name in (names if isinstance(names, Sequence) else sorted(names, key=str))]
    return ", ".join(ordered[:shown]) + rest_in_words(len(ordered) - shown)


def rest_in_words(count: int) -> str:
    """How a clipped list ends: " and 3 more" for a `count` of 3, nothing if `count` is not positive."""
    return f" and {count} more" if count > 0 else ""


def clip(text: str, length: int = 40) -> str:
    """`text`, cut to `length` characters with an ellipsis at the end if it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def leading(shape: Shape | None, default: Shape) -> Shape:
    """The first `len(default)` entries of `shape`; `default` if the shape is absent or not usable."""
    if shape is None or len(shape) < len(default) or min(shape[: len(default)]) < 1:
        return default
    return tuple(shape[: len(default)])


def check_count(name: str, value: object, most: int) -> None:
    """Refuse a size of a network that is not a whole number from 1 to `most`.

    Raises:
        UnknownNetworkError: it is not.
    """
    if type(value) is not int or not 1 <= value <= most:
        raise UnknownNetworkError(
            f"The {name} of a network is a whole number from 1 to {most}; got {clip(repr(value))}."
        )
