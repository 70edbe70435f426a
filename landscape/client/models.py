"""The service's answers as frozen dataclasses; fields that the client does not know are ignored.

A test compares every class with the service's OpenAPI document.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypeVar

TERMINAL = ("done", "failed", "cancelled")
Model = TypeVar("Model", bound="_Model")


@dataclass(frozen=True)
class _Model:
    @classmethod
    def of(cls: type[Model], answer: Mapping[str, Any]) -> Model:
        """The dataclass of an answer; other fields of it are ignored, and those an older service lacks are omitted."""
        own = [field for field in fields(cls) if field.name in answer or field.default is MISSING]
        return cls(**{field.name: answer[field.name] for field in own})


@dataclass(frozen=True)
class Checkpoint(_Model):
    """An uploaded checkpoint and what was recognized in it."""

    id: str
    name: str
    sha256: str
    size: int  # bytes
    state: Literal["received", "reading", "ready", "rejected"]
    reason: str | None  # why it was rejected
    architecture: dict[str, Any] | None
    candidates: list[dict[str, Any]]  # architectures that fit; if several, `Client.choose` selects one
    parameters: int | None
    facts: dict[str, str]
    created: str


@dataclass(frozen=True)
class Dataset(_Model):
    """A data set that jobs can use: built in (id is None) or uploaded."""

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


PREPARING = {  # by step of preparing
    "checkpoints": "preparing: reading checkpoint {done} of {total}",
    "path": "preparing: loss of checkpoint {done} of {total}",
    "first": "preparing: first points",
}


@dataclass(frozen=True)
class Preparing(_Model):
    """How far preparing a job is: it has no points before."""

    step: str
    done: int
    total: int  # 0 if unknown

    def __str__(self) -> str:
        return PREPARING.get(self.step, "preparing").format(done=self.done, total=self.total)


@dataclass(frozen=True)
class Progress(_Model):
    """The progress of a job."""

    done: int  # points computed
    total: int
    level: int  # of refinement
    levels: int
    points_per_second: float | None
    eta_seconds: float | None
    preparing: Preparing | None  # while a worker prepares it

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Progress":
        preparing = answer.get("preparing")  # absent in answers of earlier services
        return super().of({**answer, "preparing": Preparing.of(preparing) if preparing else None})


@dataclass(frozen=True)
class JobInfo(_Model):
    """A job: what was requested, and its state."""

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
class Number(_Model):
    """One metric of a landscape."""

    name: str
    value: float | None
    unit: str
    error: float | None
    definition: str
    note: str | None = None  # what the grid cannot settle, and what would
    window: dict[str, Any] | None = None  # the ranges of "alpha" and "beta" that would, each {"min", "max"}


@dataclass(frozen=True)
class LogEntry(_Model):
    """An entry of a job's log: what happened, in a sentence."""

    at: str
    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class Link(_Model):
    """A link that shows one result, and nothing else, to anyone who has it."""

    id: str
    created: str
    expires: str | None


@dataclass(frozen=True)
class Event:
    """An event of a job: its "state", its "progress", or a finished "tile" with its values."""

    kind: str
    data: dict[str, Any]
    id: int | None = None  # of a tile; `follow(after=id)` starts with the next one

    @property
    def is_last(self) -> bool:
        """Whether it says that the job has ended; no event follows."""
        return self.kind == "state" and self.data.get("state") in TERMINAL
