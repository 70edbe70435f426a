"""Generates aio.py, the asynchronous client, from sync.py.

    python landscape/client/generate_aio.py            writes aio.py
    python landscape/client/generate_aio.py --check    prints a diff and exits with 1 if aio.py is out of date

Run as a file, not with -m, so that it does not import the package: an outdated aio.py may not be importable.

The translation is by name: methods become `async def`, their calls get an `await`, and `REPLACED` does the rest. ruff
formats the result.
"""

import re
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

SOURCE = Path(__file__).with_name("sync.py")
TARGET = Path(__file__).with_name("aio.py")

HEADER = '''"""`ls.AsyncClient` and its `AsyncJob`: the methods of `ls.Client` and `Job`, to be awaited.

Generated from sync.py by `python landscape/client/generate_aio.py` (`make client`). Change sync.py, not this file.
"""
'''
PLAIN = ("__init__", "__repr__", "id", "follow", "_events")  # methods that stay as they are: they do no I/O
GENERATORS = ("_steps",)  # `async def`, with `async for` instead of `await`
REPLACED = {
    r"\bimport time\b": "import asyncio",
    r"\b(Client|Job|Iterator|Kinds)\b": r"Async\1",
    r"\b__(enter|exit)__\b": r"__a\1__",
    r"\bnext\(": "await anext(",
    r"\btime\.sleep\(": "await asyncio.sleep(",
    r"\beffect\.function\(\)": "await asyncio.to_thread(effect.function)",
    r"\b(self\._http\.send)\(": r"await \1(",  # named alike in both clients of httpx
    r"\b(\w+\._http|self\._response)\.close\(": r"await \1.aclose(",  # these are not
    r"\bresponse\.read\(": "await response.aread(",
    r"\bresponse\.iter_lines\(": "response.aiter_lines(",
}


def generated(source: str) -> str:
    """The text of aio.py, from that of sync.py."""
    _, _, code = source.split('"""', 2)  # without the module docstring
    methods = set(re.findall(r"(?m)^    def (\w+)", code)) - set(PLAIN)
    awaited = "|".join(sorted(methods - set(GENERATORS)))
    code = re.sub(rf"(?m)^    def (?={'|'.join(sorted(methods))}\b)", "    async def ", code)
    code = re.sub(rf"\b((?:self|self\.client|handler)\.(?:{awaited})\()", r"await \1", code)
    code = re.sub(rf"\bfor (\w+) in self\.({'|'.join(GENERATORS)})\(", r"async for \1 in self.\2(", code)
    for pattern, replacement in REPLACED.items():
        code = re.sub(pattern, replacement, code)
    return _formatted(HEADER + code.removeprefix("\n"))


def _formatted(code: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    """Write or check aio.py; returns the exit code."""
    expected = generated(SOURCE.read_text(encoding="utf-8"))
    if "--check" not in arguments:
        TARGET.write_text(expected, encoding="utf-8")
        return 0
    present = TARGET.read_text(encoding="utf-8")
    names = (str(TARGET), "generated from sync.py")
    sys.stdout.writelines(unified_diff(present.splitlines(True), expected.splitlines(True), *names))
    return int(present != expected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
