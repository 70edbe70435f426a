"""The native module on another processor: compiled for ARM and run under an emulator, if both are installed.

On Debian: `g++-aarch64-linux-gnu` and `qemu-user`. Without them the test is skipped.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from landscape.engine import native
from landscape.engine.graph.compile import prepare
from landscape.engine.lanes.plan import _channels_last, _vectors
from landscape.engine.lanes.program import compile_network
from tests.landscape.engine.zoo import directions, objective

COMPILER, EMULATOR, OWN = (shutil.which(name) for name in ("aarch64-linux-gnu-g++", "qemu-aarch64", "g++"))
OPTIONS = ("-O3", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-g0")  # as in setup.py
SOURCE = Path(__file__).with_name("foreign.cpp")
KERNELS = ("lanes", "winograd", "perceptron")
pytestmark = [
    pytest.mark.skipif(not (COMPILER and EMULATOR and OWN), reason="needs a compiler and an emulator for ARM"),
    pytest.mark.skipif(not native.width("avx2"), reason="compares with AVX2, which this processor lacks"),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("foreign")
    for compiler, name in ((OWN, "own"), (COMPILER, "arm")):
        subprocess.run([str(compiler), *OPTIONS, "-static", str(SOURCE), "-o", str(folder / name)], check=True)
    return {"own": [str(folder / "own")], "arm": [str(EMULATOR), str(folder / "arm")]}


def write(folder: Path, name: str, *, filters: int) -> None:
    """A program of lanes with its weights and images."""
    given = objective(name, samples=17)
    program = compile_network(prepare(given, directions(given)), filters=filters, block=12, batch=17)
    center, steps = _vectors(program.weights, 2)
    images = _channels_last(given.images)
    sizes = (program.lines, program.outer_lines, program.block, program.input, program.output, program.scores)
    parts: dict[str, Tensor] = {
        "sizes": torch.tensor([*sizes, program.weight_lines, len(images), images[0].numel()]),
        **{"program": program.instructions, "stretches": program.stretches, "tables": program.tables},
        **{"center": center, "steps": steps, "images": images},
    }
    for part, tensor in parts.items():
        (folder / part).write_bytes(tensor.contiguous().numpy().tobytes())


@pytest.mark.parametrize("name", ["resnet-20 with shortcuts", "grouped", "depthwise", "odd windows", "dense", "vgg"])
def test_arm_gives_the_same_bits_as_avx2(name: str, programs: dict[str, list[str]], tmp_path: Path) -> None:
    for machine, instruction_set, filters in (("own", "avx2", 2), ("arm", "portable", 4)):
        write(tmp_path, name, filters=filters)
        subprocess.run([*programs[machine], str(tmp_path), instruction_set, machine], check=True, timeout=200)
    for kernel in KERNELS:
        own, arm = ((tmp_path / f"{kernel}.{machine}").read_bytes() for machine in ("own", "arm"))
        numbers = np.frombuffer(own, np.float32)
        assert np.isfinite(numbers).all()
        assert np.ptp(numbers) > 0
        assert own == arm
