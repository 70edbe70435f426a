"""The library, installed from its wheel, is visible to pyright, mypy and a completion engine."""

import json
import re
import shutil
from pathlib import Path

import pytest

import landscape
from tests.packaging.options_in_help import options, public_functions
from tests.packaging.visibility import Environment, table
from tests.packaging.wheels import LIBRARY, Built

UNTYPED = {"compare"}  # returns a figure of Plotly, which has no types for mypy
FUNCTIONS = public_functions()

COMPLETE = """
import json, jedi, landscape
from sys import argv

def offered(code, **known):
    script = jedi.Interpreter(code, [known]) if known else jedi.Script("import landscape as ls\\n" + code)
    return [one.name for one in script.complete()]

def parameters(code):
    [signature] = jedi.Script("import landscape as ls\\n" + code).get_signatures()
    return [one.name for one in signature.params]

print(json.dumps({
    "written": offered("ls."),
    "live": offered("ls.", ls=landscape),
    "option": offered("ls.surface(norm"),
    "live option": offered("ls.surface(norm", ls=landscape),
    "option of a client": offered("ls.Client('http://lab').surface(norm"),
    "of a result": offered("ls.surface(model, images, labels)."),
    "parameters": {name: parameters(f"ls.{name}(") for name in argv[1:]},
}))
"""


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment.of_wheel(built.wheels[LIBRARY], tmp_path_factory.mktemp("clean") / "environment")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's script in a folder of its own, which holds no source of the library."""
    return Path(shutil.copy(Path(__file__).with_name("users_script.py"), tmp_path_factory.mktemp("user")))


def test_the_environment_has_the_library_from_the_wheel(environment: Environment) -> None:
    found = environment.run("-c", "import landscape; print(landscape.__file__)")
    assert found.startswith(str(environment.folder))


def test_pyright_accepts_a_users_script_and_finds_its_mistakes(environment: Environment, script: Path) -> None:
    found = environment.diagnostics(script, reportUnnecessaryTypeIgnoreComment="error")
    assert [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found] == []


def test_mypy_accepts_a_users_script_and_finds_its_mistakes(environment: Environment, script: Path) -> None:
    assert environment.mypy(script).startswith("Success")


def test_pyright_knows_the_type_of_every_public_name(environment: Environment) -> None:
    revealed = environment.revealed(landscape.__all__)
    assert {*revealed} == {*landscape.__all__}
    assert not {name: shown for name, shown in revealed.items() if shown == "Any" or "Unknown" in shown}
    assert not {name for name, shown in revealed.items() if shown.endswith("-> Any")}


def test_mypy_knows_the_type_of_every_public_name(environment: Environment, tmp_path: Path) -> None:
    names = [*landscape.__all__]
    file = tmp_path / "revealed.py"
    file.write_text("import landscape as ls\n" + "".join(f"reveal_type(ls.{name})\n" for name in names))
    shown = re.findall(r'Revealed type is "(.*)"', environment.mypy(file))
    assert len(shown) == len(names)
    assert {name for name, kind in zip(names, shown, strict=True) if re.search(r"(^|-> )Any$", kind)} <= UNTYPED


def test_the_types_of_every_public_name_are_complete(environment: Environment) -> None:
    """pyright need not infer the types of their parameters and attributes, which other checkers may do differently."""
    symbols = {one["name"]: one for one in environment.completeness["symbols"] if one["isExported"]}
    public = {f"landscape.{name}" for name in landscape.__all__ if name != "__version__"}
    assert public <= symbols.keys()
    assert not [name for name in public if not symbols[name]["isTypeKnown"]]
    unknown = {name for name, one in symbols.items() if not one["isTypeKnown"] and not one["isTypeAmbiguous"]}
    assert unknown <= {"landscape.plots.linked_figure.Comparison"}  # of a class of Plotly that has no types


def test_a_completion_engine_offers_every_name_and_option(environment: Environment) -> None:
    functions = [name for name in FUNCTIONS if name != "Result"]  # which a user does not construct
    found = json.loads(environment.run("-c", COMPLETE, *functions))
    public, submodules = {*landscape.__all__}, {path.stem for path in Path(landscape.__file__).parent.iterdir()}
    offered = {name for name in found["written"] if not name.startswith("_")} | {"__version__"}
    assert public <= offered <= public | submodules | {"TYPE_CHECKING"}
    assert {*found["live"]} == public
    assert found["option"] == found["live option"] == found["option of a client"] == ["normalization="]
    assert {"losses", "figure", "save", "provenance"} <= {*found["of a result"]}
    assert {name: [*options(FUNCTIONS[name])] for name in functions} == found["parameters"]


def test_the_table_counts_every_public_name_as_visible(environment: Environment) -> None:
    rows = dict(re.findall(r"(?m)^(.+?) +(\d+)$", table(environment)))
    every = rows["public functions and classes"]
    assert int(every) == len(landscape.__all__) - 1
    assert {rows[name] for name in ("in dir()", "with a type for pyright", "with a docstring")} == {every}
