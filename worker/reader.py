"""What a worker does with an upload: have it read at the boundary, keep what comes out clean.

Imports landscape.checkpoints.sandbox, store, settings; no torch. Never opens or parses a stranger's file itself.
"""

from dataclasses import dataclass
from typing import Any

from landscape.checkpoints.sandbox import KilledError, Limits, ask
from service.errors import ServiceError
from service.settings import Settings
from service.storage.store import Store


class RejectedError(ServiceError):
    """A file that is not usable, and why, in a sentence."""

    code = "rejected"


class ReaderKilledError(Exception):
    """The reading came to nothing, and not by the file: worth another attempt."""


@dataclass(frozen=True)
class Verdict:
    """What a checkpoint was read as."""

    weights_sha256: str  # sanitised safetensors, in the store
    candidates: list[dict[str, Any]]  # architectures as JSON, with their label and parameter count
    facts: dict[str, str]


def read_checkpoint(sha256: str, store: Store, settings: Settings) -> Verdict:
    """Read the upload `sha256` in a fresh process and keep its sanitised weights.

    Raises:
        RejectedError: it is not a usable checkpoint; at most 500 characters, no path and no traceback.
    """
    answer, digest = _read("checkpoint", sha256, store, settings)
    return Verdict(digest, answer["candidates"], answer["facts"])


def read_dataset(sha256: str, store: Store, settings: Settings) -> tuple[dict[str, Any], str]:
    """Read an uploaded data set in a fresh process and keep its sanitised samples.

    Returns:
        What is known of it (landscape.parsers.dataset.Described), and the digest of the sanitised file.

    Raises:
        RejectedError: as `read_checkpoint`.
    """
    return _read("dataset", sha256, store, settings)


def _read(task: str, sha256: str, store: Store, settings: Settings) -> tuple[dict[str, Any], str]:
    """The answer about an upload, and the digest of what was written for it."""
    limits = Limits(settings.reader_memory_bytes, settings.reader_seconds)
    with store.room() as folder:
        clean = folder / "clean.safetensors"
        try:
            answer = ask(task, store.path(sha256), clean, limits)
        except KilledError as error:
            raise ReaderKilledError from error
        if "rejected" in answer:
            raise RejectedError(answer["rejected"][:500])
        return answer, store.adopt(clean)
