"""Public calls change nothing, not even if they fail or are interrupted: compared bit for bit before and after."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import landscape as ls
from landscape.objective.batch_norm import POLICIES
from tests.support.small_models import pictures, stirred

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(0, 1, 2))


class Restless(nn.Module):
    """A network that draws from every random generator in its forward pass, and keeps a tensor of it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(4, 3)
        self.linear.bias.requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        noise = 1e-12 * (float(torch.rand(())) + float(np.random.random()) + random.random())
        x = F.relu(self.norm(self.convolution(x)))
        self.last = self.dropout(x).mean((2, 3)) + noise
        return self.linear(self.last)


def restless(seed: int = 1) -> nn.Module:
    """A network in mixed mode, with gradients and hooks."""
    model = stirred(Restless(), seed).train()
    model.norm.eval()
    model.register_forward_hook(lambda module, given, outputs: None)
    model.linear.register_full_backward_hook(lambda module, given, outputs: None)
    F.cross_entropy(model(pictures()[0]), pictures()[1]).backward()
    return model


def everything(model: nn.Module, *data: Tensor) -> dict[str, Any]:
    """All state that a call must not change."""
    attributes = {n: sorted(vars(part)) for n, part in model.named_modules()}
    hooks = {
        f"{name}.{kind}": list(getattr(part, kind).items())
        for name, part in model.named_modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    }
    return {
        "state": {name: (id(t), t.dtype, t.numpy().tobytes()) for name, t in model.state_dict(keep_vars=False).items()}
        | {name: (id(p), p.requires_grad, p._version) for name, p in model.named_parameters()},
        "values": {name: t.detach().numpy().tobytes() for name, t in model.state_dict().items()},
        "gradients": {
            n: None if p.grad is None else (id(p.grad), p.grad.numpy().tobytes()) for n, p in model.named_parameters()
        },
        "modes": [part.training for part in model.modules()],
        "attributes": attributes,
        "hooks": hooks,
        "kept": (id(model.last), model.last.detach().numpy().tobytes()),
        "data": [tensor.numpy().tobytes() for tensor in data],
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": [str(part) for part in np.random.get_state()],
        "python": random.getstate(),
        "settings": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()),
    }


def same(before: dict[str, Any], after: dict[str, Any]) -> None:
    before["state"] = {
        name: facts for name, facts in before["state"].items() if len(facts) == 3 and facts[1] in (True, False)
    }
    after["state"] = {
        name: facts for name, facts in after["state"].items() if len(facts) == 3 and facts[1] in (True, False)
    }
    for name, was in before.items():
        assert after[name] == was, name


OTHERS = [restless(seed) for seed in (7, 8, 9)]
STATES = [{name: tensor.clone() for name, tensor in other.state_dict().items()} for other in OTHERS]
RESULTS = [ls.surface(restless(), *pictures(), grid=GRID)]

# Every function of `ls`, called with a model and its data.
CALLS: dict[str, Callable[[nn.Module, Tensor, Tensor], object]] = {
    "surface": lambda m, x, y: ls.surface(m, x, y, grid=GRID),
    "slice": lambda m, x, y: ls.slice(m, x, y, grid=ls.Grid.line(3)),
    "interpolation": lambda m, x, y: ls.interpolation(m, OTHERS[0], x, y, grid=ls.Grid.line(3)),
    "plane": lambda m, x, y: ls.plane(m, STATES[0], OTHERS[1], x, y, grid=GRID),
    "trajectory": lambda m, x, y: ls.trajectory(m, [*STATES, m], x, y, grid=GRID),
    "curvature": lambda m, x, y: ls.curvature(m, x, y, grid=ls.Grid.line(2), steps=6),
    "spectrum": lambda m, x, y: ls.spectrum(m, x, y, steps=6, probes=2),
    "paired": lambda m, x, y: ls.paired(m, x, y, (0.0,), (0.5,)),
    "plane_along": lambda m, x, y: ls.plane_along(m, x, y, directions="gradient"),
    "Landscape": lambda m, x, y: ls.Landscape(m, x, y).rows([(0.0, 0.5), (1.0, 0.0)]),
    "Objective": lambda m, x, y: ls.Objective.of(m, x, y).evaluate({}),
    "numbers": lambda m, x, y: ls.numbers(RESULTS[0]),
    "compare": lambda m, x, y: ls.compare(RESULTS),
    "Result": lambda m, x, y: ls.Result.from_json(RESULTS[0].to_json()).figure(),
    "Grid": lambda m, x, y: ls.Grid(ls.Axis(0, 1, 3)),
    "shipped": lambda m, x, y: ls.shipped("resnet20-w8-skip"),
}
MORE: dict[str, Callable[[nn.Module, Tensor, Tensor], object]] = {
    **{f"surface, {p}": lambda m, x, y, p=p: ls.surface(m, x, y, grid=GRID, batch_norm=p) for p in POLICIES},
    "surface, float64": lambda m, x, y: ls.surface(m, x, y, grid=GRID, precision="float64"),
    "surface, loader": lambda m, x, y: ls.surface(
        m, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), shuffle=True, batch_size=5), grid=GRID
    ),
    "repeats": lambda m, x, y: ls.slice(m, x, y, repeats=2, grid=ls.Grid.line(3)),
    "slice, dictionaries": lambda m, x, y: ls.slice(
        m, {"x": x}, grid=ls.Grid.line(3), loss=lambda outputs, batch: outputs.square().mean(1)
    ),
    "plane_along, eigenvectors": lambda m, x, y: ls.plane_along(m, x, y, directions="eigenvectors"),
}
APART = {
    "DirectionOptions",
    "EngineOptions",
    "ObjectiveOptions",
    "pack",
    "Recorder",
    "inspect",
    "LandscapeError",
    "Client",
    "AsyncClient",
    "Axis",
    "__version__",
}


def test_every_public_function_is_called_here_or_takes_no_model() -> None:
    assert set(ls.__all__) - APART == set(CALLS) - {"Axis"}


@pytest.mark.parametrize("call", [*CALLS, *MORE])
def test_a_call_leaves_model_data_and_random_states_unchanged(call: str) -> None:
    model, (images, labels) = restless(), pictures()
    before = everything(model, images, labels)
    {**CALLS, **MORE}[call](model, images, labels)
    same(before, everything(model, images, labels))


def test_recording_and_packing_leave_model_data_and_random_states_unchanged(tmp_path: Path) -> None:
    model, (images, labels) = restless(), pictures()
    before = everything(model, images, labels)
    ls.Recorder(tmp_path / "run")(model)
    same(before, everything(model, images, labels))
    calm = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    states = torch.get_rng_state(), random.getstate()
    ls.pack(calm, images[:2], tmp_path / "packed.safetensors")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert calm.training


class Failing(Exception):
    pass


@pytest.mark.parametrize("error", [Failing, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("call", ["surface", "slice", "interpolation", "plane", "trajectory", "curvature", "spectrum"])
def test_a_call_that_fails_in_the_model_leaves_everything_unchanged(call: str, error: type[BaseException]) -> None:
    model, (images, labels) = restless(), pictures()
    calls = []

    def fail(module: nn.Module, given: Any) -> None:
        calls.append(1)
        if len(calls) > 3:
            torch.rand(5), np.random.random(), random.random()
            raise error

    model.register_forward_pre_hook(fail)
    before = everything(model, images, labels)
    with pytest.raises(error):
        CALLS[call](model, images, labels)
    same(before, everything(model, images, labels))


@pytest.mark.parametrize("call", ["surface", "slice", "interpolation", "plane", "trajectory", "curvature", "repeats"])
def test_ctrl_c_returns_what_is_computed_and_leaves_everything_unchanged(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (images, labels) = restless(), pictures()
    before = everything(model, images, labels)
    told = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 1:
            raise KeyboardInterrupt

    kinds = {
        "surface": lambda: ls.surface(model, images, labels, grid=ls.Grid.square(9), progress=progress),
        "slice": lambda: ls.slice(model, images, labels, grid=ls.Grid.line(33), progress=progress),
        "interpolation": lambda: ls.interpolation(
            model, OTHERS[0], images, labels, grid=ls.Grid.line(33), progress=progress
        ),
        "plane": lambda: ls.plane(
            model, STATES[0], STATES[1], images, labels, grid=ls.Grid.square(9), progress=progress
        ),
        "trajectory": lambda: ls.trajectory(
            model, [*STATES, model], images, labels, grid=ls.Grid.square(9), progress=progress
        ),
        "curvature": lambda: ls.curvature(model, images, labels, grid=ls.Grid.line(33), steps=4, progress=progress),
        "repeats": lambda: ls.slice(model, images, labels, repeats=2, grid=ls.Grid.line(33), progress=progress),
    }
    result = kinds[call]()
    same(before, everything(model, images, labels))
    assert told == [(int(result.computed.sum()), result.computed.size)]
    assert 0 < result.computed.sum() < result.computed.size
    assert np.isfinite(result.losses[result.computed]).all()
    assert np.isnan(result.losses[~result.computed]).all()
    assert result.provenance["interrupted"] is True
    assert all(check.passed for check in result.checks)


def test_the_computed_points_of_an_interrupted_surface_equal_those_of_a_complete_one() -> None:
    model, (images, labels) = restless(), pictures()

    def progress(done: int, total: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    whole = ls.surface(model, images, labels, grid=ls.Grid.square(9), progress=False)
    part = ls.surface(model, images, labels, grid=ls.Grid.square(9), progress=progress)
    assert "interrupted" not in whole.provenance
    np.testing.assert_allclose(part.losses[part.computed], whole.losses[part.computed], rtol=1e-6)
