"""What watches a forward pass costs no import."""

import subprocess
import sys

SCRIPT = """
import sys, torch
from torch import nn
import landscape as ls
model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
ls.surface(model, torch.randn(20, 5), torch.randint(3, (20,)), grid=ls.Grid.square(2), progress=False)
print("torch._dynamo" in sys.modules)
"""


def test_a_landscape_does_not_load_torchs_compiler_which_takes_a_second() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
