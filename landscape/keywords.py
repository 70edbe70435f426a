"""Answers a misspelt keyword with the near one: `checks_keywords`, a decorator of public functions and classes."""

import functools
import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Any, TypeVar

from .errors import UnknownOptionError

T = TypeVar("T", bound=Callable[..., Any])


def checks_keywords(target: T) -> T:
    """`target`; called with an unknown keyword, it raises an UnknownOptionError that names the near one.

    Of a class, the constructor and every public method that it defines are checked. Signature, types and help stay
    those of `target`. A function that collects `**options: Unpack[Options]` takes the keys of that TypedDict.

    Raises:
        TypeError: a function takes any keyword, so that none is wrong.
    """
    if not inspect.isclass(target):
        checked: T = _checked(target)
        return checked
    for name, member in list(vars(target).items()):
        public = name == "__init__" or not name.startswith("_")
        if public and inspect.isfunction(member):
            setattr(target, name, _checked(member))
        elif public and isinstance(member, classmethod | staticmethod):
            setattr(target, name, type(member)(_checked(member.__func__)))
    return target


def _checked(function: Any) -> Any:
    name = function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")
    known = tuple(_keywords(function))

    def check(given: dict[str, Any]) -> None:
        if unknown := [option for option in given if option not in known]:
            raise UnknownOptionError(name, unknown[0], known)

    @functools.wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        check(options)
        return function(*arguments, **options)

    @functools.wraps(function)
    async def checked_coroutine(*arguments: Any, **options: Any) -> Any:
        check(options)
        return await function(*arguments, **options)

    return checked_coroutine if inspect.iscoroutinefunction(function) else checked


def _keywords(function: Callable[..., Any]) -> Iterator[str]:
    """The names that a function takes as keywords, in the order of its signature."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is Parameter.VAR_KEYWORD:
            yield from _keys(parameter.annotation, function)
        elif parameter.kind not in positional and name not in ("self", "cls"):
            yield name


def _keys(annotation: Any, function: Callable[..., Any]) -> tuple[str, ...]:
    options = getattr(annotation, "__args__", (None,))[0]  # of Unpack[Options]
    if not hasattr(options, "__total__"):
        raise TypeError(f"{function.__qualname__} takes any keyword. Annotate its ** with Unpack[…] of a TypedDict.")
    return tuple(options.__annotations__)
