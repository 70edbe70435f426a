"""Reads an upload in a sandbox and stores the sanitized file that comes out of it.

The worker itself never opens or parses an uploaded file.
"""

from dataclasses import dataclass
from typing import Any

from landscape.checkpoints.sandbox import KilledError, Limits, StoppedError, read_in_sandbox
from landscape.stop import Stop, Stopped
from service.errors import ServiceError
from service.settings import Settings
from service.storage.store import Store

ANY_LENGTH = Limits.output


class RejectedError(ServiceError):
    """The file is not usable; the message says why in a sentence."""

    code = "rejected"


class TooLongError(RejectedError):
    """The sanitized file would be longer than `output_bytes`; the caller knows where that limit is from."""


class ReaderKilledError(Exception):
    """The sandbox was killed from outside or too slow just now, which says nothing about the file.

    Another attempt may succeed; the message says which it was.
    """


@dataclass(frozen=True)
class Verdict:
    """What was found in a checkpoint."""

    weights_sha256: str  # sanitized safetensors, in the store
    candidates: list[dict[str, Any]]  # architectures as JSON, with their label and parameter count
    facts: dict[str, str]


def _never() -> bool:
    return False


def read_checkpoint(
    sha256: str, store: Store, settings: Settings, *, output_bytes: int = ANY_LENGTH, stop: Stop = _never
) -> Verdict:
    """Read the upload `sha256` in a fresh process and keep its sanitized weights.

    Args:
        output_bytes: most bytes of the sanitized file.
        stop: asked several times a second; true ends the process.

    Raises:
        RejectedError: it is not a usable checkpoint; at most 500 characters, no path and no traceback.
        TooLongError: its sanitized file would be longer.
        ReaderKilledError: nothing is known about the file.
        Stopped: `stop` returned true.
        OSError: the stored file vanished before the sandbox opened it, or the disk is full.
        NotFoundError, DamagedError, UnavailableError, NoSpaceError, TooLargeError: see `Store.path`.
    """
    answer, digest = _read("checkpoint", sha256, store, limits_of(settings, output_bytes), stop)
    return Verdict(digest, answer["candidates"], answer["facts"])


def read_dataset(
    sha256: str, store: Store, settings: Settings, *, output_bytes: int = ANY_LENGTH, stop: Stop = _never
) -> tuple[dict[str, Any], str]:
    """Read an uploaded data set in a fresh process and keep its sanitized samples.

    Args:
        output_bytes, stop: as of `read_checkpoint`.

    Returns:
        What is known about it (landscape.parsers.dataset.Described), and the digest of the sanitized file.

    Raises:
        RejectedError, TooLongError, ReaderKilledError, Stopped, OSError: as `read_checkpoint`.
        NotFoundError, DamagedError, UnavailableError, NoSpaceError, TooLargeError: see `Store.path`.
    """
    return _read("dataset", sha256, store, limits_of(settings, output_bytes), stop)


def limits_of(settings: Settings, output_bytes: int) -> Limits:
    """The limits of the process that reads an upload."""
    walls = settings.sandbox != "off"
    return Limits(settings.reader_memory_bytes, settings.reader_seconds, output=output_bytes, walls=walls)


def _read(task: str, sha256: str, store: Store, limits: Limits, stop: Stop) -> tuple[dict[str, Any], str]:
    """The result of the sandbox for an upload, and the digest of the sanitized file."""
    with store.temporary_folder() as folder:
        clean = folder / "clean.safetensors"
        try:
            answer = read_in_sandbox(task, store.path(sha256), clean, limits, stop=stop)
        except KilledError as error:
            raise ReaderKilledError(str(error)) from error
        except StoppedError:
            raise Stopped from None
        if "rejected" in answer:
            raise (TooLongError if "too_long" in answer else RejectedError)(answer["rejected"][:500])
        return answer, store.move_in(clean)
