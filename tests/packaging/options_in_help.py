"""Which options of the public functions `help()` explains. Run as a file, in an environment without the tests:

python tests/packaging/options_in_help.py    prints a line for each: function, option, whether it is explained
"""

import inspect
import pydoc
import re
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Any

import landscape


def public_functions() -> dict[str, Callable[..., Any]]:
    """The public functions and classes."""
    found = {name: getattr(landscape, name) for name in landscape.__all__}
    errors = {name for name, one in found.items() if isinstance(one, type) and issubclass(one, Exception)}
    return {name: one for name, one in found.items() if callable(one) and name not in errors}


def options(function: Callable[..., Any]) -> Iterator[str]:
    """The names of the parameters; of `**options: Unpack[Options]`, the keys of that TypedDict."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not Parameter.VAR_KEYWORD:
            yield parameter.name
        elif not takes_any(function):
            yield from parameter.annotation.__args__[0].__annotations__


def takes_any(function: Callable[..., Any]) -> bool:
    """Whether no keyword is a mistake, as in `**facts: Any`."""
    every = inspect.signature(function).parameters.values()
    return any(one.kind is Parameter.VAR_KEYWORD and not hasattr(one.annotation, "__args__") for one in every)


def is_explained(function: Callable[..., Any], option: str) -> bool:
    """Whether the help has an entry for the option, alone or among several: "images, labels: two tensors"."""
    text = pydoc.plain(pydoc.render_doc(function))
    return re.search(rf"(?m)^[ |]*(?:\w+, )*{option}(?:, \w+)*: \S", text) is not None


if __name__ == "__main__":
    for name, function in public_functions().items():
        for option in options(function):
            print(name, option, is_explained(function, option))
