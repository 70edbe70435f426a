"""What the API answers, as JSON. What it is asked for a job is service/jobs/spec.py.

Imports pydantic and the tables. Never reads the database by itself: rows come in, models go out.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.access.callers import Caller
from service.database.tables import Checkpoint, Dataset, Job
from service.library.datasets import DatasetFacts, facts_of

State = Literal["queued", "running", "done", "failed", "cancelled"]


class ErrorDetail(BaseModel):
    code: str
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    error: ErrorDetail


class Accepted(BaseModel):
    id: str


class CheckpointOut(BaseModel):
    """An uploaded file and what it was read as."""

    id: str
    name: str
    sha256: str
    size: int = Field(description="bytes")
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None = Field(description="why it was rejected, in a sentence")
    architecture: dict[str, Any] | None = Field(description="the network; null until read, or until one is chosen")
    candidates: list[dict[str, Any]] = Field(description="networks that fit; with more than one, choose")
    parameters: int | None
    facts: dict[str, str] = Field(description="what the file says of itself")
    gallery: str | None
    owner: str | None = Field(description="name of a user; null: everybody sees it")
    yours: bool = Field(description="whether you may change and delete it")
    created: str

    @classmethod
    def of(cls, row: Checkpoint, caller: Caller) -> "CheckpointOut":
        known = row.architecture or (row.candidates[0] if row.candidates else None)
        return cls(
            **{name: getattr(row, name) for name in _SAME_IN_CHECKPOINT},
            parameters=known["parameters"] if known else None,
            yours=caller.owns(row.owner),
            created=moment(row.created) or "",
        )


_SAME_IN_CHECKPOINT = (
    "id",
    "name",
    "sha256",
    "size",
    "state",
    "reason",
    "architecture",
    "candidates",
    "facts",
    "gallery",
    "owner",
)


class CheckpointList(BaseModel):
    items: list[CheckpointOut]
    total: int


class Choice(BaseModel):
    index: int = Field(ge=0, description="which of the candidates is meant")


class DatasetOut(BaseModel):
    """A data set that jobs may name, or an upload on its way to be one."""

    id: str | None = Field(description="of an upload; built-in ones have none")
    name: str
    title: str
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None = Field(description="why it was rejected, in a sentence")
    kind: Literal["images", "vectors", "tokens"] | None = Field(description="what a sample is; null until read")
    targets: Literal["classes", "values", "tokens"] | None
    splits: dict[str, int] = Field(description="samples in each")
    classes: int
    shape: list[int] = Field(description="of one sample: channels, height, width")
    normalization: str
    vocabulary: int = Field(description="largest token + 1; 0 where samples are no tokens")
    size: int | None = Field(description="bytes of the upload")
    owner: str | None = Field(None, description="name of a user; null: everybody sees it")
    yours: bool = Field(False, description="whether you may delete it")
    created: str | None

    @classmethod
    def of_facts(cls, facts: DatasetFacts, state: str = "ready") -> "DatasetOut":
        return cls(**{**facts.to_json(), "shape": list(facts.shape)}, state=state, reason=None, size=None, created=None)

    @classmethod
    def of(cls, row: Dataset, caller: Caller) -> "DatasetOut":
        about: dict[str, Any] = {"size": row.size, "created": moment(row.created)}
        about |= {"owner": row.owner, "yours": caller.owns(row.owner)}
        if row.state == "ready":
            return cls.of_facts(facts_of(row)).model_copy(update=about)
        return cls(
            **{name: getattr(row, name) for name in ("id", "name", "state", "reason")},
            **about,
            title=row.name,
            kind=None,
            targets=None,
            splits={},
            classes=0,
            shape=[],
            normalization="",
            vocabulary=0,
        )


class DatasetList(BaseModel):
    items: list[DatasetOut]
    total: int


class Progress(BaseModel):
    done: int = Field(description="points computed")
    total: int
    level: int = Field(description="refinement level being computed, from 0")
    levels: int
    points_per_second: float | None
    eta_seconds: float | None


class JobOut(BaseModel):
    """A request for a landscape and how far it is."""

    id: str
    kind: str
    name: str
    state: State
    error: str | None
    spec: dict[str, Any]
    checkpoint: dict[str, Any] = Field(description="id, name, label, architecture and gallery as they were when asked")
    progress: Progress
    damaged: str | None = Field(None, description="what of its result changed on the disk, in a sentence; null if none")
    gallery: str | None
    owner: str | None = Field(description="name of a user; null: everybody sees it")
    yours: bool = Field(description="whether you may cancel, retry, delete and share it")
    created: str
    started: str | None
    finished: str | None

    @classmethod
    def of(cls, row: Job, progress: Progress, caller: Caller) -> "JobOut":
        return cls(
            **{name: getattr(row, name) for name in _SAME_IN_JOB},
            progress=progress,
            yours=caller.owns(row.owner),
            created=moment(row.created) or "",
            started=moment(row.started),
            finished=moment(row.finished),
        )


_SAME_IN_JOB = ("id", "kind", "name", "state", "error", "spec", "checkpoint", "gallery", "owner")


class JobList(BaseModel):
    items: list[JobOut]
    total: int


class StateEvent(BaseModel):
    """A job came into this state."""

    job: str
    state: State | Literal["gone"] = Field(description="gone: it was deleted")
    error: str | None = Field(description="why it failed, in a sentence")


class ProgressEvent(Progress):
    """How far a job is."""

    job: str
    state: State


class NotFinite(BaseModel):
    """A value JSON has no number for."""

    i: int
    j: int
    value: Literal["nan", "inf", "-inf"]


class TileEvent(BaseModel):
    """Points of a job that have been computed; a value that is not finite is null, and its loss is listed by name."""

    job: str
    level: int
    points: list[tuple[int, int]] = Field(description="indices along alpha and beta")
    losses: list[float | None]
    accuracies: list[float | None]
    standard_errors: list[float | None]
    extra: dict[str, list[float | None]] = Field(description="arrays that only this kind of job has")
    non_finite: list[NotFinite]


class LogEntry(BaseModel):
    """Something that happened to a job."""

    at: str
    level: Literal["info", "warning", "error"]
    text: str


class JobLog(BaseModel):
    items: list[LogEntry]
    total: int


class Number(BaseModel):
    """One number of a landscape."""

    name: str
    value: float | None = Field(description="null where the grid is too small or too full of holes")
    unit: str
    error: float | None
    definition: str


class NumberList(BaseModel):
    items: list[Number]


class Health(BaseModel):
    status: Literal["ok", "degraded"]
    database: Literal["ok", "locked", "unreachable"]
    store: Literal["ok", "full", "unwritable"]
    broker: Literal["ok", "unreachable"]
    workers: int = Field(description="worker processes seen in the last seconds")


class Version(BaseModel):
    version: str
    python: str
    plotly: str


class GalleryCell(BaseModel):
    checkpoint: str | None
    job: str | None
    record: dict[str, Any] = Field(description="how the shipped checkpoint was trained, and its figures")


class Comparison(BaseModel):
    name: str
    title: str
    text: str
    rows: list[str]
    columns: list[str]
    cells: list[list[GalleryCell]]


class Gallery(BaseModel):
    comparisons: list[Comparison]


def moment(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
