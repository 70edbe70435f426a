"""Code blocks of the documentation, and a shell and a Python that run them in order, as a reader would.

A block with a second word after its language is not run; the word gives the reason: `slow` takes long, and its figures
are quoted; `engine` needs a container engine; `elsewhere` is for another machine; `make` is a command for the checkout
that these tests run in; `output` is the output of a command.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
)
NOT_RUN = {"slow", "engine", "elsewhere", "make", "output"}
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    """A piece of a document between fences."""

    page: str
    line: int
    language: str
    remark: str
    code: str

    @property
    def runs(self) -> bool:
        return self.language in ("sh", "python") and not self.remark


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page of the repository, in order."""
    text = (ROOT / page).read_text()
    found = []
    for match in _FENCE.finditer(text):
        language, _, remark = match["info"].strip().partition(" ")
        found.append(Block(page, text[: match.start()].count("\n") + 1, language, remark, match["code"]))
    return found


_DRIVER = """
import json, sys, traceback
space = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "document", "exec"), space)
        answer = ""
    except BaseException:
        answer = traceback.format_exc()
    print("\\n" + json.dumps({"failed": answer}), flush=True)
"""


class Reader:
    """Runs every block of a page in one folder: each shell block in a new shell, all Python blocks in one process."""

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "NO_PROXY": "*",
        }
        self.log = (folder / ".python.log").open("w")
        self.python = subprocess.Popen(
            [sys.executable, "-c", _DRIVER],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def run(self, block: Block) -> None:
        """Run one block; on failure, raise with its position and output."""
        code = block.code.replace(ADDRESS, f"127.0.0.1:{self.port}")
        said = self._python(code) if block.language == "python" else self._shell(code)
        assert not said, f"{block.page}, line {block.line}:\n{block.code}\n{said}"

    def _python(self, code: str) -> str:
        assert self.python.stdin is not None
        assert self.python.stdout is not None
        self.python.stdin.write(json.dumps(code) + "\n")
        self.python.stdin.flush()
        for line in self.python.stdout:
            if line.startswith('{"failed"'):
                return str(json.loads(line)["failed"])
        return "Python ended"

    def _shell(self, code: str) -> str:
        """Variables that a block sets are kept for the next one, as in one terminal."""
        names = " ".join(dict.fromkeys(re.findall(r"^(\w+)=", code, re.MULTILINE)))
        keep = f"declare -p {names} >> .variables" if names else ""
        (self.folder / ".block.sh").write_text(
            f"set -euo pipefail\ntouch .variables; source ./.variables\n{code}\n{keep}\n"
        )
        done = subprocess.run(
            ["bash", ".block.sh"], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=280
        )
        return "" if done.returncode == 0 else f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"

    def close(self) -> None:
        """End the Python process."""
        self.python.communicate(timeout=60)
        self.log.close()
