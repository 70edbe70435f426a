"""The peers in a separate environment and process, so that we never depend on them.

`environment` installs them under build/ with our constraints and without their dependencies, which include CUDA
builds; torch and numpy are ours, by a path file. Run as a module, this file is the process that measures.
"""

import importlib.util
import json
import subprocess
import sys
import sysconfig
import types
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "build" / "peers"
EXTRAS = ("tqdm",)  # imported by the timed part of landscaper
ABSENT = ("matplotlib", "matplotlib.pyplot")  # imported for plots, which are not timed


def environment() -> Path:
    """The interpreter of the peers' environment, which is created on first use."""
    from benchmarks.contestants import PEERS

    python = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        venv.create(HOME, with_pip=True, clear=True)
        wanted = [f"{name}=={version}" for name, version in PEERS.items()]
        command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-c", ROOT / "constraints.txt"]
        subprocess.run([*map(str, command), *wanted, *EXTRAS], check=True)
        site = next((HOME / "lib").glob("python*/site-packages"))
        (site / "ours.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{ROOT}\n")
        (HOME / "ready").touch()
    return python


class Peer:
    """A peer in its process, one case at a time; wait for `ready` before timing, since loading takes time."""

    def __init__(self, name: str, threads: int):
        command = [str(environment()), "-m", "benchmarks.peers", name, str(threads)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def load(self, case: str, samples: int) -> None:
        """Start loading the network and the data of a case."""
        self._send({"case": case, "samples": samples})

    def ready(self) -> "Peer":
        """Wait until they are loaded."""
        self._receive()
        return self

    def __call__(self) -> float:
        self._send({})
        return float(self._receive())

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()

    def _send(self, question: dict[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def _receive(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def _stand_in_for_plotting() -> None:
    for name in ABSENT:
        sys.modules[name] = types.ModuleType(name)
    for name in ("losscape", "landscaper"):  # their __init__ imports plotting and topology; the timed modules do not
        found = importlib.util.find_spec(name)
        if found is None:
            continue
        package = types.ModuleType(name)
        package.__path__ = list(found.submodule_search_locations or [])
        sys.modules[name] = package


def answer(name: str, threads: int) -> None:
    """Answer questions from standard input until it ends."""
    import torch

    from benchmarks.cases import case_of, data_of, model_of
    from benchmarks.contestants import peer

    torch.set_num_threads(threads)
    measure = None
    for line in sys.stdin:
        question = json.loads(line)
        if "case" in question:
            case = case_of(question["case"])
            measure = peer(name, model_of(case), *data_of(case, question["samples"]))
            print("ready", flush=True)
        else:
            assert measure is not None
            print(measure(), flush=True)


if __name__ == "__main__":
    _stand_in_for_plotting()
    answer(sys.argv[1], int(sys.argv[2]))
