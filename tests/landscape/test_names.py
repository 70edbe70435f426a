"""The names of `import landscape as ls`."""

import ast
import asyncio
import inspect
import pkgutil
import pydoc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import landscape
from landscape.errors import UnknownOptionError
from tests.packaging.options_in_help import is_explained, options, public_functions, takes_any

KINDS = [name for name, module in landscape._HOME.items() if module == "api"]


def test_no_module_is_called_like_a_public_function() -> None:
    """Importing a module sets it as an attribute of its package, where it would hide the function."""
    modules = {module.name for module in pkgutil.iter_modules(landscape.__path__)}
    assert {"hessian", "evaluation", "grid"} <= modules
    assert not modules & set(landscape.__all__)


def test_every_public_name_can_be_loaded() -> None:
    assert all(getattr(landscape, name) for name in landscape.__all__)


def _imports_for_type_checkers() -> dict[str, str]:
    """The names under `if TYPE_CHECKING:`, and the module each is imported from."""
    tree = ast.parse(Path(landscape.__file__).read_text())
    [block] = [one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING"]
    found = [one for one in block.body if isinstance(one, ast.ImportFrom)]
    assert len(found) == len(block.body)
    return {alias.asname or "": one.module or "" for one in found for alias in one.names if alias.asname == alias.name}


def test_the_lists_of_names_agree() -> None:
    """For type checkers, to load on first use, for `import *` and for `dir()`."""
    assert _imports_for_type_checkers() == landscape._HOME
    assert {*landscape.__all__} == {*landscape._HOME, "__version__"}
    assert dir(landscape) == sorted(landscape.__all__)


def test_an_unknown_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(
        AttributeError, match=r"no attribute 'surfase'\. Did you mean 'surface'\? It has: AsyncClient, "
    ):
        landscape.surfase  # noqa: B018


@pytest.mark.parametrize(("name", "instead"), landscape._RENAMED.items())
def test_a_name_of_an_earlier_version_is_answered_with_what_to_use_instead(name: str, instead: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(landscape, name)
    assert str(caught.value) == f"module 'landscape' has no attribute {name!r} any more. Use {instead}."
    assert instead.partition("(")[0] in landscape.__all__


@pytest.mark.parametrize("name", sorted(public_functions().keys() - {"Result"}))  # which users do not construct
def test_help_explains_every_option(name: str) -> None:
    function = public_functions()[name]
    assert not [option for option in options(function) if not is_explained(function, option)]


@pytest.mark.parametrize("name", KINDS)
def test_help_shows_defaults_and_an_example_of_a_kind(name: str) -> None:
    function = public_functions()[name]
    signature = inspect.signature(function).parameters.values()
    text = pydoc.plain(pydoc.render_doc(function))
    assert {"grid", "precision", "progress"} <= {*options(function)}
    assert not [one.name for one in signature if one.kind is one.KEYWORD_ONLY and str(one) not in text]
    assert re.search(rf"(?m)^ +>>> .*\bls\.{name}\(", text)


@pytest.mark.parametrize("name", public_functions())
def test_a_misspelt_option_is_answered_with_the_near_one(name: str) -> None:
    function = public_functions()[name]
    for option in options(function):
        with pytest.raises(UnknownOptionError, match=rf"has no option '{option}x'\. Did you mean '{option}'\?"):
            function(**{f"{option}x": None})


METHODS = [
    f"{owner}.{name}"
    for owner in ("Client", "AsyncClient", "Result")
    for name, method in inspect.getmembers(getattr(landscape, owner), inspect.isroutine)
    if not name.startswith("_") and not takes_any(method)
]


@pytest.mark.parametrize("name", METHODS)
def test_a_misspelt_option_of_a_method_is_answered_with_the_near_one(name: str) -> None:
    owner, _, called = name.partition(".")
    method = getattr(getattr(landscape, owner), called)
    for option in {*options(method)} - {"self"}:
        with pytest.raises(UnknownOptionError, match=rf"has no option '{option}x'\. Did you mean '{option}'\?"):
            _called(method, **{f"{option}x": None})


def _called(method: Callable[..., Any], **options: Any) -> None:
    answer = method(**options)
    if inspect.iscoroutine(answer):
        asyncio.run(answer)
