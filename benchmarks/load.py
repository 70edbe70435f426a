"""The service under load on this machine: `python -m benchmarks.load`. Prints figures, asserts nothing.

Ten thousand queued jobs and the pages of their list; five hundred event streams of one process; clients that never
read. All processes are real; the figures are measured by a client.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil

from benchmarks import uploads
from service.database.sessions import Database
from service.jobs import lifecycle
from service.jobs.spec import job_spec
from tests.faults import breaking
from tests.support import servers
from tests.support.api_alone import ApiAlone, api_alone
from tests.support.paths import GALLERY
from tests.support.service import Service, start_service

JOBS = 10_000
STREAMS = 500
BATCH = 250


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.load")
    asked.add_argument("--jobs", type=int, default=JOBS)
    asked.add_argument("--streams", type=int, default=STREAMS)
    asked.add_argument("--lab", action="store_true", help="PostgreSQL and Redis instead of SQLite and a private broker")
    options = asked.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    queue_of(options.jobs, lab=options.lab)
    streams_of(options.streams)
    uploads.measure()


def queue_of(count: int, *, lab: bool) -> None:
    """Response times of the list of jobs and of submitting one, with `count` queued jobs and one busy worker."""
    with contextlib.ExitStack() as stack:
        settings = {"max_unfinished_jobs": str(2 * count)}
        if lab:
            database = stack.enter_context(servers.postgresql())
            broker = stack.enter_context(servers.redis())
            settings |= {"database": servers.new_database(database.url), "broker": broker.url}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = start_service(folder, workers=1, **settings)
        stack.callback(service.stop)
        checkpoint = service.upload(GALLERY / "resnet20-w8-skip.safetensors")["id"]
        spec = {"kind": "surface", "checkpoint": checkpoint, "dataset": "digits", "subset": {"count": 100}}
        spec |= {"grid": {"alpha": {"count": 25}, "beta": {"count": 25}}}
        asked = _times(lambda: service.submit(**spec), 20)
        _fill(settings.get("database") or f"sqlite:///{folder / 'landscape.sqlite'}", spec, count)
        total = service.api.get("/jobs", params={"state": "queued", "limit": 1}).json()["total"]
        print(f"{total} jobs queued, one busy worker; response time in seconds, median and slowest of 20:")
        for words, query in _pages(total):
            print(_line(words, _times(lambda query=query: _ok(service.api.get("/jobs", params=query)), 20)))
        print(_line("submitting a job, before there were others", asked))
        print(_line("submitting a job, with all of them queued", _times(lambda: service.submit(**spec), 20)))
        print(_line("/metrics", _times(lambda: _ok(httpx.get(_metrics(service), trust_env=False)), 5)))
        print(_line("/api/v1/health", _times(lambda: _ok(service.api.get("/health")), 5)), flush=True)


def _pages(total: int) -> Iterator[tuple[str, dict[str, str | int]]]:
    yield "first page of 50", {"limit": 50}
    yield "first page of 200", {"limit": 200}
    yield "page in the middle", {"limit": 50, "offset": total // 2}
    yield "last page", {"limit": 50, "offset": total - 50}
    yield "queued only, page in the middle", {"limit": 50, "offset": total // 2, "state": "queued"}
    yield "running only", {"limit": 50, "state": "running"}
    yield "surfaces only, last page", {"limit": 50, "offset": total - 50, "kind": "surface"}


def _fill(url: str, spec: dict[str, object], count: int) -> None:
    """Submit `count` jobs, in fewer transactions than separate requests would."""
    database, request = Database(url), job_spec.validate_python(spec)
    for _ in range(0, count, BATCH):
        with database.writing() as session:
            for _ in range(BATCH):
                lifecycle.submit(session, request, owner="local")
    database.engine.dispose()


def _metrics(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}/metrics"


def _ok(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text


def _times(ask: Callable[[], object], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return taken


def _line(words: str, seconds: list[float]) -> str:
    return f"  {words:45} {statistics.median(seconds):7.3f} {max(seconds):7.3f}"


def streams_of(count: int) -> None:
    """`count` event streams on one job: memory of the process, delay of the events, response times meanwhile."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(servers.redis())
        limits = {"max_event_streams": str(2 * count), "max_user_event_streams": str(count)}
        limits["client_patience_seconds"] = "5"
        api = stack.enter_context(api_alone(folder, broker.url, **limits))
        before = api.process.memory_info().rss
        print(f"{count} event streams of one process:")
        asyncio.run(_follow(api, count, before))
        _measure_unread(api, 50)


async def _follow(api: ApiAlone, count: int, before: int) -> None:
    job_id = await asyncio.to_thread(api.job, 41, 31, points_per_tile=20)
    heard: list[float] = []
    begun, over = asyncio.Semaphore(0), asyncio.Event()
    limits = httpx.Limits(max_connections=count + 10)
    async with httpx.AsyncClient(base_url=api.url, timeout=120, trust_env=False, limits=limits) as client:

        async def listen() -> None:
            async with client.stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
                assert answer.status_code == 200
                begun.release()
                async for line in answer.aiter_lines():
                    if line == "event: tile":
                        heard.append(time.monotonic())
                    if over.is_set():
                        return

        listeners = [asyncio.create_task(listen()) for _ in range(count)]
        for _ in range(count):
            await begun.acquire()
        await asyncio.sleep(1)
        used = api.process.cpu_times()
        await asyncio.sleep(5)
        idle = api.process.cpu_times()
        busy = (idle.user - used.user + idle.system - used.system) / 5
        print(f"  the API used {before >> 20} MiB before, {api.process.memory_info().rss >> 20} MiB with them")
        print(f"  CPU time while nothing happens: {busy:.2f} s per s")
        first, last, others = [], [], []
        for _ in range(10):
            heard.clear()
            await asyncio.to_thread(api.compute)
            done = time.monotonic()
            while len(heard) < count:
                began = time.perf_counter()
                await client.get("/api/v1/jobs", params={"limit": 10})
                others.append(time.perf_counter() - began)
            first.append(min(heard) - done)
            last.append(max(heard) - done)
        print(_line("from a tile's commit to the first stream", first))
        print(_line("… to the last stream", last))
        print(_line("a list of jobs meanwhile", others))
        over.set()
        await asyncio.to_thread(api.compute_all)
        await asyncio.gather(*listeners)
        print(f"  the API uses {api.process.memory_info().rss >> 20} MiB when all events are sent", flush=True)


def _measure_unread(api: ApiAlone, count: int) -> None:
    """Clients that request 5 MB and read nothing."""
    before, watched = api.process.memory_info().rss, threading.Event()
    most = [before]

    def watch() -> None:
        while not watched.wait(0.05):
            most.append(api.process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    clients = [breaking.unread(api.url, "/static/plotly.min.js") for _ in range(count)]
    began = time.monotonic()
    while _open(api) > 0 and time.monotonic() - began < 60:
        time.sleep(0.2)
    took = time.monotonic() - began
    watched.set()
    watcher.join()
    for client in clients:
        client.close()
    print(f"{count} clients that read nothing were disconnected after {took:.1f} s, with a time limit of 5 s")
    print(f"  the API used {max(most) >> 20} MiB at most meanwhile")


def _open(api: ApiAlone) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED and bool(one.raddr) for one in _connections(api))


def _connections(api: ApiAlone) -> list[object]:
    port = int(api.url.rsplit(":", 1)[1])
    return [one for one in api.process.net_connections("tcp") if one.laddr.port == port]


if __name__ == "__main__":
    main()
