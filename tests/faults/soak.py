"""Random faults against a real service under load: `python -m tests.faults.soak [--seconds N] [--lab]`.

Threads submit jobs, cancel and upload, and log what was acknowledged; meanwhile processes are killed or stopped, and in
a lab its network is cut. At the end everything acknowledged must satisfy oracle.py: the last line is the verdict. The
seed is printed, and determines every choice.
"""

import argparse
import contextlib
import os
import platform
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tests.faults import breaking
from tests.faults.network import Network, NoNetworkError, network
from tests.faults.oracle import NETWORK, ClientLog, require_nothing_lost, slice_of, surface
from tests.support import processes, servers
from tests.support.service import LANDSCAPE, Service, environment, start_service, wait_for

REQUESTS = [surface(9, 7, 1), surface(6, 5, 2), slice_of(25, 3), surface(13, 11, 4)]
MOST_UNFINISHED = 25  # jobs, running ones included: all of them start soon, since coarse levels come first
SETTINGS = {  # small tiles, short leases, enough attempts for an hour of kills
    "tile_seconds": "0.05",
    "lease_seconds": "3",
    "max_attempts": "200",
    "min_free_bytes": "0",
}


@dataclass(frozen=True)
class Lab:
    """PostgreSQL and Redis instead of SQLite and the private broker, and workers on another host."""

    database: servers.Server
    broker: servers.Server
    network: Network | None  # None where this machine cannot have one: all is on one host
    far: Service | None = None  # the workers on the other host


class Soak:
    """One service, its clients, and the faults."""

    def __init__(self, service: Service, seed: int, lab: Lab | None = None):
        self.service, self.lab = service, lab
        self.log, self.rng = ClientLog(), random.Random(seed)
        self.checkpoint = service.upload(NETWORK)["id"]
        self.done: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()  # of the network, by hosts
        self.seconds: list[float] = []  # response times while the API was up
        self._over = threading.Event()

    def run(self, *, rounds: int = 0, jobs: int = 0, seconds: float = 0.0) -> int:
        """Inject faults for so many rounds, acknowledged jobs and seconds, then require that nothing was lost.

        A slow machine may need more than `rounds` for `jobs`, since a killed API takes longer to start again.
        """
        end = time.monotonic() + seconds
        clients = [
            threading.Thread(target=self._run_client, args=(random.Random(self.rng.random()),)) for _ in range(2)
        ]
        clients.append(threading.Thread(target=self._probe))
        for client in clients:
            client.start()
        try:
            while rounds > 0 or len(self.log.jobs) < jobs or time.monotonic() < end:
                self._require_supervisors()
                rounds -= 1
                time.sleep(self.rng.uniform(0.3, 2.0))
                self._break_something()
        finally:
            self._over.set()
            for client in clients:
                client.join()
        breaking.wait_until_it_answers(self.service)
        self._require_supervisors()
        return require_nothing_lost(self.service, self.log, seconds=600)

    def _require_supervisors(self) -> None:
        for host in self._hosts:
            assert host.process.poll() is None, "a supervisor has given up"

    def _break_something(self) -> None:
        fault = self.rng.choice(FAULTS)
        with contextlib.suppress(IndexError):  # there is no such process at the moment
            fault(self)
            self.done[fault.__name__.replace("_", " ")] += 1

    @property
    def _hosts(self) -> list[Service]:
        """The hosts with workers."""
        return [self.service, self.lab.far] if self.lab and self.lab.far else [self.service]

    def worker_killed(self) -> None:
        breaking.kill(self.rng.choice(processes.workers(self.rng.choice(self._hosts))))

    def cell_killed(self) -> None:
        breaking.kill(self.rng.choice(processes.cells(self.rng.choice(self._hosts))))

    def fork_server_killed(self) -> None:
        breaking.kill(self.rng.choice(processes.fork_servers(self.rng.choice(self._hosts))))

    def cell_stopped(self) -> None:
        with breaking.stopped(self.rng.choice(processes.cells(self.rng.choice(self._hosts)))):
            time.sleep(self.rng.uniform(0.5, 5.0))

    def network_cut(self) -> None:
        """Between one host and another or two, or between the database and everything, for longer than a lease or not.

        Raises:
            IndexError: there is no network that can be cut.
        """
        if self.lab is None or self.lab.network is None:
            raise IndexError("all is on one host")
        one = self.rng.choice(["service", "worker", "database"])
        others = ["database", "broker"] if one != "database" else ["service", "worker"]
        reached = self.rng.sample(others, self.rng.randint(1, 2))
        with self.lab.network.cut(one, *reached):
            time.sleep(self.rng.uniform(0.5, 15.0))
        self.cuts[f"{one} from {' and '.join(sorted(reached))}"] += 1

    def reader_killed(self) -> None:
        breaking.kill(self.rng.choice(processes.readers(self.service)))

    def api_killed(self) -> None:
        breaking.kill(self.rng.choice(processes.api_processes(self.service)))

    def broker_killed(self) -> None:
        if self.lab:
            self.lab.broker.kill()
            self.lab.broker.start()
        else:
            breaking.kill(processes.brokers(self.service)[0])

    def worker_stopped_for_longer_than_its_lease(self) -> None:
        with breaking.stopped(self.rng.choice(processes.workers(self.rng.choice(self._hosts)))):
            time.sleep(self.rng.uniform(2.0, 5.0))

    def broker_unresponsive(self) -> None:
        broker = breaking.programs(self.lab.broker) if self.lab else processes.brokers(self.service)
        with breaking.stopped(broker[0]):
            time.sleep(self.rng.uniform(0.5, 3.0))

    def broker_flushed(self) -> None:
        breaking.flush(breaking.broker_url(self.service))

    def message_delivered_five_times(self) -> None:
        breaking.send_wakeups(breaking.broker_url(self.service), 5)

    def database_unavailable(self) -> None:
        """SQLite: another process holds it. PostgreSQL: the server is killed, or all its connections are cut."""
        if self.lab is None:
            with breaking.locked(self.service.data / "landscape.sqlite", self.rng.uniform(0.2, 2.0)):
                return
        if self.rng.random() < 0.3:
            self.lab.database.kill()
            self.lab.database.start()
        else:
            breaking.cut_connections(self.service.settings["database"])

    def _run_client(self, rng: random.Random) -> None:
        """A client: submits jobs, cancels some, uploads occasionally."""
        with self._own_client() as service:
            content = NETWORK.read_bytes()
            while not self._over.is_set():
                chance = rng.random()
                if chance < 0.1:
                    self.log.upload(service, content)
                elif chance < 0.25 and self.log.jobs:
                    self.log.cancel(service, rng.choice(list(self.log.jobs)))
                elif self._has_room(service):
                    self.log.submit(service, self.checkpoint, rng.choice(REQUESTS))
                self._over.wait(rng.uniform(0.2, 1.5))

    def _has_room(self, service: Service) -> bool:
        """Whether the workers keep up: faults cost them time, and the end of the soak waits for every job."""
        with contextlib.suppress(httpx.TransportError, KeyError):
            counts = [service.api.get("/jobs", params={"state": state, "limit": 1}) for state in ("queued", "running")]
            return sum(int(count.json()["total"]) for count in counts) < MOST_UNFINISHED
        return True

    def _probe(self) -> None:
        """Measure response times; a connection that is refused or reset means that the API was killed."""
        with self._own_client() as service:
            while not self._over.wait(0.2):
                began = time.monotonic()
                with contextlib.suppress(httpx.TransportError):
                    service.api.get("/jobs", params={"limit": 5})
                    self.seconds.append(time.monotonic() - began)

    @contextlib.contextmanager
    def _own_client(self) -> Iterator[Service]:
        one = self.service
        with httpx.Client(base_url=one.api.base_url, timeout=60, trust_env=False) as api:
            yield Service(one.process, one.data, one.port, api, one.settings)

    def summary(self, tiles: int) -> str:
        """A summary of the faults and of lost work, as text."""
        quick = sorted(self.seconds) or [0.0]
        faults = "\n".join(f"  {count:5}  {name}" for name, count in sorted(self.done.items()))
        cuts = f"cut off: {dict(self.cuts)}\n" if self.cuts else ""
        states = Counter(end[0] for end in self.log.ended.values())
        return (
            f"{sum(self.done.values())} faults:\n{faults}\n{cuts}"
            f"acknowledged jobs lost: 0 of {len(self.log.jobs)} ({dict(states)}); "
            f"uploads lost: 0 of {len(self.log.uploads)}; wrong tiles: 0 of {tiles}\n"
            f"requests that acknowledged nothing: {dict(self.log.refused)}\n"
            f"response time: median {quick[len(quick) // 2]:.3f} s of {len(quick)}, "
            f"99th percentile {quick[int(len(quick) * 0.99)]:.3f} s"
        )


FAULTS: list[Callable[[Soak], None]] = [
    Soak.worker_killed,
    Soak.cell_killed,
    Soak.fork_server_killed,
    Soak.cell_stopped,
    Soak.network_cut,
    Soak.reader_killed,
    Soak.api_killed,
    Soak.broker_killed,
    Soak.worker_stopped_for_longer_than_its_lease,
    Soak.broker_unresponsive,
    Soak.broker_flushed,
    Soak.message_delivered_five_times,
    Soak.database_unavailable,
]


@contextlib.contextmanager
def start_soak(folder: Path, seed: int, *, lab: bool) -> Iterator[Soak]:
    """A service with its private broker and SQLite, or on PostgreSQL and Redis."""
    with contextlib.ExitStack() as stack:
        settings, parts = dict(SETTINGS), None
        if lab:
            parts = _lab(stack)
            settings |= {"database": servers.new_database(parts.database.url), "broker": parts.broker.url}
        service = start_service(folder, **settings)
        stack.callback(service.stop)
        if parts and parts.network:
            parts = replace(parts, far=_far_workers(service, parts.network, stack))
        yield Soak(service, seed, parts)


def _lab(stack: contextlib.ExitStack) -> Lab:
    """PostgreSQL and Redis, on hosts of their own if this machine can have a network."""
    try:
        net = stack.enter_context(network())
    except NoNetworkError as error:
        print(f"The network is not among the faults, and all is on one host: {error}.", flush=True)
        return Lab(stack.enter_context(servers.postgresql()), stack.enter_context(servers.redis()), None)
    database = servers.postgresql(net.addresses["database"], net.within("database"))
    broker = servers.redis(address=net.addresses["broker"], within=net.within("broker"))
    return Lab(stack.enter_context(database), stack.enter_context(broker), net)


def _far_workers(service: Service, net: Network, stack: contextlib.ExitStack) -> Service:
    """Workers on another host, which shares the folder of the store."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = {**service.settings, "store": str(service.data / "store")}
    command = [*net.within("worker"), *LANDSCAPE, "worker", "--workers", "1", "--data", str(folder)]
    log = stack.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(
        command, env=environment(settings), stdout=log, stderr=log, text=True, start_new_session=True
    )
    far = Service(process, folder, service.port, service.api, settings)
    stack.callback(process.wait, 60)
    stack.callback(process.terminate)
    wait_for(lambda: service.api.get("/health").json()["workers"] == 3, "the workers on the other host", 120)
    return far


def main() -> None:
    """Run for the given number of seconds; fails if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--lab", action="store_true", help="PostgreSQL and Redis, not SQLite and a private broker")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seed {options.seed}", flush=True
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers, network and folders are removed
    kind = "PostgreSQL and Redis" if options.lab else "SQLite and a private broker"
    try:
        with tempfile.TemporaryDirectory() as folder, start_soak(Path(folder), options.seed, lab=options.lab) as soak:
            print(soak.summary(soak.run(seconds=options.seconds)))
    except BaseException as error:
        print(f"soak FAILED ({kind}, seed {options.seed}): {type(error).__name__}: {error}", flush=True)
        raise
    print(f"soak PASSED ({kind}, seed {options.seed}): nothing that was acknowledged is lost or wrong", flush=True)


if __name__ == "__main__":
    sys.exit(main())
