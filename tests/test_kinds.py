"""Every face offers the kinds of results and their options as landscape/kinds/ defines them, and computes them alike.

Faces: the library, the blocking and the awaitable client, the schema of a job, the shell, and the page's definitions.
"""

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import typer
from pydantic import ValidationError
from torch import nn

import landscape as ls
from landscape import options
from landscape.cli.kinds import DATA
from landscape.cli.main import app
from landscape.directions.normalization import KINDS as NORMALIZATIONS
from landscape.directions.random import BIASES, DRAWS, ORTHOGONALITIES
from landscape.evaluation.landscape import FAST, SOURCES
from landscape.hessian.products import OVER
from landscape.kinds import KINDS
from landscape.kinds.definition import Kind
from landscape.objective.batch_norm import POLICIES
from landscape.objective.losses import LOSSES
from landscape.objective.objective import PRECISIONS
from landscape.options import Option, options_of
from service.jobs.spec import SPECS, job_spec
from tests.support.paths import ROOT

GIVEN = {"model", "images", "labels", "grid", "progress"}  # besides the checkpoints and the options
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
ID = "0123456789abcdef"


def arguments(function: Any) -> dict[str, Any]:
    """The arguments with their defaults."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items() if name != "self"}


def roles(kind: Kind) -> set[str]:
    return {role.name for role in kind.roles}


@EVERY_KIND
def test_the_function_of_the_library_takes_the_options_with_their_defaults(kind: Kind) -> None:
    taken = arguments(getattr(ls, kind.name))
    others = {role.name for role in kind.roles if role.many or role is not kind.center}
    assert set(taken) == GIVEN | others | {option.name for option in kind.options}
    assert {option.name: taken[option.name] for option in kind.options} == kind.defaults


@EVERY_KIND
@pytest.mark.parametrize("client", [ls.Client, ls.AsyncClient])
def test_the_method_of_the_client_takes_the_options_of_a_job_with_their_defaults(client: type, kind: Kind) -> None:
    taken = arguments(getattr(client, kind.name))
    assert set(taken) == {"grid"} | roles(kind) | {option.name for option in kind.job_options}
    assert {option.name: taken[option.name] for option in kind.job_options} == {
        option.name: option.default for option in kind.job_options
    }


@EVERY_KIND
def test_the_schema_of_a_job_has_the_fields_with_their_defaults_bounds_and_words(kind: Kind) -> None:
    schema = SPECS[kind.name].model_json_schema()["properties"]
    assert set(schema) == {"kind", "grid"} | roles(kind) | {option.name for option in kind.job_options}
    for option in kind.job_options:
        field = schema[option.name]
        bounds = option.job_bounds or option.bounds
        numbers = {"minimum": bounds.least, "maximum": bounds.most, "exclusiveMaximum": bounds.below}
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        assert field["default"] == default, option.name
        assert field["description"] == (option.job_help or option.help), option.name
        number = {**field, **field.get("anyOf", [{}])[0]}  # it may be null instead
        assert {name: number.get(name) for name in numbers} == numbers, option.name
        if option.choices:
            assert enumerated(field) == set(option.choices), option.name


def enumerated(field: Mapping[str, Any]) -> set[str]:
    """The values of a field of a JSON schema, or of its items."""
    branches = [*field.get("anyOf", []), field, field.get("items", {})]
    return {value for branch in branches for value in branch.get("enum", [])}


@EVERY_KIND
def test_the_default_grid_of_a_job_is_that_of_the_library(kind: Kind) -> None:
    checkpoints = {role.name: [ID] * role.least if role.many else ID for role in kind.roles}
    spec = job_spec.validate_python({"kind": kind.name, **checkpoints})
    assert (spec.grid.grid() if spec.grid else None) == kind.grid
    assert kind.grid is None or (2 if kind.grid.beta else 1) == kind.axes[0]


@EVERY_KIND
def test_the_command_of_the_shell_has_the_options_with_their_defaults(kind: Kind) -> None:
    group: Any = typer.main.get_command(app)
    parameters = {one.name: one for one in group.commands[kind.name].params}
    assert roles(kind) <= set(parameters)
    for option in shown(kind):
        found = parameters[option.name].default
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        assert (found or None) == (default or None), option.name
    left = set(parameters) - roles(kind) - {option.name for option in shown(kind)} - DATA
    assert left == {"output", "grid", "range_", "workers", "server", "token_file", "as_json"} | (
        {"range_beta"} if kind.axes[0] == 2 else set()
    )


def shown(kind: Kind) -> list[Option]:
    return [option for option in kind.job_options if option.shell and option.name not in DATA]


def test_the_page_reads_the_generated_definitions() -> None:
    """frontend/js/kinds.js is up to date, and so are the other generated files."""
    checked = subprocess.run(
        [sys.executable, "-m", "landscape.kinds.generate", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_the_names_that_options_take_are_those_that_the_mathematics_knows() -> None:
    assert get_args(options.Normalization) == tuple(NORMALIZATIONS)
    assert get_args(options.Biases) == BIASES
    assert get_args(options.Orthogonality) == ORTHOGONALITIES
    assert get_args(options.Draw) == DRAWS
    assert set(get_args(options.Source)) == {"random", *SOURCES}
    assert get_args(options.LossName) == LOSSES
    assert get_args(options.BatchNorm) == POLICIES
    assert set(get_args(options.Precision)) == {*PRECISIONS, FAST}
    assert get_args(options.Over) == OVER


def test_the_data_options_of_the_shell_are_those_of_a_job() -> None:
    from landscape.cli.options import DataOptions

    defaults = {option.name: option.default for option in options_of(options.SampleOptions)}
    assert vars(DataOptions()) == {name: default for name, default in defaults.items() if name != "name"}


# What each kind computes, of a small network.


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(7, 4, generator=torch.Generator().manual_seed(1)), torch.arange(7) % 3


def others(kind: Kind) -> list[Any]:
    return (
        [[network(seed) for seed in range(4)]] if kind.center.many else [network(n) for n in range(1, len(kind.roles))]
    )


def grid(kind: Kind) -> ls.Grid:
    return ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2)) if kind.axes[0] == 2 else ls.Grid.line(3)


@EVERY_KIND
def test_a_result_has_the_columns_that_the_kind_declares(kind: Kind) -> None:
    few = {"repeats": 2} if "repeats" in kind.defaults else {"steps": 5} if "steps" in kind.defaults else {}
    result = getattr(ls, kind.name)(network(), *others(kind), *samples(), grid=grid(kind), progress=False, **few)
    assert set(result.extra) == {column.name for column in kind.columns}
    assert result.kind == kind.name


@EVERY_KIND
def test_an_exclusion_is_refused_by_library_and_job_with_the_same_sentence(kind: Kind) -> None:
    checkpoints = {role.name: [ID] * role.least if role.many else ID for role in kind.roles}
    for exclusion in kind.excludes:
        assert exclusion.option == "repeats"
        given: dict[str, Any] = {"repeats": 2, "directions": "gradient"}
        with pytest.raises(ls.LandscapeError) as refused:
            getattr(ls, kind.name)(network(), *samples(), **given)
        assert str(refused.value) == exclusion.text
        with pytest.raises(ValidationError, match=exclusion.text):
            job_spec.validate_python({"kind": kind.name, **checkpoints, **given})


@EVERY_KIND
def test_a_result_records_what_was_asked_for(kind: Kind) -> None:
    result = getattr(ls, kind.name)(
        network(), *others(kind), *samples(), grid=grid(kind), progress=False, weight_decay=0.25
    )
    request = result.provenance["request"]
    assert request == json.loads(json.dumps(request))
    assert request["kind"] == kind.name
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in kind.defaults.items()}
    assert request["options"] == {name: asked[name] for name in asked if name != "choice"} | {"weight_decay": 0.25}
    assert request["grid"]["alpha"] == {"min": -1.0, "max": 1.0, "count": 3}


# A new kind: one file, one line.

RAY = '''
"""A ray: the loss from the network outwards along a random direction."""

from typing import TYPE_CHECKING

from ..grid import Axis, Grid
from ..options import DirectionOptions
from .definition import Kind

if TYPE_CHECKING:
    from ..evaluation.run import Prepared
    from ..evaluation.setup import Call


def prepare(call: "Call") -> "Prepared":
    """The landscape along one random direction, from the center outwards."""
    from ..evaluation import setup

    return setup.around_one(call)


KIND = Kind(
    name="ray",
    label="Ray",
    summary="L on the ray from the network outwards.",
    prepare=prepare,
    axes=(1,),
    grid=Grid(Axis(0, 1, 5)),
    own=(DirectionOptions,),
)
'''
USE = """
import asyncio, sys
import landscape as ls, torch
from landscape.cli.main import app
from service.jobs.spec import job_spec
from typer.main import get_command
assert ls.__file__.startswith(sys.argv[1]), ls.__file__
model, images, labels = torch.nn.Linear(4, 3), torch.rand(6, 4), torch.arange(6) % 3
result = ls.ray(model, images, labels, seed=3, progress=False)
slice = ls.slice(model, images, labels, seed=3, grid=ls.Grid(ls.Axis(0, 1, 5)), progress=False)
assert result.kind == "ray" and (result.losses == slice.losses).all() and "ray" in dir(ls)
assert ls.Client.ray and ls.AsyncClient.ray
assert {"seed", "grid", "checkpoint"} <= {one.name for one in get_command(app).commands["ray"].params}
spec = job_spec.validate_python({"kind": "ray", "checkpoint": "0123456789abcdef"})
assert spec.points == 5 and spec.checkpoints == ("0123456789abcdef",)
"""


def test_a_new_kind_is_one_file_and_one_line_for_every_face(tmp_path: Path) -> None:
    for name in ("landscape", "service", "worker", "frontend"):
        copy(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", ".oxfmtrc.json"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "landscape/kinds/ray.py").write_text(RAY.lstrip())
    listed = tmp_path / "landscape/kinds/__init__.py"
    listed.write_text(listed.read_text().replace('    "slice",\n', '    "slice",\n    "ray",\n'))
    run(tmp_path, "-m", "landscape.kinds.generate")
    run(tmp_path, "-c", USE, str(tmp_path))
    page = (tmp_path / "frontend/js/kinds.js").read_text()
    assert "ray: {" in page
    assert '"kind.ray": "Ray"' in page


def run(folder: Path, *arguments: str) -> None:
    """Python in a copy of the project, whose packages precede the installed ones."""
    code = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={"PYTHONPATH": str(folder), "PATH": ""}, capture_output=True
    )
    assert code.returncode == 0, code.stderr.decode()


def copy(source: Path, target: Path) -> None:
    """The Python and JavaScript of a package, and the native module."""
    for file in source.rglob("*"):
        if file.suffix in (".py", ".js", ".so", ".json") and "__pycache__" not in file.parts:
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(source)).write_bytes(file.read_bytes())
