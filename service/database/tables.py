"""The tables of the database: checkpoints, jobs, tiles with their values, workers, access.

The database is the source of truth: messages in the broker and the contents of the page are derived from it. State
transitions are in queue/, jobs/ and library/.
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
    """An id that cannot be guessed: 32 hexadecimal characters."""
    return uuid4().hex


class now(FunctionElement[float]):  # noqa: N801 - reads as a SQL function
    """Seconds since 1970 by the clock of the database, so that the clocks of other hosts do not matter."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "cast(extract(epoch from clock_timestamp()) as double precision)"


REVISION = "0004"  # of the schema that this code needs: the newest in migrations/versions


class Base(DeclarativeBase):
    """The base class of all tables, with the column types of Python types."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, str: String}


class Checkpoint(Base):
    """An uploaded checkpoint and what was found in it."""

    __tablename__ = "checkpoints"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    sha256: Mapped[str]  # of the upload
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    weights_sha256: Mapped[str | None]  # of the sanitized safetensors in the store
    sanitized_size: Mapped[int] = mapped_column(BigInteger, server_default="0")  # bytes of that file
    candidates: Mapped[list[Any]] = mapped_column(default=list)  # architectures that fit
    architecture: Mapped[dict[str, Any] | None]  # the one chosen
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # metadata in the file
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; null: no owner, visible to all
    gallery: Mapped[str | None]  # name of a shipped checkpoint
    created: Mapped[float] = mapped_column(default=now(), index=True)


class Dataset(Base):
    """An uploaded data set and what was found in it."""

    __tablename__ = "datasets"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]  # of the upload
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    data_sha256: Mapped[str | None]  # of the sanitized safetensors in the store
    sanitized_size: Mapped[int] = mapped_column(BigInteger, server_default="0")  # bytes of that file
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # landscape.parsers.dataset.Described
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; null: no owner, visible to all
    created: Mapped[float] = mapped_column(default=now(), index=True)


class Job(Base):
    """One request for a landscape."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    checkpoint: Mapped[dict[str, Any]]  # id, name, label, gallery, as they were at submission
    checkpoint_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str | None] = mapped_column(index=True)  # name of the user; null: no owner, visible to all
    gallery: Mapped[str | None]  # name of the shipped comparison it belongs to
    state: Mapped[JobState] = mapped_column(default="queued")
    error: Mapped[str | None]
    provenance: Mapped[dict[str, Any] | None]  # written when the job is prepared
    grid: Mapped[dict[str, Any] | None]  # alpha and beta; null until prepared if the request has none
    preparing: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # {"step", "done", "total"} while it is prepared
    values_sha256: Mapped[str | None]  # of the finished values, written once: the ETag of everything made from them
    device: Mapped[str | None]  # kind of device that computes all of it: bits differ between kinds
    points: Mapped[int]
    points_per_tile: Mapped[int] = mapped_column(default=1)
    points_done: Mapped[int] = mapped_column(default=0)
    tiles_done: Mapped[int] = mapped_column(default=0)
    created: Mapped[float] = mapped_column(default=now())
    started: Mapped[float | None]
    finished: Mapped[float | None]
    __table_args__ = (  # a page of the list reads only these indexes, then its own rows
        Index("jobs_by_age", "created", "id", "owner", "kind"),
        Index("jobs_by_state", "state", "created", "id", "owner", "kind"),
    )


def grid_of(job: Job) -> Grid:
    """The grid of a job that is prepared, or whose request gave it."""
    assert job.grid is not None
    return Grid(*(Axis(**job.grid[name]) for name in ("alpha", "beta") if job.grid.get(name)))


class Tile(Base):
    """A unit of work for one worker: read an upload, prepare a job, or compute some points of it.

    Points that no worker has leased yet are stored as *runs*, one row per contiguous part of a level: `count` points
    from index `rank` on, `points` empty. A lease cuts a tile from the front of a run, sized for the worker.
    """

    __tablename__ = "tiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str]  # read | read-data | prepare | points
    checkpoint_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))  # to read
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))  # to read
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(ForeignKey("turns.owner"), default="")  # in the queue of this user
    level: Mapped[int]  # refinement level, −1 to read: lower goes first
    rank: Mapped[int] = mapped_column(default=0)  # index of its first point within the level; −1 to prepare
    count: Mapped[int] = mapped_column(default=0)  # number of points
    points: Mapped[list[Any]] = mapped_column(default=list)  # [[i, j], …]
    turn: Mapped[int] = mapped_column(default=0)  # place in the queue of its owner and level
    device: Mapped[str | None]  # kind of device that may take it; null: any
    state: Mapped[str] = mapped_column(default="waiting")  # waiting → leased → done
    lease: Mapped[str | None]  # token of the worker that holds it
    worker: Mapped[str | None]  # id of the worker that took it last
    leased_until: Mapped[float | None]  # by the clock of the database
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float | None]  # by the clock of the database: not leased earlier, after a failed attempt
    values: Mapped[bytes | None] = mapped_column(LargeBinary)  # float64 little-endian, see queue/rows.py
    sha256: Mapped[str | None]  # of points and values, verified whenever they are read
    seconds: Mapped[float | None]  # time it took
    sequence: Mapped[int | None]  # order in which the tiles of a job were finished: id of its event
    finished: Mapped[float | None]
    __table_args__ = (
        UniqueConstraint("job_id", "level", "rank"),
        Index("tiles_by_turn", "state", "level", "owner", "turn", "id"),
        Index("tiles_by_sequence", "job_id", "sequence"),
        Index("tiles_by_state", "job_id", "state", "level"),
    )


class Worker(Base):
    """A worker process that was alive recently."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]  # its kind: name of the GPU, or instruction set of the CPU
    host: Mapped[str] = mapped_column(default="")
    pid: Mapped[int] = mapped_column(default=0)
    started: Mapped[float] = mapped_column(default=now())
    seen: Mapped[float] = mapped_column(default=now())
    busy_since: Mapped[float | None]  # when it took its current tile
    memory: Mapped[int | None] = mapped_column(BigInteger)  # resident bytes
    device_memory: Mapped[int | None] = mapped_column(BigInteger)  # bytes in use on its GPU


PRESENCE_SECONDS = 3.0  # between two heartbeats of a worker, which update its row
ALIVE_SECONDS = 20.0  # since its last heartbeat: a busy machine or a locked database may cost a few of them


def is_alive() -> ColumnElement[bool]:
    """SQL condition: a worker has recently updated its row, by the clock of the database."""
    return Worker.seen > now() - ALIVE_SECONDS


class Turn(Base):
    """Fair queueing between users: the one served longest ago is next."""

    __tablename__ = "turns"
    owner: Mapped[str] = mapped_column(primary_key=True)
    served: Mapped[int] = mapped_column(BigInteger, default=0)  # when, in microseconds; different for every turn


class LogLine(Base):
    """A line of a job's log, shown on its page."""

    __tablename__ = "log_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    at: Mapped[float] = mapped_column(default=now())
    level: Mapped[str] = mapped_column(default="info")  # info | warning | error
    text: Mapped[str] = mapped_column(Text)


class Count(Base):
    """A counter for /metrics, by name and label; increased in the transaction of what it counts."""

    __tablename__ = "counts"
    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True, default="")
    value: Mapped[float] = mapped_column(default=0.0)


class Access(Base):
    """A credential: a user's token, a session of the page, or a link to one result; only the secret's digest."""

    __tablename__ = "access"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]  # token | session | link
    name: Mapped[str] = mapped_column(default="")  # for display
    digest: Mapped[str] = mapped_column(unique=True)  # SHA-256 of the secret, hex
    owner: Mapped[str] = mapped_column(index=True)
    scopes: Mapped[list[Any]] = mapped_column(default=list)  # read | submit | admin | work
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))  # of a link
    parent: Mapped[str | None] = mapped_column(ForeignKey("access.id", ondelete="CASCADE"))  # a session's token
    created: Mapped[float] = mapped_column(default=now())
    expires: Mapped[float | None]
    used: Mapped[float | None]


class Upload(Base):
    """An unfinished resumable upload (tus); its bytes are in a file of the store's local folder, named by its id."""

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
