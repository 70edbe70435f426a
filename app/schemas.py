"""Response models of the API; the schema of a job is service/jobs/spec.py. Made from rows of the database."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.access.callers import Caller
from service.database.tables import Checkpoint, Dataset, Job
from service.library.datasets import DatasetFacts, facts_of

State = Literal["queued", "running", "done", "failed", "cancelled"]


class ErrorDetail(BaseModel):
    """Why a request failed."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    """The body of every response that is an error."""

    error: ErrorDetail


class Accepted(BaseModel):
    """The id of what a request has made."""

    id: str


class CheckpointOut(BaseModel):
    """An uploaded checkpoint and what was found in it."""

    id: str
    name: str
    sha256: str
    size: int = Field(description="bytes")
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None = Field(description="why it was rejected, in a sentence")
    architecture: dict[str, Any] | None = Field(description="null until it was recognized or chosen")
    candidates: list[dict[str, Any]] = Field(description="architectures that fit; of several, choose one")
    parameters: int | None
    facts: dict[str, str] = Field(description="metadata found in the file")
    gallery: str | None
    owner: str | None = Field(description="name of a user; null: visible to all users")
    yours: bool = Field(description="whether you can change and delete it")
    created: str

    @classmethod
    def of(cls, row: Checkpoint, caller: Caller) -> "CheckpointOut":
        """The response for a row, as this caller sees it."""
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
    """A page of the checkpoints, newest first."""

    items: list[CheckpointOut]
    total: int


class Choice(BaseModel):
    """A choice among the architectures that fit a checkpoint."""

    index: int = Field(ge=0, description="position of the architecture in `candidates`")


class DatasetOut(BaseModel):
    """A data set that jobs can use, or an upload that is not ready or was rejected."""

    id: str | None = Field(description="of an upload; built-in ones have none")
    name: str
    title: str
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None = Field(description="why it was rejected, in a sentence")
    kind: Literal["images", "vectors", "tokens"] | None = Field(description="type of a sample; null until read")
    targets: Literal["classes", "values", "tokens"] | None
    splits: dict[str, int] = Field(description="samples in each")
    classes: int
    shape: list[int] = Field(description="of one sample: channels, height, width")
    normalization: str
    vocabulary: int = Field(description="largest token + 1; 0 where samples are not tokens")
    size: int | None = Field(description="bytes of the upload")
    owner: str | None = Field(None, description="name of a user; null: visible to all users")
    yours: bool = Field(False, description="whether you can delete it")
    created: str | None

    @classmethod
    def of_facts(cls, facts: DatasetFacts, state: str = "ready") -> "DatasetOut":
        """The response for a data set that can be used."""
        return cls(**{**facts.to_json(), "shape": list(facts.shape)}, state=state, reason=None, size=None, created=None)

    @classmethod
    def of(cls, row: Dataset, caller: Caller) -> "DatasetOut":
        """The response for a row, as this caller sees it."""
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
    """A page of the data sets."""

    items: list[DatasetOut]
    total: int


class Preparing(BaseModel):
    """How far preparing a job is."""

    step: str = Field(description="checkpoints: reads them; path: their losses; first: first points; other")
    done: int = Field(description="parts of this step that are done")
    total: int = Field(description="parts of this step; 0: unknown")


class Progress(BaseModel):
    """How much of a job is computed."""

    done: int = Field(description="points computed")
    total: int
    level: int = Field(description="refinement level being computed, from 0")
    levels: int
    points_per_second: float | None
    eta_seconds: float | None
    preparing: Preparing | None = Field(description="null unless a worker prepares the job now")


class JobOut(BaseModel):
    """A job and its progress."""

    id: str
    kind: str
    name: str
    state: State
    error: str | None
    spec: dict[str, Any]
    checkpoint: dict[str, Any] = Field(
        description="id, name, label, architecture and gallery as they were at submission"
    )
    progress: Progress
    damaged: str | None = Field(None, description="damage of its stored values, in a sentence; null if none")
    gallery: str | None
    owner: str | None = Field(description="name of a user; null: visible to all users")
    yours: bool = Field(description="whether you can cancel, retry, delete and share it")
    created: str
    started: str | None
    finished: str | None

    @classmethod
    def of(cls, row: Job, progress: Progress, caller: Caller) -> "JobOut":
        """The response for a row, as this caller sees it."""
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
    """A page of the jobs, newest first."""

    items: list[JobOut]
    total: int


class StateEvent(BaseModel):
    """The state of a job has changed."""

    job: str
    state: State | Literal["gone"] = Field(description="gone: it was deleted")
    error: str | None = Field(description="why it failed, in a sentence")


class ProgressEvent(Progress):
    """Progress of a job."""

    job: str
    state: State


class NotFinite(BaseModel):
    """A value that JSON cannot express."""

    i: int
    j: int
    value: Literal["nan", "inf", "-inf"]


class TileEvent(BaseModel):
    """Computed points of a job; a value that is not finite is null, and its loss is listed in `non_finite`."""

    job: str
    level: int
    points: list[tuple[int, int]] = Field(description="indices along alpha and beta")
    losses: list[float | None]
    accuracies: list[float | None]
    standard_errors: list[float | None]
    extra: dict[str, list[float | None]] = Field(description="arrays of this kind of job only")
    non_finite: list[NotFinite]


class LogEntry(BaseModel):
    """A line of a job's log."""

    at: str
    level: Literal["info", "warning", "error"]
    text: str


class JobLog(BaseModel):
    """A page of a job's log, oldest line first."""

    items: list[LogEntry]
    total: int


class Ends(BaseModel):
    """A range of coordinates."""

    min: float
    max: float


class Window(BaseModel):
    """Ranges of the axes: `alpha` and `beta` of a refinement; a slice has no `beta`."""

    alpha: Ends
    beta: Ends | None = None


class Number(BaseModel):
    """One summary number of a result."""

    name: str
    value: float | None = Field(description="null where the grid is too small or lacks too many values")
    unit: str
    error: float | None
    definition: str
    note: str | None = Field(description="what this grid cannot settle, and what would; null where there is nothing")
    window: Window | None = Field(description="the ranges of a refinement that would settle it, if they are known")


class NumberList(BaseModel):
    """The summary numbers of a result."""

    items: list[Number]


class Health(BaseModel):
    """The state of each part of the service."""

    status: Literal["ok", "degraded"]
    database: Literal["ok", "locked", "unreachable"]
    store: Literal["ok", "full", "unwritable"]
    broker: Literal["ok", "unreachable"]
    workers: int = Field(description="worker processes with a recent heartbeat")


class Version(BaseModel):
    """The versions of the service, of Python and of the page's plotting library."""

    version: str
    python: str
    plotly: str


class GalleryCell(BaseModel):
    """One network of a shipped comparison."""

    checkpoint: str | None
    job: str | None
    record: dict[str, Any] = Field(description="how the shipped checkpoint was trained, with its loss and accuracy")


class Comparison(BaseModel):
    """A shipped comparison: networks in rows and columns."""

    name: str
    title: str
    text: str
    rows: list[str]
    columns: list[str]
    cells: list[list[GalleryCell]]


class Gallery(BaseModel):
    """The shipped comparisons."""

    comparisons: list[Comparison]


def moment(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC.

    >>> moment(0.0), moment(None)
    ('1970-01-01T00:00:00.000000Z', None)
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
