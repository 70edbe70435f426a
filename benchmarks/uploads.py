"""Uploads under load on this machine, as part of `python -m benchmarks.load` or alone: `python -m benchmarks.uploads`.

Many small ones at once, and one large one by PUT and by tus; the memory of the API meanwhile. Prints figures, asserts
nothing.
"""

import argparse
import hashlib
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support import tus
from tests.support.processes import api_process, most_memory
from tests.support.service import Service, start_service

MIB = 1 << 20


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.uploads")
    asked.add_argument("--count", type=int, default=200, help="concurrent uploads, 5 MiB each")
    asked.add_argument("--large", type=int, default=2000, help="size of the large upload, MiB")
    options = asked.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    measure(options.count, options.large)


def measure(count: int = 200, large: int = 2000) -> None:
    """Measure each figure on a new service, so that memory does not carry over."""
    for figure in (lambda one: many(one, count), lambda one: by_put(one, large), lambda one: by_tus(one, large)):
        with tempfile.TemporaryDirectory() as folder:
            service = start_service(Path(folder), workers=1, max_uploads=str(2 * count), max_user_uploads=str(count))
            try:
                figure(service)
            finally:
                service.stop()


def many(service: Service, count: int) -> None:
    """`count` uploads of 5 MiB at the same time; each acknowledged one must contain the bytes that were sent."""
    body = os.urandom(5 * MIB)

    def send(n: int) -> tuple[int, bool, float]:
        content, began = body + n.to_bytes(4, "big"), time.monotonic()
        url = f"http://127.0.0.1:{service.port}/api/v1/checkpoints?name=load-{n}"
        answer = httpx.put(url, content=content, timeout=600, trust_env=False)
        digest = hashlib.sha256(content).hexdigest()
        right = answer.status_code != 201 or answer.json()["sha256"] == digest
        return answer.status_code, right, time.monotonic() - began

    began = time.monotonic()
    with most_memory(api_process(service)) as memory, ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(send, range(count)))
    statuses = ", ".join(f"{n} × {status}" for status, n in sorted(Counter(one for one, _, _ in answers).items()))
    wrong = sum(not right for _, right, _ in answers)
    slowest = max(seconds for _, _, seconds in answers)
    print(f"{count} uploads of 5 MiB at once: {statuses}; {wrong} wrong; {time.monotonic() - began:.1f} s in total, ")
    print(f"  the slowest {slowest:.1f} s; {_words(memory)}", flush=True)


def by_put(service: Service, large: int) -> None:
    began = time.monotonic()
    with most_memory(api_process(service)) as memory:
        path = "/checkpoints?name=large.bin"
        answer = service.api.put(path, content=_blocks(large), timeout=600)
    _report(f"one upload of {large} MiB by PUT (answer {answer.status_code})", large, began, memory)


def by_tus(service: Service, large: int) -> None:
    began = time.monotonic()
    where = tus.place(tus.create(service, large * MIB))
    headers = {**tus.VERSION, "Content-Type": tus.BODY, "Upload-Offset": "0"}
    with most_memory(api_process(service)) as memory:
        answer = service.api.patch(where, headers=headers, content=_blocks(large), timeout=600)
    _report(f"one upload of {large} MiB by tus (answer {answer.status_code})", large, began, memory)


def _blocks(count: int) -> Iterator[bytes]:
    block = os.urandom(MIB)
    for _ in range(count):
        yield block


def _report(what: str, large: int, began: float, memory: list[int]) -> None:
    seconds = time.monotonic() - began
    print(f"{what}: {seconds:.1f} s, {large / seconds:.0f} MiB/s; {_words(memory)}", flush=True)


def _words(memory: list[int]) -> str:
    before, most = memory
    return f"the API used {before // MIB} MiB before and {most // MIB} MiB at most"


if __name__ == "__main__":
    main()
