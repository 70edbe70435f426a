"""Reads an upload in a sandbox and stores the sanitized file that comes out of it.

The worker itself never opens or parses an uploaded file.
"""

from dataclasses import dataclass
from typing import Any

from landscape.checkpoints.sandbox import KilledError, Limits, read_in_sandbox
from service.errors import ServiceError
from service.settings import Settings
from service.storage.store import Store


class RejectedError(ServiceError):
    """The file is not usable; the message says why in a sentence."""

    code = "rejected"


class ReaderKilledError(Exception):
    """The sandbox was killed from outside, which says nothing about the file: another attempt may succeed."""


@dataclass(frozen=True)
class Verdict:
    """What was found in a checkpoint."""

    weights_sha256: str  # sanitized safetensors, in the store
    candidates: list[dict[str, Any]]  # architectures as JSON, with their label and parameter count
    facts: dict[str, str]


def read_checkpoint(sha256: str, store: Store, settings: Settings) -> Verdict:
    """Read the upload `sha256` in a fresh process and keep its sanitized weights.

    Raises:
        RejectedError: it is not a usable checkpoint; at most 500 characters, no path and no traceback.
        ReaderKilledError: the sandbox was killed from outside.
        OSError: the stored file vanished before the sandbox opened it.
        NotFoundError, DamagedError, UnavailableError, NoSpaceError, TooLargeError: see `Store.path`.
    """
    answer, digest = _read("checkpoint", sha256, store, settings)
    return Verdict(digest, answer["candidates"], answer["facts"])


def read_dataset(sha256: str, store: Store, settings: Settings) -> tuple[dict[str, Any], str]:
    """Read an uploaded data set in a fresh process and keep its sanitized samples.

    Returns:
        What is known about it (landscape.parsers.dataset.Described), and the digest of the sanitized file.

    Raises:
        RejectedError: as `read_checkpoint`.
        ReaderKilledError: as `read_checkpoint`.
        OSError: as `read_checkpoint`.
        NotFoundError, DamagedError, UnavailableError, NoSpaceError, TooLargeError: see `Store.path`.
    """
    return _read("dataset", sha256, store, settings)


def _read(task: str, sha256: str, store: Store, settings: Settings) -> tuple[dict[str, Any], str]:
    """The result of the sandbox for an upload, and the digest of the sanitized file."""
    limits = Limits(settings.reader_memory_bytes, settings.reader_seconds)
    with store.temporary_folder() as folder:
        clean = folder / "clean.safetensors"
        try:
            answer = read_in_sandbox(task, store.path(sha256), clean, limits)
        except KilledError as error:
            raise ReaderKilledError from error
        if "rejected" in answer:
            raise RejectedError(answer["rejected"][:500])
        return answer, store.move_in(clean)
