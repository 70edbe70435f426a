"""Docstrings hold: they exist, give shapes, name errors and sources, and their examples run."""

import ast
import doctest
import importlib
from functools import cache

import pytest

from tests.docs import reviewed
from tests.docs.docstrings import PACKAGES, Finding, findings, table, unreviewed
from tests.docs.source import Project
from tests.support.paths import ROOT


@cache
def project() -> Project:
    return Project.read(ROOT, PACKAGES)


@cache
def wrong_in_project() -> tuple[Finding, ...]:
    return tuple(finding for finding in findings(project()) if finding.wrong)


@pytest.mark.parametrize("part", PACKAGES)
def test_docstrings_say_what_is_returned_and_raised_and_where_formulas_are_from(part: str) -> None:
    wrong = [str(finding) for finding in wrong_in_project() if finding.within(part)]
    assert not wrong, "\n".join(["", *wrong, "", table(project())])


def test_every_module_with_formulas_is_classified_and_nothing_else_is_listed() -> None:
    assert not unreviewed(project())


def with_examples() -> list[str]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [
        module
        for module, tree in project().trees.items()
        if any(">>> " in (ast.get_docstring(node) or "") for node in ast.walk(tree) if isinstance(node, documented))
    ]


@pytest.mark.parametrize("module", with_examples())
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    assert result.attempted
    assert not result.failed, "The difference is in the captured output."


# The rules themselves, on small sources that break them.


def found_in(source: str, **others: str) -> list[Finding]:
    """What the rules find wrong in a module "p.m", beside other modules of "p"."""
    read = Project({"p": "", "p.m": source, **{f"p.{name}": text for name, text in others.items()}})
    return [finding for finding in findings(read) if finding.wrong and finding.where.module == "p.m"]


def words(source: str, **others: str) -> list[str]:
    return [f"{finding.kind} {finding.where.name}" for finding in found_in(source, **others)]


def function(docstring: str, body: str = "...", *, returns: str = "None", name: str = "f", given: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in [f'"""{docstring}"""', *body.splitlines()])
    return f"def {name}({given}) -> {returns}:\n{lines}\n"


def raises(*names: str) -> str:
    return "Words.\n\n    Raises:\n" + "".join(f"        {name}: a reason.\n" for name in names) + "    "


def test_public_definitions_without_docstring_are_found() -> None:
    assert words("def f(): ...\nclass C:\n    def g(self): ...\n") == ["docstring f", "docstring C", "docstring C.g"]
    assert not words("def _f(): ...\nclass _C:\n    def g(self): ...\n")


def test_a_method_has_the_docstring_of_the_method_it_overrides() -> None:
    base = 'class B:\n    """Words."""\n    def g(self):\n        """Words."""\n'
    derived = 'from .base import B\nclass C(B):\n    """Words."""\n    def g(self): ...\n    def h(self): ...\n'
    assert words(derived, base=base) == ["docstring C.h"]


@pytest.mark.parametrize("returns", ["Tensor", "tuple[int, np.ndarray]", "'NDArray[Any] | None'", "Params", "More"])
def test_an_array_without_a_shape_is_found(returns: str) -> None:
    names = "from .names import Params\nMore = list[Params]\n"
    given = {"names": "Params = dict[str, Tensor]\n"}
    assert words(names + function("The numbers (of all).", returns=returns), **given) == ["shape f"]
    for shape in ("(N,) numbers", "The numbers, (n - 1, 2 * m)", "Same shapes as the center's", "A scalar"):
        assert not words(names + function(shape, returns=returns), **given)


def test_the_shape_in_the_description_of_an_error_is_not_that_of_the_array() -> None:
    docstring = raises("ValueError").replace("a reason", "a shape differs, (N,)")
    assert words(function(docstring, returns="Tensor")) == ["shape f"]


@pytest.mark.parametrize("returns", ["int", "StoredTensor", "Callable[[Tensor], Tensor]", "Arrays"])
def test_what_is_no_array_needs_no_shape(returns: str) -> None:
    assert not words(function("Words.", returns=returns))


def test_an_array_in_a_dataclass_has_its_shape_in_a_comment_or_in_the_docstring() -> None:
    head = '@dataclass(frozen=True)\nclass C:\n    """Words."""\n'
    assert words(f"{head}    a: Tensor  # numbers\n    b: Tensor  # (N,)\n    c: int\n") == ["shape C"]
    assert not words(head.replace("Words", "All (N,)") + "    a: Tensor\n")


ERRORS = {
    "errors": "class BaseError(Exception): ...\nclass OneError(BaseError): ...\nclass LandscapeError(Exception): ...\n"
}
IMPORTED = "from .errors import BaseError, OneError, LandscapeError\n"


@pytest.mark.parametrize(
    "body",
    [
        "raise OneError",
        "raise OneError('text') from None",
        "for one in ():\n    if one:\n        raise OneError",
        "try:\n    raise OneError\nexcept KeyError:\n    pass",
        "try:\n    raise OneError\nexcept OneError:\n    raise",
        "raise _made()",
        "_private()",
        "D()",
        "documented()",
        "return C.make()",
        "C().method()",
        "given.method()",
    ],
)
def test_an_error_that_is_not_documented_is_found(body: str) -> None:
    helpers = (
        "def _made() -> OneError: ...\n"
        "def _private():\n    raise OneError\n"
        f"class D:\n    '''{raises('OneError')}'''\n"
        "class C:\n    '''Words.'''\n"
        f"    @classmethod\n    def make(cls):\n        '''{raises('OneError')}'''\n"
        f"    def method(self):\n        '''{raises('OneError')}'''\n"
    ) + function(raises("OneError"), "raise OneError", name="documented")

    def wrong(docstring: str) -> list[str]:
        return words(IMPORTED + helpers + function(docstring, body, given="given: C"), **ERRORS)

    assert wrong("Words.") == wrong(raises("KeyError")) == ["errors f"]
    for documented in ("OneError", "BaseError", "KeyError, OneError"):
        assert not wrong(raises(documented))


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    raise OneError\nexcept (KeyError, BaseError):\n    pass",
        "try:\n    documented()\nexcept Exception:\n    pass",
        "with suppress(BaseError):\n    documented()",
        "def later():\n    raise OneError\nreturn later",
        "return lambda: documented()",
    ],
)
def test_an_error_that_does_not_leave_the_function_needs_no_words(body: str) -> None:
    documented = function(raises("OneError"), "raise OneError", name="documented")
    assert not words(IMPORTED + documented + function("Words.", body), **ERRORS)


def test_an_error_may_be_described_where_it_is_raised() -> None:
    other = IMPORTED + function(raises("OneError"), "raise OneError", name="g")
    call = "from .other import g\nfrom . import other\n"
    for body in ("g()", "other.g()"):
        assert not words(call + function("Words; raises as `g`.", body), **ERRORS, other=other)
        assert not words(call + function("Words. See `other.g`.", body), **ERRORS, other=other)
        assert words(call + function("Words; raises as `f`.", body), **ERRORS, other=other) == ["errors f"]


def test_a_name_that_does_not_exist_is_found() -> None:
    assert words(function(raises("GoneError"))) == ["names f"]
    assert words(function("Words; see `other.gone`.")) == ["names f"]
    other = {"other": "LIMIT = 1\n", **ERRORS}
    assert not words(IMPORTED + function(raises("OneError, OSError")), **other)
    assert not words("from elsewhere import GoneError\n" + function(raises("GoneError")))
    assert not words(function("Words; see `other`, `other.LIMIT` and `f`."), **other)


def test_the_root_of_all_errors_does_not_stand_for_the_others() -> None:
    errors = {"errors": ERRORS["errors"] + "class TwoError(LandscapeError): ...\n"}
    source = "from .errors import TwoError, LandscapeError\n"
    assert words(source + function(raises("LandscapeError"), "raise TwoError"), **errors) == ["errors f"]
    assert not words(source + function(raises("LandscapeError"), "raise LandscapeError"), **errors)


def test_errors_of_an_overridden_method_that_is_called_are_found() -> None:
    words_of = "class {}:\n    '''Words.'''\n    def g(self):\n        '''{}'''\n"
    source = (
        IMPORTED
        + words_of.format("B", raises("OneError"))
        + words_of.format("C(B)", "Others.")
        + "        super().g()\n"
    )
    assert words(source, **ERRORS) == ["errors C.g"]
    assert not words(source.replace("        '''Others.'''\n", ""), **ERRORS)


def test_a_constructor_documents_its_errors_in_either_docstring() -> None:
    def wrong(of_class: str, of_constructor: str) -> list[str]:
        head = f"class C:\n    '''{of_class}'''\n    def __init__(self):\n        '''{of_constructor}'''\n"
        return words(f"{head}        raise ValueError\n")

    assert wrong("Words.", "Words.") == ["errors C"]
    assert not wrong(raises("ValueError"), "Words.")
    assert not wrong("Words.", raises("ValueError").replace("\n", "\n    "))


@pytest.mark.parametrize("decorator", ["router.get('/')", "app.command()", "field_validator('name')"])
def test_a_function_that_a_framework_calls_keeps_its_help_text(decorator: str) -> None:
    assert words(function("Words.", "raise ValueError")) == ["errors f"]
    assert not words(f"@{decorator}\n{function('Words.', 'raise ValueError')}")


@pytest.mark.parametrize(("module", "found"), [("service.cli.m", []), ("service.m", ["errors"])])
def test_a_command_keeps_its_help_text(module: str, found: list[str]) -> None:
    read = Project({module: function("Words.", "raise ValueError")})
    assert [finding.kind for finding in findings(read) if finding.wrong] == found


def test_a_published_formula_without_its_source_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reviewed.FORMULAS, "p.m", ("f",))
    for missing in ("Words.", "Source: the authors' code.", "Words from 2018."):
        assert words(function(missing)) == ["source f"]
    for source in ("Source: Li et al. 2018, section 4.", "Source: arXiv:1712.09913.", "Source: doi:10.1137/1."):
        assert not words(function(f"Words.\n\n    {source}"))


def test_a_new_module_with_formulas_has_to_be_classified() -> None:
    new = Project({**project().sources, "landscape.hessian.new": ""})
    assert unreviewed(new) == ["landscape.hessian.new is not in FORMULAS. Add it, with its published formulas."]


def test_a_listed_name_that_does_not_exist_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reviewed.FORMULAS, "landscape.grid", ("gone",))
    monkeypatch.setitem(reviewed.NEVER_RAISED, "landscape.grid.tiles", {"GridError": "a reason"})
    assert unreviewed(project()) == [
        "landscape.grid.gone in FORMULAS does not exist.",
        "landscape.grid.tiles in NEVER_RAISED calls nothing that raises GridError. Remove it.",
    ]
