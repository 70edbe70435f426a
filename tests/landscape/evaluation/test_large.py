"""Networks whose landscape does not fit into memory as it is computed otherwise: other ways, or figures."""

import subprocess
import sys

import numpy as np
import pytest
from torch import nn

import landscape as ls
from landscape import memory
from landscape.errors import MemoryExhaustedError
from landscape.evaluation import large
from tests.support.small_models import perceptron, vectors

GRID = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(-0.5, 1, 4))


def weights_of(model: nn.Module) -> int:
    return sum(4 * one.numel() for one in model.parameters())


def fitting(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """As much memory as `times` the weights, beside what the largest parameter takes."""
    model = perceptron()
    rest = large.LARGEST * max(4 * one.numel() for one in model.parameters())
    monkeypatch.setattr(large, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: int(times * weights_of(model)) + rest)


def test_without_directions_in_memory_the_bits_are_those_of_the_plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ls.surface(perceptron(), *vectors(), grid=GRID, choice={"engine": "plain"}, weight_decay=0.1)
    fitting(monkeypatch, large.STREAMED + 0.5)
    found = ls.surface(perceptron(), *vectors(), grid=GRID, weight_decay=0.1)
    np.testing.assert_array_equal(found.losses, plain.losses)
    assert found.provenance["memory"].startswith("with directions drawn again at every point: weights of ")
    assert [line.name for line in found.checks if not line.passed] == []
    assert "there is no memory for float64" in found.provenance["center"]["independent_method"]
    for name in ("cosine", "filter_ratio_min", "filter_ratio_max", "filters"):
        assert found.provenance[name] == plain.provenance[name]


def test_a_process_that_takes_over_the_plain_choice_has_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether directions are kept does not change a bit, so that each process decides by its own memory."""
    fitting(monkeypatch, large.STREAMED + 0.5)
    first = ls.surface(perceptron(), *vectors(), grid=GRID)
    later = ls.surface(perceptron(), *vectors(), grid=GRID, choice=first.provenance["engine"])
    assert later.provenance["memory"] == first.provenance["memory"]
    np.testing.assert_array_equal(later.losses, first.losses)


def test_without_the_engine_the_center_is_still_checked_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ls.surface(perceptron(), *vectors(), grid=GRID, choice={"engine": "plain"})
    fitting(monkeypatch, large.PLAIN + 0.5)
    found = ls.surface(perceptron(), *vectors(), grid=GRID)
    np.testing.assert_array_equal(found.losses, plain.losses)
    assert found.provenance["center"]["independent_precision"] == "float64"
    assert found.provenance["memory"].startswith("without the engine")


def test_what_fits_is_computed_as_ever_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fitting(monkeypatch, large.ENGINE + 0.5)
    assert "memory" not in ls.surface(perceptron(), *vectors(), grid=GRID).provenance


@pytest.mark.parametrize(
    ("times", "options"),
    [
        (large.STREAMED - 0.5, {}),
        (large.PLAIN - 0.5, {"orthogonality": "overall"}),
        (large.PLAIN - 0.5, {"drawn": "authors"}),
        (large.PLAIN - 0.5, {"directions": "gradient"}),
    ],
)
def test_what_does_not_fit_is_refused_with_the_figures(
    monkeypatch: pytest.MonkeyPatch, times: float, options: dict[str, object]
) -> None:
    fitting(monkeypatch, times)
    with pytest.raises(MemoryExhaustedError, match=r"GB of weights in float32; its landscape needs about .* available"):
        ls.surface(perceptron(), *vectors(), grid=GRID, **options)  # type: ignore[arg-type]


def test_a_process_knows_its_own_limit_and_that_of_the_machine() -> None:
    script = (
        "import resource; from landscape import memory; free = memory.available(); "
        "used = memory.of_process('VmData'); "
        "resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000,) * 2); print(free, memory.available())"
    )
    free, left = map(
        int, subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.split()
    )
    assert left <= 100_000_000 < free <= memory.total()


def test_limits_of_a_control_group_count(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    free = memory.available()
    (tmp_path / "memory.max").write_text("500000000\n")
    (tmp_path / "memory.current").write_text("300000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 60000000\nactive_file 40000000\n")
    assert memory.total() == 500_000_000
    assert memory.available() == 300_000_000 < free


LIMITED = """
import resource, torch
from torch import nn
torch.set_num_threads(1)
import landscape as ls
from landscape import memory
torch.manual_seed(0)
layers = [nn.Linear(64, 2000), nn.ReLU()] + [nn.Linear(2000, 2000), nn.ReLU()] * 1
layers += [nn.Linear(2000, 2000), nn.ReLU(), nn.Linear(2000, 2000), nn.ReLU(), nn.Linear(2000, 2000), nn.ReLU()]
model = nn.Sequential(*layers, nn.Linear(2000, 10)).eval()
samples, labels = torch.randn(16, 64), torch.randint(10, (16,))
ls.slice(nn.Linear(64, 10), samples, labels, grid=ls.Grid.line(2))  # what is loaded on first use
used = memory.of_process("VmData")
limit = used + 600_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
found = ls.surface(model, samples, labels, grid=ls.Grid.square(2))
print(all(line.passed for line in found.checks), found.provenance["memory"])
"""


def test_a_network_is_computed_within_the_limit_of_its_process() -> None:
    """65 MB of weights within 600 MB, where the engine takes 1.5 GB: the estimates hold."""
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("True with directions drawn again at every point")
