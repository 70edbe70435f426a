"""What the modules of a project define, import, call and raise, read from their source; nothing is imported."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

BUILTIN_ERRORS = ("KeyError", "OSError", "TypeError", "ValueError")
CONSTRUCTORS = ("__init__", "__post_init__")
ARRAYS = frozenset({"Tensor", "NDArray", "ndarray"})

_ENTRY = re.compile(r"\s+([A-Z]\w+(?:, [A-Z]\w+)*):")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = tuple[str, str]  # a module and a name in it: "landscape.grid", "Grid.square"
Raised = tuple[str, str]  # an error, and the function that documents it ("" for a raise statement)


@dataclass(frozen=True)
class Definition:
    """A function, method or class."""

    module: str
    name: str  # with the classes around it
    node: Function | ast.ClassDef

    @property
    def owner(self) -> str:
        """The class of a method; "" for a function or class at the top."""
        return self.name.rpartition(".")[0]

    @property
    def public(self) -> bool:
        parts = [*self.module.split("."), *self.name.split(".")]
        return not any(part.startswith("_") and part != "__call__" for part in parts)

    @property
    def decorators(self) -> set[str]:
        return {last_name(decorator) for decorator in self.node.decorator_list}


class Project:
    """Modules by their dotted names, with what they define and import."""

    def __init__(self, sources: Mapping[str, str]):
        self.sources = sources
        self.trees = {module: ast.parse(source) for module, source in sources.items()}
        self.definitions: dict[Key, Definition] = {}
        for module, tree in self.trees.items():
            self._define(module, tree.body, "")
        packages = {module.rpartition(".")[0] for module in sources}
        self.imports = {
            module: dict(_imported(tree, module if module in packages else module.rpartition(".")[0]))
            for module, tree in self.trees.items()
        }

    @classmethod
    def read(cls, root: Path, packages: tuple[str, ...]) -> "Project":
        """The modules of some packages of a checkout."""
        files = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
        return cls({module_name(root, path): path.read_text() for path in files})

    def _define(self, module: str, body: list[ast.stmt], owner: str) -> None:
        for node in body:
            if not isinstance(node, Function | ast.ClassDef):
                continue
            found = Definition(module, f"{owner}.{node.name}" if owner else node.name, node)
            if not found.decorators & {"setter", "overload"}:
                self.definitions[module, found.name] = found
            if isinstance(node, ast.ClassDef):
                self._define(module, node.body, found.name)

    @cached_property
    def bases(self) -> dict[str, set[str]]:
        """Class name -> names of its bases. Classes of the same name are taken together."""
        found = {name: {"Exception"} for name in BUILTIN_ERRORS}
        for definition in self.definitions.values():
            if isinstance(definition.node, ast.ClassDef):
                found.setdefault(definition.node.name, set()).update(map(last_name, definition.node.bases))
        return found

    def ancestors(self, name: str) -> set[str]:
        """A class, its bases, and theirs."""
        return {name}.union(*(self.ancestors(base) for base in self.bases.get(name, set()) - {name}))

    def is_error(self, name: str) -> bool:
        return name in self.bases and "Exception" in self.ancestors(name)

    def resolve(self, dotted: str) -> Definition | None:
        """The definition of a full dotted name; imported names and inherited methods are followed."""
        parts = dotted.split(".")
        for count in range(len(parts) - 1, 0, -1):
            module, rest = ".".join(parts[:count]), parts[count:]
            if module in self.trees:
                return self._within(module, rest)
        return None

    def _within(self, module: str, rest: list[str]) -> Definition | None:
        if found := self.definitions.get((module, ".".join(rest))):
            return found
        if target := self.imports[module].get(rest[0]):
            return self.resolve(".".join([target, *rest[1:]]))
        return self.inherited(module, rest[0], rest[1]) if len(rest) == 2 else None

    def inherited(self, module: str, owner: str, method: str) -> Definition | None:
        """The method of a base class."""
        holder = self.definitions.get((module, owner))
        for base in holder.node.bases if holder and isinstance(holder.node, ast.ClassDef) else []:
            if (name := dotted_name(base)) and (found := self.resolve(f"{module}.{name}.{method}")):
                return found
        return None

    def called(self, caller: Definition, function: ast.expr) -> Definition | None:
        """The function or class of the project that an expression in `caller` names."""
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            if last_name(function.value) == "super":
                found = self.inherited(caller.module, caller.owner, function.attr)
                constructor = found is not None and function.attr in CONSTRUCTORS
                return self.definitions[found.module, found.owner] if found and constructor else found
            made = self.called(caller, function.value.func)
            return self.resolve(f"{made.module}.{made.name}.{function.attr}") if made else None
        name = dotted_name(function)
        first, _, rest = name.partition(".")
        if first in ("self", "cls"):
            name = f"{caller.owner}.{rest}"
        elif rest and isinstance(caller.node, Function) and (kind := _annotated(caller.node, first)):
            name = f"{kind}.{rest}"
        return self.resolve(f"{caller.module}.{name}") if name else None

    def docstring(self, definition: Definition) -> str:
        """The docstring; a class's with that of its constructor, a method's from its base class where it has none."""
        texts = [ast.get_docstring(definition.node) or ""]
        if isinstance(definition.node, ast.ClassDef):
            own = (self.definitions.get((definition.module, f"{definition.name}.{name}")) for name in CONSTRUCTORS)
            texts += [self.docstring(one) for one in own if one]
        elif not texts[0] and definition.owner and definition.node.name not in CONSTRUCTORS:
            base = self.inherited(definition.module, definition.owner, definition.node.name)
            texts = [self.docstring(base) if base else ""]
        return "\n\n".join(text for text in texts if text)

    def raised(self, definition: Definition, above: frozenset[Key] = frozenset()) -> set[Raised]:
        """Errors that leave a definition: raised in it or in private functions it calls, documented by public ones."""
        key = (definition.module, definition.name)
        if isinstance(definition.node, ast.ClassDef):
            own = (self.definitions.get((definition.module, f"{definition.name}.{name}")) for name in CONSTRUCTORS)
            return set().union(*(self.raised(one, above) for one in own if one))
        if key in above:
            return set()
        found: set[Raised] = set()
        for node, caught in _executed(definition.node.body, frozenset()):
            errors = self._raised_by(node, definition, above | {key})
            found |= {(error, via) for error, via in errors if not self.ancestors(error) & caught}
        return found

    def _raised_by(self, node: ast.AST, caller: Definition, above: frozenset[Key]) -> set[Raised]:
        if isinstance(node, ast.Raise) and node.exc is not None:
            return {(error, "") for error in self._errors_of(node.exc, caller)}
        if not isinstance(node, ast.Call) or (callee := self.called(caller, node.func)) is None:
            return set()
        if callee.public:
            return {(error, callee.name) for error in documented_errors(self.docstring(callee))}
        return self.raised(callee, above)

    def _errors_of(self, expression: ast.expr, caller: Definition) -> set[str]:
        """The error of `raise expression`: a class, an instance, or what a function is annotated to return."""
        named = expression.func if isinstance(expression, ast.Call) else expression
        callee = self.called(caller, named)
        if callee and isinstance(callee.node, Function):
            named = callee.node.returns or named
        return {last_name(named)} if self.is_error(last_name(named)) else set()

    @cached_property
    def names(self) -> set[str]:
        """The last names of all modules, of what they define and of what they assign at the top."""
        assigned = [
            last_name(target)
            for tree in self.trees.values()
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        modules = {module.rpartition(".")[2] for module in self.trees}
        return modules.union(assigned, (name.rpartition(".")[2] for _, name in self.definitions))

    @cached_property
    def array_names(self) -> set[str]:
        """Full names of type aliases that stand for arrays, such as dict[str, Tensor]."""
        found: set[str] = set()
        while True:
            more = {
                f"{module}.{last_name(node.targets[0])}"
                for module, tree in self.trees.items()
                for node in tree.body
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp)
                if self._holds(node.value, module, found)
            }
            if more <= found:
                return found
            found |= more

    def holds_arrays(self, annotation: ast.expr | None, module: str) -> bool:
        """Whether a type is or contains an array; a function of arrays does not."""
        return annotation is not None and self._holds(annotation, module, self.array_names)

    def _holds(self, node: ast.AST, module: str, aliases: set[str]) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError):  # a text, not a type in quotes
                return self._holds(ast.parse(node.value, mode="eval"), module, aliases)
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted_name(node)
            first, _, rest = name.partition(".")
            full = ".".join(filter(None, [self.imports[module].get(first, f"{module}.{first}"), rest]))
            return last_name(node) in ARRAYS or full in aliases
        if isinstance(node, ast.Subscript) and last_name(node.value) == "Callable":
            return False
        return any(self._holds(child, module, aliases) for child in ast.iter_child_nodes(node))


def _annotated(function: Function, name: str) -> str:
    """The type of a parameter, if it is a single name: "Objective", also in quotes."""
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            annotation = argument.annotation
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                return annotation.value
            return dotted_name(annotation)
    return ""


def module_name(root: Path, path: Path) -> str:
    """landscape/grid.py -> "landscape.grid"."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def dotted_name(node: ast.AST) -> str:
    """`a.b.c` as text; "" for anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted_name(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def last_name(node: ast.AST) -> str:
    """The last name of a (called or subscripted) name: "property", "get" of `@router.get("/")`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Constant):
        return str(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def documented_errors(docstring: str) -> set[str]:
    """The names in the Raises sections of a docstring."""
    found: set[str] = set()
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line and not line.startswith(" "):
            inside = line.startswith("Raises:")
        elif inside and (entry := _ENTRY.match(line)):
            found.update(entry[1].split(", "))
    return found


def _imported(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """Every imported name, also within functions, with what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)


def _executed(
    nodes: list[ast.AST] | list[ast.stmt], caught: frozenset[str]
) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Every node that runs when a function is called, with the errors that the statements around it catch."""
    for node in nodes:
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        yield node, caught
        if isinstance(node, ast.Try):
            yield from _executed(node.body, caught.union(*map(_caught_by, node.handlers)))
            yield from _executed([*node.handlers, *node.orelse, *node.finalbody], caught)
        elif isinstance(node, ast.With | ast.AsyncWith):
            suppressed = [item.context_expr for item in node.items if last_name(item.context_expr) == "suppress"]
            names = {last_name(one) for call in suppressed if isinstance(call, ast.Call) for one in call.args}
            yield from _executed([*node.items], caught)
            yield from _executed(node.body, caught | names)
        else:
            yield from _executed([*ast.iter_child_nodes(node)], caught)


def _caught_by(handler: ast.ExceptHandler) -> set[str]:
    """Names of the errors that end in a handler; none if it raises the same error again."""
    again = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    if again:
        return set()
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {last_name(kind) if kind else "Exception" for kind in kinds}
