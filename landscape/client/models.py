"""What the service answers, as frozen dataclasses; a field the client does not know is left out.

Imports the standard library only. A test holds every class against the service's OpenAPI document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

TERMINAL = ("done", "failed", "cancelled")
Known = TypeVar("Known", bound="_Answer")


@dataclass(frozen=True)
class _Answer:
    @classmethod
    def of(cls: type[Known], answer: Mapping[str, Any]) -> Known:
        return cls(**{one.name: answer[one.name] for one in fields(cls)})


@dataclass(frozen=True)
class Checkpoint(_Answer):
    """An uploaded checkpoint and what it was read as."""

    id: str
    name: str
    sha256: str
    size: int  # bytes
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None  # why it was rejected
    architecture: dict[str, Any] | None
    candidates: list[dict[str, Any]]  # networks that fit; with more than one, choose
    parameters: int | None
    facts: dict[str, str]
    created: str


@dataclass(frozen=True)
class Dataset(_Answer):
    """A data set that jobs may name: built in (id is None), or uploaded."""

    id: str | None
    name: str
    title: str
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None
    kind: Literal["images", "vectors", "tokens"] | None
    targets: Literal["classes", "values", "tokens"] | None
    splits: dict[str, int]  # samples in each
    classes: int
    shape: list[int]  # of one sample
    normalization: str


@dataclass(frozen=True)
class Progress(_Answer):
    """How far a job is."""

    done: int  # points computed
    total: int
    level: int  # of refinement
    levels: int
    points_per_second: float | None
    eta_seconds: float | None


@dataclass(frozen=True)
class JobInfo(_Answer):
    """A request for a landscape and how far it is."""

    id: str
    kind: str
    name: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    error: str | None
    spec: dict[str, Any]
    checkpoint: dict[str, Any]
    progress: Progress
    created: str
    started: str | None
    finished: str | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "JobInfo":
        return super().of({**answer, "progress": Progress.of(answer["progress"])})


@dataclass(frozen=True)
class Number(_Answer):
    """One number of a landscape."""

    name: str
    value: float | None
    unit: str
    error: float | None
    definition: str


@dataclass(frozen=True)
class LogEntry(_Answer):
    """Something that happened to a job, in a sentence."""

    at: str
    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class Link(_Answer):
    """A way for others to see one result, and nothing else."""

    id: str
    created: str
    expires: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: its "state", a finished "tile" with its values, its "progress"."""

    kind: str
    data: dict[str, Any]
    id: int | None = None  # of a tile: follow(after=id) goes on behind it

    @property
    def is_last(self) -> bool:
        return self.kind == "state" and self.data.get("state") in TERMINAL
