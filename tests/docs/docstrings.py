"""Rules for docstrings: public functions, methods and classes say what they return, raise and are based on.

The columns that are counted: it exists; it gives the shapes of arrays; it has the errors that are raised; it has the
source of a published formula; the errors and functions that it names exist.

python -m tests.docs.docstrings                     counts what holds, by part
python -m tests.docs.docstrings landscape.hessian   lists what is wrong in a part; exit code 1 where there is anything
python -m tests.docs.docstrings --root FOLDER       reads another checkout
"""

import argparse
import ast
import builtins
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.reviewed import FORMULA_PACKAGES, FORMULAS, NEVER_RAISED
from tests.docs.source import Definition, Function, Project, documented_errors, last_name
from tests.support.paths import ROOT

PACKAGES = ("landscape", "service", "worker", "app")
TOO_GENERAL = {"LandscapeError", "ServiceError"}  # they do not stand for the errors derived from them
# A framework calls these functions; their docstrings are help texts, or descriptions in OpenAPI.
FRAMEWORKS = {"get", "post", "put", "patch", "delete", "head", "route", "middleware", "exception_handler", "command"}
FRAMEWORKS |= {"callback", "field_validator", "model_validator", "field_serializer", "model_serializer"}
COMMANDS = ("landscape.cli.", "service.cli.")  # so are most docstrings here; an error ends the command with its message

_LENGTH = r"(?:[\w…]+(?: ?[-−+*·×/] ?[\w…]+)*)"
_SHAPE = re.compile(rf"\({_LENGTH}(?:, {_LENGTH})+\)|\({_LENGTH},\)|\bshapes?\b|\bscalars?\b")
_REFERENCE = re.compile(r"(?:raises as|see) ((?:`[\w.]+`(?:, | and | or )?)+)", re.IGNORECASE)
_SOURCE = re.compile(r"^Source: .*(?:\b(?:19|20)\d\d\b|arXiv:\d|doi:)", re.MULTILINE)
_RAISES = re.compile(r"^Raises:\n(?: .*\n?|\n(?= ))*", re.MULTILINE)
KINDS = ("docstring", "shape", "errors", "source", "names")


@dataclass(frozen=True)
class Finding:
    """One rule, for one definition that it applies to."""

    kind: str  # one of KINDS
    where: Definition
    wrong: str  # empty where the rule holds

    def within(self, *parts: str) -> bool:
        """Whether it is about one of some modules or packages."""
        return any(f"{self.where.module}.".startswith(f"{part}.") for part in parts)

    def __str__(self) -> str:
        return f"{self.where.module}, line {self.where.node.lineno}: '{self.where.name}' {self.wrong}"


def findings(project: Project) -> Iterator[Finding]:
    """Every rule for every public definition that it applies to."""
    for definition in project.definitions.values():
        if definition.public:
            text = project.docstring(definition)
            yield Finding("docstring", definition, "" if text else "has no docstring. Say what it does.")
            yield from _shapes(project, definition, _RAISES.sub("", text))
            yield from _errors(project, definition, text)
            yield from _sources(definition, text)
            yield from _names(project, definition, text)


def _shapes(project: Project, definition: Definition, text: str) -> Iterator[Finding]:
    node = definition.node
    if isinstance(node, Function):
        if project.holds_arrays(node.returns, definition.module):
            wrong = "returns an array; its docstring gives no shape. Write it like (N,), or 'shapes of …'."
            yield Finding("shape", definition, "" if _SHAPE.search(text) else wrong)
    elif "dataclass" in definition.decorators or "NamedTuple" in map(last_name, node.bases):
        lines = project.sources[definition.module].splitlines()
        for entry in node.body:
            if isinstance(entry, ast.AnnAssign) and project.holds_arrays(entry.annotation, definition.module):
                comment = "#".join(lines[entry.lineno - 1].split("#")[1:])
                wrong = f"holds the array '{last_name(entry.target)}' without a shape. Write it in a comment."
                yield Finding("shape", definition, "" if _SHAPE.search(comment) or _SHAPE.search(text) else wrong)


def _errors(project: Project, definition: Definition, text: str) -> Iterator[Finding]:
    raised = {(error, via) for error, via in project.raised(definition) if project.is_error(error)}
    if not raised or definition.decorators & FRAMEWORKS or definition.module.startswith(COMMANDS):
        return
    named = documented_errors(text)
    referred = _referred(text)
    never = NEVER_RAISED.get(f"{definition.module}.{definition.name}", {})
    missing = {
        f"{error} (in {via})" if via else error
        for error, via in raised
        if not ((via and error in never) or referred & set(via.split(".")))
        if not named & (project.ancestors(error) - TOO_GENERAL | {error})
    }
    wrong = f"raises {', '.join(sorted(missing))}. Say when, below 'Raises:'." if missing else ""
    yield Finding("errors", definition, wrong)


def _sources(definition: Definition, text: str) -> Iterator[Finding]:
    if definition.name in FORMULAS.get(definition.module, ()):
        wrong = "computes a published formula. Add a line 'Source: authors and year, section'."
        yield Finding("source", definition, "" if _SOURCE.search(text) else wrong)


def _names(project: Project, definition: Definition, text: str) -> Iterator[Finding]:
    errors, referred = documented_errors(text), _referred(text)
    known = project.imports[definition.module].keys() | vars(builtins).keys()
    gone = {error for error in errors - known if not project.is_error(error)} | (referred - project.names)
    if errors or referred:
        wrong = f"names {', '.join(sorted(gone))}, which does not exist. Was it renamed?" if gone else ""
        yield Finding("names", definition, wrong)


def _referred(text: str) -> set[str]:
    """The last names of the functions that a docstring refers to: "see `plane.difference`"."""
    return {name.split(".")[-1] for names in _REFERENCE.findall(text) for name in re.findall(r"`([\w.]+)`", names)}


def unreviewed(project: Project) -> list[str]:
    """What tests/docs/reviewed.py lacks, and what it lists without need."""
    formulas = {(module, name) for module, names in FORMULAS.items() for name in names}
    inside = tuple(f"{package}." for package in FORMULA_PACKAGES)
    new = {module for module in project.trees if module.startswith(inside)} - FORMULAS.keys()
    callers = {f"{one.module}.{one.name}": one for one in project.definitions.values()}
    return [
        *(f"{module} is not in FORMULAS. Add it, with its published formulas." for module in sorted(new)),
        *(f"{'.'.join(one)} in FORMULAS does not exist." for one in sorted(formulas - project.definitions.keys())),
        *(
            f"{name} in NEVER_RAISED calls nothing that raises {error}. Remove it."
            for name, errors in NEVER_RAISED.items()
            for error in errors
            if name not in callers or error not in {error for error, via in project.raised(callers[name]) if via}
        ),
    ]


def table(project: Project) -> str:
    """How many of the definitions that a rule applies to follow it, by part of the project."""
    found = list(findings(project))
    parts = sorted({_part(finding) for finding in found})
    lines = [f"{'':24}" + "".join(f"{kind:>15}" for kind in KINDS)]
    for part in [*parts, "all"]:
        counts = []
        for kind in KINDS:
            those = [one for one in found if one.kind == kind and part in ("all", _part(one))]
            counts.append(f"{sum(not one.wrong for one in those)} of {len(those)}")
        lines.append(f"{part:24}" + "".join(f"{count:>15}" for count in counts))
    return "\n".join(lines)


def _part(finding: Finding) -> str:
    return "/".join(finding.where.module.split(".")[:2])


def main() -> int:
    """The command in the docstring of this module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--root", type=Path, default=ROOT)
    given = parser.parse_args()
    read = Project.read(given.root, PACKAGES)
    if not given.parts:
        print(table(read))
        return 0
    wrong = [one for one in findings(read) if one.wrong and one.within(*given.parts)]
    print("\n".join(map(str, wrong)))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
