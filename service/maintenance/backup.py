"""Backup of a running service into a folder or a tar file, and restore into an empty one, on any database and store.

A restore never merges a backup with existing data.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, create_engine, delete, select
from sqlalchemy.orm import Session

from landscape.disk import digest_of

from ..database import json_rows, migrations
from ..database.sessions import Database
from ..database.tables import REVISION, Access, Base, Checkpoint, Dataset, Job
from ..errors import ConflictError, DamagedError, InvalidError, NotFoundError
from ..library import uploads
from ..storage.store import Store
from . import bundle

logger = logging.getLogger(__name__)

FORMAT = 1
_MANIFEST = "backup.json"
_NOT_SAVED = ("workers", "uploads")  # a worker writes its row itself; an incomplete upload is not part of the library
_ATTEMPTS = 5
_BLOCK = 1 << 20

OpenRows = Callable[[str], IO[bytes]]  # opens the rows of a table, by its name


@dataclass(frozen=True)
class Backup:
    """What is in a backup."""

    rows: dict[str, int]  # by table
    files: int
    size: int  # of the files, bytes
    missing: list[str] = field(default_factory=list)  # digests whose bytes are damaged or missing


def backup(database: Database, store: Store, target: Path) -> Backup:
    """Copy a consistent snapshot of all rows, and the bytes they refer to, while the service runs.

    Bytes that are damaged or missing are left out and listed in the result, so that the rest is saved.

    Raises:
        ConflictError: `target` exists.
        NoSpaceError, TooLargeError, UnavailableError: see `Store.path`.
    """
    with bundle.create(target) as archive, TemporaryDirectory(dir=target.parent, prefix=".rows-") as temporary:
        folder, copied = Path(temporary), dict[str, int]()
        for _ in range(_ATTEMPTS):
            counts, used = _snapshot(database, folder)
            missing = _copy_files(store, archive, used, copied)
            if missing <= _used_now(database):
                break  # else some were deleted since the snapshot: take another, without them
        done = Backup(counts, len(copied), sum(copied.values()), sorted(missing))
        _add_rows(archive, folder, done)
    logger.info("backup made", extra={"rows": sum(counts.values()), "files": done.files})
    return done


def restore(database: Database, store: Store, source: Path) -> Backup:
    """Restore a backup into an empty service; every file is verified by its digest, and a failure leaves it empty.

    Raises:
        ConflictError: the service is not empty.
        InvalidError: this is not a backup, or one of a newer version.
        DamagedError: a file in it has changed.
        NoSpaceError, TooLargeError: see `Store.receive`.
        ForbiddenError: see `Store.remove`, which is called after a failure.
        BusyError: see `Database.writing`.
        ServiceError, UnavailableError: as `Database`, for the temporary one that upgrades an older backup.
    """
    with (
        bundle.open_bundle(source) as archive,
        TemporaryDirectory(dir=store.unfinished.parent, prefix="restoring-") as temporary,
    ):
        manifest = _manifest(archive)
        _require_empty(database, store)
        rows = _rows_of(archive) if manifest["revision"] == REVISION else _upgraded(archive, manifest, Path(temporary))
        restored: dict[str, int] = {}
        try:
            _restore_files(archive, store, restored)
            with database.writing() as session:
                _require_no_rows(session)
                counts = _insert(session, rows)
                absent = uploads.used_digests(session) - restored.keys() - set(manifest["missing"])
                if absent:
                    raise DamagedError(f"{len(absent)} files are missing from this backup. Use another one.")
        except BaseException:
            for sha256 in restored:
                store.remove(sha256)
            raise
    return Backup(counts, len(restored), sum(restored.values()), manifest["missing"])


def _snapshot(database: Database, folder: Path) -> tuple[dict[str, int], set[str]]:
    """Write a consistent snapshot of all rows into `folder`.

    Returns:
        The number of rows of each table, and the digests that they refer to.
    """
    with database.reading() as session:
        counts = {table.name: json_rows.write(session, table, folder / f"{table.name}.jsonl") for table in _tables()}
        return counts, uploads.used_digests(session)


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in _NOT_SAVED]


def _copy_files(store: Store, archive: bundle.Writer, used: set[str], copied: dict[str, int]) -> set[str]:
    """Copy the files that are not copied yet, and add their sizes to `copied`.

    Returns:
        The digests of those that are damaged or missing.
    """
    missing = set()
    for sha256 in sorted(used - copied.keys()):
        try:
            path = store.path(sha256)
            archive.add(f"store/{sha256}", path)
            copied[sha256] = path.stat().st_size
        except (NotFoundError, DamagedError, FileNotFoundError):
            missing.add(sha256)
    return missing


def _used_now(database: Database) -> set[str]:
    with database.reading() as session:
        return uploads.used_digests(session)


def _add_rows(archive: bundle.Writer, folder: Path, done: Backup) -> None:
    digests = {}
    for name in done.rows:
        path = folder / f"{name}.jsonl"
        archive.add(f"rows/{path.name}", path)
        digests[name] = digest_of(path)
    manifest = {
        "format": FORMAT,
        "revision": REVISION,
        "version": version("loss-atlas"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": done.rows,
        "sha256": digests,
        "missing": done.missing,
    }
    path = folder / _MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n")
    archive.add(_MANIFEST, path)


def _manifest(archive: bundle.Reader) -> dict[str, Any]:
    """The manifest of a backup, after its rows were verified by their digests."""
    try:
        with archive.open(_MANIFEST) as file:
            manifest: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        raise InvalidError("This is no backup, or only a part of one.") from None
    if manifest["format"] != FORMAT or manifest["revision"] not in _revisions():
        raise InvalidError(
            f"The backup was made by Loss Landscape {manifest['version']}, which is newer. Restore it with that."
        )
    for name, sha256 in manifest["sha256"].items():
        with archive.open(f"rows/{name}.jsonl") as file:
            if digest_of(file) != sha256:
                raise DamagedError(f"The rows of {name} in this backup have changed. Use another one.")
    return manifest


def _revisions() -> set[str]:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    return {script.revision for script in scripts.walk_revisions()}


def _require_empty(database: Database, store: Store) -> None:
    with database.reading() as session:
        _require_no_rows(session)
    if next(store.stored(), None) is not None:
        raise ConflictError("The store is not empty. Restore into a new data folder, or a new bucket or prefix.")


def _require_no_rows(session: Session) -> None:
    for table in (Checkpoint, Dataset, Job, Access):
        if session.execute(select(table).limit(1)).first() is not None:
            raise ConflictError(f"The database is not empty: it has {table.__tablename__}. Restore into a new one.")


def _restore_files(archive: bundle.Reader, store: Store, restored: dict[str, int]) -> None:
    """Store the files of a backup, and add their sizes to `restored`."""
    for name in archive.names():
        if name.startswith("store/"):
            sha256 = name.removeprefix("store/")
            with archive.open(name) as file, store.receive() as incoming:
                while block := file.read(_BLOCK):
                    incoming.write(block)
                if incoming.finish() != sha256:
                    raise DamagedError(f"The file {sha256[:12]}… in this backup has changed. Use another one.")
                incoming.commit()
                restored[sha256] = incoming.size


def _insert(session: Session, open_rows: OpenRows) -> dict[str, int]:
    """Replace the initial rows of a new database by those of a backup; the number of rows of each table."""
    for table in reversed(_tables()):
        session.execute(delete(table))
    counts = {}
    for table in _tables():
        with open_rows(table.name) as file:
            counts[table.name] = json_rows.insert_all(session, table, file)
    return counts


def _rows_of(archive: bundle.Reader) -> OpenRows:
    return lambda name: archive.open(f"rows/{name}.jsonl")


def _upgraded(archive: bundle.Reader, manifest: dict[str, Any], folder: Path) -> OpenRows:
    """The rows of a backup of an earlier version, migrated in a temporary database."""
    url, old = f"sqlite:///{folder / 'old.sqlite'}", MetaData()
    engine = create_engine(url)
    with engine.begin() as connection, Session(connection) as session:
        command.upgrade(migrations.config(connection), manifest["revision"])
        old.reflect(connection)
        known = [table for table in old.sorted_tables if table.name in manifest["rows"]]
        for table in reversed(known):
            session.execute(delete(table))
        for table in known:
            with archive.open(f"rows/{table.name}.jsonl") as file:
                json_rows.insert_all(session, table, file)
        session.flush()
    engine.dispose()
    database = Database(url)
    _snapshot(database, folder)
    database.engine.dispose()
    return lambda name: (folder / f"{name}.jsonl").open("rb")
