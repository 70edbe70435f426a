"""Waiting times of a first visit on this machine, in a real browser: `python -m benchmarks.first_minutes`.

Starts the demo in a new folder, opens the page, and prints the seconds from the moment the address was printed to the
first coarse surface and to the finished first comparison; then the memory of a 1 GiB upload. Asserts nothing.
"""

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page

from tests.support.chromium import chromium
from tests.support.processes import children, most_memory

PORT = 8765
FIRST = ("resnet56-w8-skip", "resnet56-w8-plain")


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "landscape.cli", "up", "--demo", "--data", folder, "--port", str(PORT)]
        started = time.monotonic()
        service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert service.stdout is not None
            print(service.stdout.readline().strip())
            printed = time.monotonic()
            print(f"{printed - started:6.1f} s  from the command to the address")
            threading.Thread(target=service.stdout.read, daemon=True).start()
            _watch_page(printed)
            _upload(service, Path(folder))
        finally:
            service.terminate()
            service.wait()


def _watch_page(printed: float) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://127.0.0.1:{PORT}/")
        page.wait_for_function(_SURFACES, arg=1, timeout=300_000, polling=100)
        print(f"{time.monotonic() - printed:6.1f} s  to the first coarse surface on the page")
        _wait_for_comparison(page)
        print(f"{time.monotonic() - printed:6.1f} s  to the first comparison: two 25 × 25 surfaces over 1000 images")


_SURFACES = """count => [...document.querySelectorAll('.js-plotly-plot')].filter(plot =>
    (plot.data || []).some(trace => trace.type === 'surface' && (trace.z || []).length >= 5)).length >= count"""


def _wait_for_comparison(page: Page) -> None:
    while True:
        jobs = httpx.get(f"http://127.0.0.1:{PORT}/api/v1/jobs", trust_env=False).json()["items"]
        if sum(job["state"] == "done" for job in jobs if job["gallery"] in FIRST) == len(FIRST):
            return
        page.wait_for_timeout(200)


def _upload(service: "subprocess.Popen[str]", folder: Path) -> None:
    large = folder / "large.bin"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    [api] = [process for process in children(service.pid) if process.cmdline()[-1:] == ["serve"]]
    began = time.monotonic()
    with most_memory(api) as memory, large.open("rb") as file:
        answer = httpx.put(
            f"http://127.0.0.1:{PORT}/api/v1/checkpoints?name=large.bin", content=file, timeout=600, trust_env=False
        )
    took = time.monotonic() - began
    print(f"{took:6.1f} s  to upload 1 GiB (answer {answer.status_code}); the API used {max(memory) >> 20} MiB at most")


if __name__ == "__main__":
    main()
