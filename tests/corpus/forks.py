"""A long-lived reader for thousands of files: it imports the reader once, and forks for every file.

Run as a script. A line of JSON in: {"task", "path", "seed"?, "most"?: bytes that may be written, "cpu"?: seconds}; a
line out: {"answer" | "signal" | "code", "seconds": of computing, "peak": bytes of memory}.
Every fork puts itself under the limits of the real sandbox and calls the function that the real process calls. With a
seed the file is first changed, in the fork, in one to eight places.
"""

import gc
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import h5py  # noqa: F401 - imported before the forks

import landscape.checkpoints.checkpoint
import landscape.parsers.dataset  # noqa: F401
from landscape.checkpoints.sandbox import run_task
from landscape.sandbox import set_limits

MEMORY, SECONDS = 4 << 30, 10


def mutated(content: bytes, seed: int) -> bytes:
    """`content` with bytes replaced, deleted, inserted or cut off."""
    chance, changed = random.Random(seed), bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        if not changed:
            break
        at = int(len(changed) * chance.random() ** chance.choice((1, 1, 4)))  # near the beginning more often
        kind = chance.random()
        if kind < 0.7:
            changed[at : at + 1] = bytes(
                [chance.choice((chance.randrange(256), changed[at] ^ 1 << chance.randrange(8)))]
            )
        elif kind < 0.8:
            del changed[at : at + chance.randrange(1, 9)]
        elif kind < 0.9:
            changed[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind < 0.97:
            other = chance.randrange(len(changed))
            changed[at : at + 16] = changed[other : other + 16]
        else:
            del changed[at + 1 :]
    return bytes(changed)


def serve_one(request: dict[str, object], clean: Path, result: int) -> None:
    seconds, most = (int(str(request.get(name, usual))) for name, usual in (("cpu", SECONDS), ("most", MEMORY)))
    set_limits(memory=MEMORY, cpu_seconds=seconds, file_bytes=most)
    with Path(str(request["path"])).open("rb") as file:
        descriptor = file.fileno()
        if "seed" in request:
            mutant = os.memfd_create("mutant")
            os.write(mutant, mutated(file.read(), int(str(request["seed"]))))
            descriptor = mutant
        given = run_task(str(request["task"]), descriptor, clean)
    os.write(result, json.dumps(given).encode()[:60_000])


def main() -> None:
    gc.collect()
    gc.freeze()  # the forks need not copy what they never change
    with tempfile.TemporaryDirectory() as folder:
        serve(Path(folder) / "clean")


def serve(clean: Path) -> None:
    for line in sys.stdin:
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                serve_one(json.loads(line), clean, sending)
                code = 0
            finally:
                os._exit(code)
        os.close(sending)
        with os.fdopen(receiving, "rb") as pipe:
            text = pipe.read()
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        ended: dict[str, object] = {
            "code": code,
            "seconds": used.ru_utime + used.ru_stime,
            "peak": used.ru_maxrss * 1024,
        }
        if code == 0:
            ended["answer"] = json.loads(text) if len(text) < 60_000 else {}
        clean.unlink(missing_ok=True)
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
