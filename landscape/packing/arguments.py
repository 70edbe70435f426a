"""Arguments in a packed graph have the types that torch's schema of their operator says.

torch itself takes more: an integer as a type, a layout or a device (0 is the first GPU, 12 a quantized type), a word as
a device ("meta" computes nothing). They are refused when a graph is read.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from ..engine.graph.graph import Argument, Node, Ref, Size, Symbol
from ..engine.graph.preconditions import schema
from ..parsers.source import FileError, printable

DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64")
SYMBOLS = {
    "ScalarType": DTYPES,
    "Layout": ("strided",),
    "MemoryFormat": ("contiguous_format", "preserve_format", "channels_last"),
    "Device": ("device",),
}
WORDS = ("none", "tanh")  # of gelu


def require_types(node: Node) -> None:
    """Refuse arguments that are not of the types of the operator's schema.

    Raises:
        FileError: an argument that the operator does not have, lacks, or of another type; or statistics would change.
    """
    types, needed = _types(node.operator)
    given = dict(zip(types, node.arguments, strict=False)) | node.options
    if len(node.arguments) > len(types) or len(given) != len(node.arguments) + len(node.options):
        raise _damaged(node, "refuses an argument that it gets twice, or does not have")
    for name, argument in given.items():
        if name not in types or not _is(types[name], argument):
            raise _damaged(node, f"refuses its argument {printable(name, 30)!r}, which has another type than it takes")
    if missing := [name for name in needed if name not in given]:
        raise _damaged(node, f"lacks its argument {missing[0]!r}")
    if given.get("training") is True:
        raise _damaged(node, "would change its statistics, which do not belong together with a fixed network")


@cache
def _types(operator: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Name -> type of the arguments of an operator, in order; and the names of those without a default."""
    known = schema(operator).arguments
    types = {one.name: str(one.real_type) for one in known}
    return types, tuple(one.name for one in known if not one.has_default_value())


def _damaged(node: Node, how: str) -> FileError:
    return FileError(
        f"The packed network is damaged: operator {node.operator!r} {how}. Write it again with "
        "landscape.pack(model, example_input)."
    )


def _is(kind: str, argument: Argument) -> bool:
    """Whether an argument has a type of torch's schema, for example "Optional[List[int]]"."""
    if kind.startswith("Optional["):
        return argument is None or _is(kind[9:-1], argument)
    if kind.startswith("List["):
        return isinstance(argument, tuple) and all(_is(kind[5:-1], item) for item in argument)
    if kind in SYMBOLS:
        return isinstance(argument, Symbol) and argument.name in SYMBOLS[kind]
    return _PLAIN[kind](argument)


def _whole(argument: Any) -> bool:
    return type(argument) in (int, Size)


def _number(argument: Any) -> bool:
    return type(argument) in (int, float, bool, Size)


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "Tensor": lambda argument: isinstance(argument, Ref) or _number(argument),  # x · 0.5
    "int": _whole,
    "SymInt": _whole,
    "float": lambda argument: type(argument) in (int, float),
    "number": _number,
    "bool": lambda argument: type(argument) is bool,
    "str": lambda argument: argument in WORDS,
}
