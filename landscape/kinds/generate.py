"""Generates the code that spells out every kind with its options, for people and tools that read signatures.

    python -m landscape.kinds.generate            writes api.py, client/kinds.py and frontend/js/kinds.js, and the names
                                                  of the functions into landscape/__init__.py
    python -m landscape.kinds.generate --check    prints a diff and exits with 1 if one is out of date

The definitions are those of `KINDS`; ruff and oxfmt format the result.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from pathlib import Path

from ..options import CHOICES, Bounds, Option, choices_of
from . import KINDS, page_definitions
from .definition import Kind
from .formatting import ROOT, python

NOTE = "Generated from landscape/kinds/ by `python -m landscape.kinds.generate` (`make kinds`): change those."

API = '''"""The functions of `import landscape as ls`, one per kind of result: from a model and data to a `Result`.

None of them changes the caller's model or any global random state.

{note}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .directions.plane import Plane
from .evaluation.progress import Progress
from .evaluation.run import compute
from .evaluation.setup import Checkpoint, Trajectory
from .grid import Grid
from .keywords import checks_keywords
from .kinds.prepare import prepare
from .objective.losses import PerSample
from .objective.random_state import keeps_random_state
from .options import {names}
from .result import Result

'''
CLIENT = '''"""Methods of `ls.Client` and `ls.AsyncClient`, one per kind of job, with its options.

A missing option has the default of the service.

{note}
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from ..grid import Grid
from ..options import {names}
from .options import CheckpointLike, job_body

Job = TypeVar("Job")  # of the client: `Job` or `AsyncJob`
'''
MODEL = "Any `torch.nn.Module`; it is copied, not changed."
IMAGES = (
    "Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in the order of the data set. "
    "Batches that are mappings go to `model(**batch)`, and a callable `loss(outputs, batch)` computes what is plotted. "
    "See `data.inputs.read_inputs`."
)
PROGRESS = (
    "True for a bar in a terminal or notebook, False for none, or a function of (points done, total). Ctrl-C returns "
    "what is computed so far."
)
EVERY_KIND = {
    "UnknownOptionError, UnknownNameError": "an option, or the name that it is given, is not known.",
    "DataError, NotFiniteError": "samples or options are not possible, or a parameter is not finite.",
    "MemoryExhaustedError": "memory does not suffice for the smallest batch.",
    "LandscapeError": "another reason that you can fix; the message says what to do.",
}
CLIENT_TYPES = {"Subset | None": "int | Mapping[str, int] | None", "list[BatchNorm]": "Sequence[BatchNorm]"}
SETUP = """>>> import torch, landscape as ls
>>> model = torch.nn.Linear(4, 3)
>>> images, labels = torch.rand(8, 4), torch.arange(8) % 3"""


def api() -> str:
    """The text of landscape/api.py."""
    functions = "\n\n".join(_function(kind) for kind in KINDS.values())
    return python(API.format(note=NOTE, names=_names(functions)) + functions, "api.py")


def client() -> str:
    """The text of landscape/client/kinds.py."""
    blocking = _methods("Kinds", "blocking", "", "")
    awaited = _methods("AsyncKinds", "awaitable", "async ", "await ")
    code = f"{blocking}\n\n{awaited}"
    return python(CLIENT.format(note=NOTE, names=_names(code)) + code, "client/kinds.py")


def page() -> str:
    """The text of frontend/js/kinds.js."""
    return page_definitions.text(NOTE)


def package() -> str:
    """The text of landscape/__init__.py, with the functions of api.py in its three lists of names."""
    present = (ROOT / "landscape" / "__init__.py").read_text(encoding="utf-8")
    old = re.findall(r'(?m)^    "(\w+)": "api",$', present)
    code = re.sub(r"(?m)^    from \.api import \w+ as \w+\n", "", present)
    code = re.sub(rf'(?m)^    "({"|".join(old)})"(: "api")?,\n', "", code)
    imports = "".join(f"    from .api import {name} as {name}\n" for name in sorted(KINDS))
    code = code.replace("if TYPE_CHECKING:\n", f"if TYPE_CHECKING:\n{imports}", 1)
    code = code.replace("__all__ = [\n", "__all__ = [\n" + "".join(f'    "{name}",\n' for name in KINDS), 1)
    head, opening, rest = code.partition("_HOME = {  # the module of each name\n")
    entries, closing, tail = rest.partition("}\n")
    lines = sorted([*entries.splitlines(True), *(f'    "{name}": "api",\n' for name in KINDS)])
    return python(head + opening + "".join(lines) + closing + tail, "__init__.py")


def _function(kind: Kind) -> str:
    others = [role.name for role in kind.roles if role.many or role is not kind.center]
    types = {role.name: "Trajectory" if role.many else "Checkpoint" for role in kind.roles}
    passed = ", ".join(["model", *others, "images=images", "labels=labels", "grid=grid"])
    chosen = ", ".join(f"{option.name}={option.name}" for option in kind.options)
    given = [f"{name}: {types[name]}" for name in others]
    return f"""
@checks_keywords
@keeps_random_state
def {kind.name}(
    model: nn.Module, {"".join(one + ", " for one in given)} images: Any, labels: Any = None, *,
    grid: Grid | None = None,
    {"".join(f"{option.name}: {option.type} = {option.default!r}, " for option in kind.options)}
    progress: bool | Progress = True,
) -> Result:
    {_docstring(kind.summary, kind.details, _library_arguments(kind), _raises(kind), _example(kind))}
    return compute(prepare({kind.name!r}, {passed}, {chosen}), progress=progress)
"""


def _methods(name: str, style: str, asynchronous: str, awaiting: str) -> str:
    methods = "\n".join(_method(kind, asynchronous, awaiting) for kind in KINDS.values())
    return f'''
class {name}(Generic[Job]):
    """The {style} methods that submit a job."""

    {asynchronous}def submit(self, request: dict[str, Any]) -> Job:
        """Submit a job by the JSON body of `POST /jobs`."""
        raise NotImplementedError

{textwrap.indent(methods, "    ")}
'''


def _method(kind: Kind, asynchronous: str, awaiting: str) -> str:
    types = {role.name: "Sequence[CheckpointLike]" if role.many else "CheckpointLike" for role in kind.roles}
    named = ", ".join(f"{role.name}={role.name}" for role in kind.roles)
    chosen = ", ".join(f"{option.name!r}: {option.name}" for option in kind.job_options)
    given = ", ".join(f"{role.name}: {types[role.name]}" for role in kind.roles)
    taken = [
        f"{option.name}: {CLIENT_TYPES.get(option.job_type, option.job_type)} = {option.default!r}, "
        for option in kind.job_options
    ]
    return f"""
{asynchronous}def {kind.name}(self, {given}, *, grid: Grid | None = None, {"".join(taken)}) -> Job:
    {_docstring(f"Submit: {kind.summary}", "", _client_arguments(kind), {}, "")}
    return {awaiting}self.submit(job_body({kind.name!r}, grid, {{{chosen}}}, {named}))
"""


def _docstring(summary: str, details: str, arguments: dict[str, str], raises: dict[str, str], example: str) -> str:
    parts = [summary, *([_wrapped(details, "    ")] if details else [])]
    parts.append("Args:\n" + "\n".join(_wrapped(f"{name}: {text}", "        ", 4) for name, text in arguments.items()))
    if raises:
        parts.append(
            "Raises:\n" + "\n".join(_wrapped(f"{name}: {text}", "        ", 4) for name, text in raises.items())
        )
    if example:
        parts.append("Example:\n" + textwrap.indent(example, "    "))
    return '"""' + textwrap.indent("\n\n".join(parts), "    ").strip() + '\n    """'


def _wrapped(text: str, indent: str, own: int = 0) -> str:
    """`text` in lines that fit beside `indent`, the following ones indented further; all start with `own` spaces."""
    further = " " * (own + 4) if own else ""
    return textwrap.fill(
        text, 112 - len(indent), initial_indent=" " * own, subsequent_indent=further, break_on_hyphens=False
    )


def _library_arguments(kind: Kind) -> dict[str, str]:
    model = MODEL if not kind.center.many else "A network of the checkpoints' architecture."
    others = {role.name: role.help for role in kind.roles if role.many or role is not kind.center}
    chosen = {option.name: _described(option, option.help, option.type, option.bounds) for option in kind.options}
    return {"model": model, **others, "images, labels": IMAGES, "grid": _grid(kind), **chosen, "progress": PROGRESS}


def _client_arguments(kind: Kind) -> dict[str, str]:
    ids = {
        role.name: f"{role.job_help} Ids, or results of uploads."
        if role.many
        else f"{role.job_help} Its id, or its upload."
        for role in kind.roles
    }
    chosen = {
        option.name: _described(
            option, option.job_help or option.help, option.job_type, option.job_bounds or option.bounds
        )
        for option in kind.job_options
    }
    return {**ids, "grid": _grid(kind), **chosen}


def _described(option: Option, text: str, taken: str, bounds: Bounds) -> str:
    choices = [name for name in choices_of(taken) if f"'{name}'" not in text]
    one_of = f" One of {', '.join(map(repr, choices_of(taken)))}." if choices else ""
    limits = bounds.words()
    within = f" {limits[0].upper()}{limits[1:]}." if limits else ""
    default = "" if option.default is None else f" Default: {option.default!r}."
    return f"{text}{one_of}{within}{default}"


def _grid(kind: Kind) -> str:
    if kind.grid is None:
        return "By default 25 × 25 points around the checkpoints."
    spans = [
        f"{axis.count} points on [{axis.min:g}, {axis.max:g}]" for axis in (kind.grid.alpha, kind.grid.beta) if axis
    ]
    assert len(set(spans)) == 1
    return f"By default {spans[0]}{' along both axes' if len(spans) == 2 else ''}."


def _raises(kind: Kind) -> dict[str, str]:
    return {**kind.raises, **EVERY_KIND}


def _example(kind: Kind) -> str:
    return f"{SETUP}\n{kind.example}" if kind.example else ""


def _names(code: str) -> str:
    return ", ".join(name for name in sorted(CHOICES) if name in code)


FILES = {
    "landscape/__init__.py": package,
    "landscape/api.py": api,
    "landscape/client/kinds.py": client,
    "frontend/js/kinds.js": page,
}


def main(arguments: Sequence[str]) -> int:
    """Write or check the files; returns the exit code."""
    texts = {ROOT / name: make() for name, make in FILES.items()}
    if "--check" not in arguments:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return 0
    differences = [line for path, text in texts.items() for line in _difference(path, text)]
    sys.stdout.writelines(differences)
    return int(bool(differences))


def _difference(path: Path, expected: str) -> Iterable[str]:
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    return unified_diff(present.splitlines(True), expected.splitlines(True), str(path), "generated")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
