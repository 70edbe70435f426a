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

    Of a class, the constructor and every public method are checked, inherited ones included, except those that take any
    keyword. Signature, types and help stay those of `target`. A function that collects `**options: Unpack[Options]`
    takes the keys of that TypedDict.

    Raises:
        TypeError: the function takes any keyword, so that none is wrong.
    """
    if inspect.isclass(target):
        for name in dir(target):
            if name == "__init__" or not name.startswith("_"):
                _check_method(target, name)
        return target
    if _takes_any(target):
        raise TypeError(f"{target.__qualname__} takes any keyword. Annotate its ** with Unpack[…] of a TypedDict.")
    checked: T = _checked(target, target.__qualname__.rpartition("<locals>.")[2])
    return checked


def _check_method(owner: type, name: str) -> None:
    member = inspect.getattr_static(owner, name)
    function = getattr(member, "__func__", member)  # of a class method or static method
    if inspect.isfunction(function) and not _takes_any(function):
        checked = _checked(function, owner.__name__ + ("" if name == "__init__" else f".{name}"))
        setattr(owner, name, checked if function is member else type(member)(checked))


def _checked(function: Any, name: str) -> Any:
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


def _takes_any(function: Any) -> bool:
    every = inspect.signature(function).parameters.values()
    return any(one.kind is Parameter.VAR_KEYWORD and _keys(one.annotation) is None for one in every)


def _keywords(function: Callable[..., Any]) -> Iterator[str]:
    """The names that a function takes as keywords, in the order of its signature."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is Parameter.VAR_KEYWORD:
            yield from _keys(parameter.annotation) or ()
        elif parameter.kind not in positional and name not in ("self", "cls"):
            yield name


def _keys(annotation: Any) -> tuple[str, ...] | None:
    """The keys of the TypedDict in Unpack[…]; None for another annotation."""
    options = getattr(annotation, "__args__", (None,))[0]
    return tuple(options.__annotations__) if hasattr(options, "__total__") else None
