"""The database: checkpoints, jobs, tiles with their values, workers. It is the truth; broker and page are told from it.

Imports SQLAlchemy. Holds tables and the connection only; what may change when is in queue.py.
"""

from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import (
    JSON,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Float

from landscape.grid import Axis, Grid

from .errors import ConflictError

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
    return "extract(epoch from clock_timestamp())"


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, str: String}


class Checkpoint(Base):
    """An uploaded file and what it was read as."""

    __tablename__ = "checkpoints"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    sha256: Mapped[str]  # of the upload
    size: Mapped[int]
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    weights_sha256: Mapped[str | None]  # of the sanitised safetensors in the store
    candidates: Mapped[list[Any]] = mapped_column(default=list)  # architectures that fit
    architecture: Mapped[dict[str, Any] | None]  # the one chosen
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what the file says of itself
    gallery: Mapped[str | None]  # name of a shipped checkpoint
    created: Mapped[float] = mapped_column(default=now(), index=True)


class Dataset(Base):
    """An uploaded data set and what it was read as."""

    __tablename__ = "datasets"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]  # of the upload
    size: Mapped[int]
    state: Mapped[str] = mapped_column(default="received")  # received → reading → ready | rejected
    reason: Mapped[str | None]  # why rejected, one sentence
    data_sha256: Mapped[str | None]  # of the sanitised safetensors in the store
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # landscape.files.samples.Described
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
    gallery: Mapped[str | None]  # name of the shipped comparison it belongs to
    state: Mapped[JobState] = mapped_column(default="queued", index=True)
    error: Mapped[str | None]
    provenance: Mapped[dict[str, Any] | None]  # written once the center is known
    grid: Mapped[dict[str, Any] | None]  # alpha and beta; where the request leaves it out, known once prepared
    points: Mapped[int]
    points_per_tile: Mapped[int] = mapped_column(default=1)
    points_done: Mapped[int] = mapped_column(default=0)
    tiles_done: Mapped[int] = mapped_column(default=0)
    created: Mapped[float] = mapped_column(default=now(), index=True)
    started: Mapped[float | None]
    finished: Mapped[float | None]


def grid_of(job: Job) -> Grid:
    """The grid of a job, once it is known."""
    assert job.grid is not None
    return Grid(*(Axis(**job.grid[name]) for name in ("alpha", "beta") if job.grid.get(name)))


class Tile(Base):
    """What one worker does at a time: read a checkpoint, prepare a job, or compute some points of it."""

    __tablename__ = "tiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str]  # read | read-data | prepare | points
    checkpoint_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))  # to read
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))  # to read
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    level: Mapped[int]  # refinement level; −1 to prepare, −2 to read: lower goes first
    rank: Mapped[int] = mapped_column(default=0)  # order within the level
    points: Mapped[list[Any]] = mapped_column(default=list)  # [[i, j], …]
    state: Mapped[str] = mapped_column(default="waiting")  # waiting → leased → done
    lease: Mapped[str | None]  # token of the worker that holds it
    leased_until: Mapped[float | None]  # by the clock of the database
    attempts: Mapped[int] = mapped_column(default=0)
    values: Mapped[bytes | None] = mapped_column(LargeBinary)  # float64 little-endian, 3 a point, see results.py
    sequence: Mapped[int | None]  # the order in which the tiles of a job were done: id of its event
    finished: Mapped[float | None]
    __table_args__ = (
        UniqueConstraint("job_id", "level", "rank"),
        Index("tiles_by_turn", "state", "level", "rank"),
        Index("tiles_by_sequence", "job_id", "sequence"),
    )


class Worker(Base):
    """A worker process that has been seen lately."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    seen: Mapped[float] = mapped_column(default=now())


class Database:
    """Sessions on one database: `reading` sees a snapshot, `writing` is one transaction that holds from its start.

    Use `with database.writing() as session:`; the end commits, an error undoes everything.
    """

    def __init__(self, url: str):
        self.engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        Base.metadata.create_all(self.engine)
        self._require_this_version()
        self.reading = sessionmaker(self.engine, expire_on_commit=False)
        self.writing = sessionmaker(self.engine.execution_options(writes=True), expire_on_commit=False).begin

    def _require_this_version(self) -> None:
        """A database of another version is refused with a sentence instead of failing at the first query."""
        inspector = inspect(self.engine)
        for table in Base.metadata.sorted_tables:
            missing = {column.name for column in table.columns} - {
                one["name"] for one in inspector.get_columns(table.name)
            }
            if missing:
                raise ConflictError(
                    f"The database was made by another version of Loss Landscape (no {table.name}.{min(missing)}). "
                    "Move its folder away, or choose another with --data."
                )


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write says so at once: turning a read into a write later can fail in the middle."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
