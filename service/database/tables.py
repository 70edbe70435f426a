"""The database: checkpoints, jobs, tiles with their values, workers. It is the truth; broker and page are told from it.

Imports SQLAlchemy. Holds tables only; what may change when is in queue.py, jobs.py, library.py; the connection in
database.py.
"""

from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from sqlalchemy import JSON, BigInteger, ColumnElement, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Float

from landscape.grid import Axis, Grid

from ..errors import NotFoundError

JobState = str  # "queued" → "running" → "done" | "failed" | "cancelled"
TERMINAL = ("done", "failed", "cancelled")


def new_id() -> str:
    """An id nobody can guess: 32 hexadecimal characters."""
    return uuid4().hex


class now(FunctionElement[float]):  # noqa: N801 - reads as a SQL function
    """Seconds since 1970 by the clock of the database, so that the clocks of the hosts do not matter."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "cast(extract(epoch from clock_timestamp()) as double precision)"


REVISION = "0002"  # of the database that this code needs: the newest in migrations/versions


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, str: String}


class Checkpoint(Base):
    """An uploaded file and what it was read as."""

    __tablename__ = "checkpoints"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    sha256: Mapped[str]  # of the upload
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    weights_sha256: Mapped[str | None]  # of the sanitised safetensors in the store
    candidates: Mapped[list[Any]] = mapped_column(default=list)  # architectures that fit
    architecture: Mapped[dict[str, Any] | None]  # the one chosen
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what the file says of itself
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; nobody's own where null: all may see it
    gallery: Mapped[str | None]  # name of a shipped checkpoint
    created: Mapped[float] = mapped_column(default=now(), index=True)


class Dataset(Base):
    """An uploaded data set and what it was read as."""

    __tablename__ = "datasets"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]  # of the upload
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    data_sha256: Mapped[str | None]  # of the sanitised safetensors in the store
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # landscape.parsers.dataset.Described
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; nobody's own where null: all may see it
    created: Mapped[float] = mapped_column(default=now(), index=True)


class Job(Base):
    """One request for a landscape."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    checkpoint: Mapped[dict[str, Any]]  # id, name, label, gallery, as they were when asked
    checkpoint_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; nobody's own where null: all may see it
    gallery: Mapped[str | None]  # name of the shipped comparison it belongs to
    state: Mapped[JobState] = mapped_column(default="queued")
    error: Mapped[str | None]
    provenance: Mapped[dict[str, Any] | None]  # written once the center is known
    grid: Mapped[dict[str, Any] | None]  # alpha and beta; where the request leaves it out, known once prepared
    device: Mapped[str | None]  # kind that computes it, all of it: bits differ from one to another
    points: Mapped[int]
    points_per_tile: Mapped[int] = mapped_column(default=1)
    points_done: Mapped[int] = mapped_column(default=0)
    tiles_done: Mapped[int] = mapped_column(default=0)
    created: Mapped[float] = mapped_column(default=now())
    started: Mapped[float | None]
    finished: Mapped[float | None]
    __table_args__ = (  # a page of the list reads these alone, and then its own rows
        Index("jobs_by_age", "created", "id", "owner", "kind"),
        Index("jobs_by_state", "state", "created", "id", "owner", "kind"),
    )


def grid_of(job: Job) -> Grid:
    """The grid of a job, once it is known."""
    assert job.grid is not None
    return Grid(*(Axis(**job.grid[name]) for name in ("alpha", "beta") if job.grid.get(name)))


class Tile(Base):
    """What one worker does at a time: read a checkpoint, prepare a job, or compute some points of it.

    Points that nobody has taken yet are one row per stretch of a level, a *run*: `count` points from the one of index
    `rank` on, `points` empty. A lease cuts a tile of the size that suits the worker off the front of it.
    """

    __tablename__ = "tiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str]  # read | read-data | prepare | points
    checkpoint_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))  # to read
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))  # to read
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(ForeignKey("turns.owner"), default="")  # whose turn it uses up
    level: Mapped[int]  # refinement level, −1 to read: lower goes first
    rank: Mapped[int] = mapped_column(default=0)  # index of its first point within the level; −1 to prepare
    count: Mapped[int] = mapped_column(default=0)  # points it holds
    points: Mapped[list[Any]] = mapped_column(default=list)  # [[i, j], …]
    turn: Mapped[int] = mapped_column(default=0)  # place in the line of its owner and level
    device: Mapped[str | None]  # kind that may take it; any where null
    state: Mapped[str] = mapped_column(default="waiting")  # waiting → leased → done
    lease: Mapped[str | None]  # token of the worker that holds it
    worker: Mapped[str | None]  # id of the worker that took it last
    leased_until: Mapped[float | None]  # by the clock of the database
    attempts: Mapped[int] = mapped_column(default=0)
    values: Mapped[bytes | None] = mapped_column(LargeBinary)  # float64 little-endian, see results.py
    sha256: Mapped[str | None]  # of points and values, verified whenever they are read
    seconds: Mapped[float | None]  # it took
    sequence: Mapped[int | None]  # the order in which the tiles of a job were done: id of its event
    finished: Mapped[float | None]
    __table_args__ = (
        UniqueConstraint("job_id", "level", "rank"),
        Index("tiles_by_turn", "state", "level", "owner", "turn", "id"),
        Index("tiles_by_sequence", "job_id", "sequence"),
        Index("tiles_by_state", "job_id", "state", "level"),
    )


class Worker(Base):
    """A worker process that has been seen lately."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]  # its kind: name of the GPU, or instruction set of the CPU
    host: Mapped[str] = mapped_column(default="")
    pid: Mapped[int] = mapped_column(default=0)
    started: Mapped[float] = mapped_column(default=now())
    seen: Mapped[float] = mapped_column(default=now())
    busy_since: Mapped[float | None]  # when it took the tile it holds
    memory: Mapped[int | None] = mapped_column(BigInteger)  # resident bytes
    device_memory: Mapped[int | None] = mapped_column(BigInteger)  # bytes in use on its GPU


PRESENCE_SECONDS = 3.0  # how often a worker says in its row that it is alive
ALIVE_SECONDS = 20.0  # how long it is believed: a busy machine or a locked database may cost it a few of these


def is_alive() -> ColumnElement[bool]:
    """The condition that a worker has said lately that it is alive, by the clock of the database."""
    return Worker.seen > now() - ALIVE_SECONDS


class Turn(Base):
    """The line of users: the one with the lowest number is served next, and goes to its end."""

    __tablename__ = "turns"
    owner: Mapped[str] = mapped_column(primary_key=True)
    served: Mapped[int] = mapped_column(BigInteger, default=0)


class LogLine(Base):
    """What happened to a job, for its page."""

    __tablename__ = "log_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    at: Mapped[float] = mapped_column(default=now())
    level: Mapped[str] = mapped_column(default="info")  # info | warning | error
    text: Mapped[str] = mapped_column(Text)


class Count(Base):
    """A number that only grows, by name and label, for /metrics; written with what it counts, in one transaction."""

    __tablename__ = "counts"
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True, default="")
    value: Mapped[float] = mapped_column(default=0.0)


class Access(Base):
    """A secret that opens something: a user's token, a session of the page, a link to one result; only its digest."""

    __tablename__ = "access"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]  # token | session | link
    name: Mapped[str] = mapped_column(default="")  # for people
    digest: Mapped[str] = mapped_column(unique=True)  # SHA-256 of the secret, hex
    owner: Mapped[str] = mapped_column(index=True)
    scopes: Mapped[list[Any]] = mapped_column(default=list)  # read | submit | admin | work
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))  # of a link
    parent: Mapped[str | None] = mapped_column(ForeignKey("access.id", ondelete="CASCADE"))  # a session's token
    created: Mapped[float] = mapped_column(default=now())
    expires: Mapped[float | None]
    used: Mapped[float | None]


class Upload(Base):
    """A resumable upload (tus) that is not complete; its bytes lie with the store's unfinished files under its id."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    purpose: Mapped[str]  # checkpoint | dataset
    name: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str | None] = mapped_column(index=True)
    created: Mapped[float] = mapped_column(default=now())
    expires: Mapped[float]


Row = TypeVar("Row", Checkpoint, Dataset, Job)


def require(session: Session, table: type[Row], row_id: str) -> Row:
    """The row with this id.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(table, row_id)
    if row is None:
        raise NotFoundError(f"There is no {table.__name__.lower()} with this id.")
    return row
