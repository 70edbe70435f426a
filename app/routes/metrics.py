"""Metrics for Prometheus: requests of this process; jobs, tiles and workers from the database.

Counters that several processes add to come from the database (service/database/counters.py), so that every API process
reports the same.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import case, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.database import counters
from service.database.tables import TERMINAL, Job, Tile, Worker, is_alive

from ..deps import Reader, Service
from ..feeds import Feeds
from ..openapi import errors
from ..prefix import ALIAS, API

router = APIRouter(tags=["system"], responses=errors(400, 401, 403, 429, 503))

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
SPEED_SECONDS = 60.0  # points per second are averaged over about this long
COUNTED: dict[str, tuple[str, str, Sequence[str]]] = {  # by counter: description, label, all values of the label
    "tiles": ("Finished tiles", "purpose", ("read", "read-data", "prepare", "points")),
    "points": ("Grid points computed", "", ("",)),
    "leases_lost": ("Tiles whose worker was lost", "", ("",)),
    "jobs_finished": ("Jobs that ended", "state", TERMINAL),
    "upload_bytes": ("Bytes of complete uploads", "purpose", ("checkpoint", "dataset")),
}
STATES = ("queued", "running", "done", "failed", "cancelled")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # a client may make up any other method, and a label for each would stay in memory


@router.get("/metrics", response_class=Response)
def metrics(request: Request, _: Reader) -> Response:
    """All metrics, in the text format of Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


class Metrics:
    """The metrics of one API process: its own, and those it reads from the database when they are scraped."""

    def __init__(self, service: Service, feeds: Feeds):
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("landscape_http_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "landscape_http_seconds", "Time to the first byte", ("route",), buckets=LATENCY, registry=self.registry
        )
        streams = Gauge("landscape_event_streams", "Event streams open in this process", registry=self.registry)
        streams.set_function(lambda: feeds.slots.taken)
        self.registry.register(_InDatabase(service))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered, and the seconds to its first byte."""
        self.requests.labels(method if method in METHODS else OTHER, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)


class CountRequests:
    """ASGI middleware: counts requests by route, never by the path, which a client could make up."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when its response starts."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = time.perf_counter() - started
                self._metrics.count(scope["method"], _route(scope), message["status"], took)
            await send(message)

        return await self._app(scope, receive, counted)


def _route(scope: Scope) -> str:
    """The path of the route; below /api for the REST API, whichever prefix was called: dashboards keep working."""
    path = str(getattr(scope.get("route"), "path", ""))
    if not path:
        return "/static" if scope["path"].startswith("/static/") else OTHER
    return ALIAS + path.removeprefix(API) if scope["path"].startswith(f"{API}/") else path


class _InDatabase:
    """A collector of prometheus-client: called at every scrape."""

    def __init__(self, service: Service):
        self._database = service.database
        self._speed: list[tuple[float, float]] = []  # when, points counted

    def describe(self) -> list[Metric]:
        return []  # nothing is read from the database before the first scrape

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.reading() as session:
                found = list(self._all(session))
        except SQLAlchemyError:
            found = []
        yield GaugeMetricFamily("landscape_database_up", "Whether the database answered", value=float(bool(found)))
        yield from found

    def _all(self, session: Session) -> Iterator[Metric]:
        counts = counters.read_all(session, [*COUNTED, "tile_seconds", "tile_seconds_sum"])
        for name, (words, label, values) in COUNTED.items():
            family = CounterMetricFamily(f"landscape_{name}", words, labels=(label,) if label else ())
            for own in values:
                family.add_metric((own,) if label else (), counts.get((name, own), 0.0))
            yield family
        yield _tile_seconds(counts)
        yield _gauge("landscape_points_per_second", (), "Over the last minute", {(): self._points_per_second(counts)})
        yield from _queue(session)
        yield from _workers(session)
        jobs = dict.fromkeys(STATES, 0) | dict(
            session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
        )
        yield _gauge("landscape_jobs", ("state",), "Jobs by state", {(state,): n for state, n in jobs.items()})

    def _points_per_second(self, numbers: Mapping[tuple[str, str], float]) -> float:
        clock, points = time.monotonic(), numbers.get(("points", ""), 0.0)
        while len(self._speed) > 1 and clock - self._speed[1][0] > SPEED_SECONDS:
            self._speed.pop(0)
        self._speed.append((clock, points))
        before, counted = self._speed[0]
        return (points - counted) / (clock - before) if clock > before else 0.0


def _gauge(name: str, labels: Sequence[str], words: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for own, value in values.items():
        family.add_metric(own, value)
    return family


def _tile_seconds(numbers: Mapping[tuple[str, str], float]) -> Metric:
    ends = [*map(str, counters.SECONDS), counters.OVERFLOW]
    sums = accumulate(numbers.get(("tile_seconds", end), 0.0) for end in ends)
    family = HistogramMetricFamily("landscape_tile_seconds", "Time a tile of points took")
    total = numbers.get(("tile_seconds_sum", ""), 0.0)
    family.add_metric((), [(end, value) for end, value in zip(ends, sums, strict=True)], total)
    return family


def _queue(session: Session) -> Iterator[Metric]:
    """Work that is queued or leased, by refinement level: points to compute, uploads to read, jobs to prepare."""
    unfinished = select(Tile.state, Tile.purpose, Tile.level, func.sum(case((Tile.count == 0, 1), else_=Tile.count)))
    rows = session.execute(
        unfinished.where(Tile.state.in_(("waiting", "leased"))).group_by(Tile.state, Tile.purpose, Tile.level)
    ).all()
    for state, name in (("waiting", "landscape_queue_depth"), ("leased", "landscape_leased")):
        values: dict[tuple[str, ...], float] = {
            (purpose, str(level)): float(n) for found, purpose, level, n in rows if found == state
        }
        yield _gauge(name, ("purpose", "level"), f"Points, uploads and jobs {state}, by refinement level", values)


def _workers(session: Session) -> Iterator[Metric]:
    rows = session.scalars(select(Worker).where(is_alive())).all()
    yield _gauge("landscape_workers", (), "Workers seen in the last seconds", {(): float(len(rows))})
    for column, words in (("memory", "Resident memory"), ("device_memory", "Memory in use on its GPU")):
        values: dict[tuple[str, ...], Any] = {
            (row.id, row.device): getattr(row, column) for row in rows if getattr(row, column) is not None
        }
        yield _gauge(f"landscape_worker_{column}_bytes", ("worker", "device"), words, values)
