"""The whole library into a folder or a tar file, and back into an empty service, on any database and any store.

Imports tables, library, store, bundle, rows; no torch. Never stops the service it copies, and never mixes a backup into
what is there already.
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
_FACTS = "backup.json"
_PASSING = ("workers", "uploads")  # workers tell of themselves; an upload that is not complete is not ours yet
_ATTEMPTS = 5
_BLOCK = 1 << 20

Lines = Callable[[str], IO[bytes]]  # by table, the rows of a backup


@dataclass(frozen=True)
class Backup:
    """What is in a backup."""

    rows: dict[str, int]  # by table
    files: int
    size: int  # of the files, bytes
    missing: list[str] = field(default_factory=list)  # digests referred to whose bytes are damaged or gone


def backup(database: Database, store: Store, target: Path) -> Backup:
    """Copy every row as of one moment, and the bytes they refer to, while the service runs.

    Bytes that are damaged or gone are left out and named in the answer, so that the rest is saved.

    Raises:
        ConflictError: there is something at `target` already.
    """
    with bundle.writing(target) as box, TemporaryDirectory(dir=target.parent, prefix=".rows-") as made:
        folder, taken = Path(made), dict[str, int]()
        for _ in range(_ATTEMPTS):
            counts, used = _snapshot(database, folder)
            missing = _copy_files(store, box, used, taken)
            if missing <= _used_now(database):
                break  # else some were deleted since the snapshot: another, without them
        done = Backup(counts, len(taken), sum(taken.values()), sorted(missing))
        _add_rows(box, folder, done)
    logger.info("backup made", extra={"rows": sum(counts.values()), "files": done.files})
    return done


def restore(database: Database, store: Store, source: Path) -> Backup:
    """Fill an empty service with a backup; every byte is compared with its digest, and a failure leaves it empty.

    Raises:
        ConflictError: it is not empty.
        InvalidError: this is no backup, or one of a newer version.
        DamagedError: something in it has changed.
    """
    with bundle.reading(source) as box, TemporaryDirectory(dir=store.unfinished.parent, prefix="restoring-") as folder:
        facts = _facts(box)
        _require_empty(database, store)
        lines = _upgraded(box, facts, Path(folder)) if facts["revision"] != REVISION else _lines_of(box)
        taken: dict[str, int] = {}
        try:
            _take_files(box, store, taken)
            with database.writing() as session:
                _require_no_rows(session)
                counts = _insert(session, lines)
                absent = uploads.used_digests(session) - taken.keys() - set(facts["missing"])
                if absent:
                    raise DamagedError(f"{len(absent)} files are not in this backup. Take another.")
        except BaseException:
            for sha256 in taken:
                store.remove(sha256)
            raise
    return Backup(counts, len(taken), sum(taken.values()), facts["missing"])


def _snapshot(database: Database, folder: Path) -> tuple[dict[str, int], set[str]]:
    """Write the rows of one moment into `folder`; how many, and the digests they refer to."""
    with database.reading() as session:
        counts = {table.name: json_rows.write(session, table, folder / f"{table.name}.jsonl") for table in _tables()}
        return counts, uploads.used_digests(session)


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in _PASSING]


def _copy_files(store: Store, box: bundle.Writing, used: set[str], taken: dict[str, int]) -> set[str]:
    """Copy what is not copied yet; the digests of what could not be."""
    missing = set()
    for sha256 in sorted(used - taken.keys()):
        try:
            path = store.path(sha256)
            box.add(f"store/{sha256}", path)
            taken[sha256] = path.stat().st_size
        except (NotFoundError, DamagedError, FileNotFoundError):
            missing.add(sha256)
    return missing


def _used_now(database: Database) -> set[str]:
    with database.reading() as session:
        return uploads.used_digests(session)


def _add_rows(box: bundle.Writing, folder: Path, done: Backup) -> None:
    digests = {}
    for name in done.rows:
        path = folder / f"{name}.jsonl"
        box.add(f"rows/{path.name}", path)
        digests[name] = digest_of(path)
    facts = {
        "format": FORMAT,
        "revision": REVISION,
        "version": version("loss-atlas"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": done.rows,
        "sha256": digests,
        "missing": done.missing,
    }
    path = folder / _FACTS
    path.write_text(json.dumps(facts, indent=2) + "\n")
    box.add(_FACTS, path)


def _facts(box: bundle.Reading) -> dict[str, Any]:
    """What the backup says of itself, its rows compared with their digests."""
    try:
        with box.open(_FACTS) as file:
            facts: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        raise InvalidError("This is no backup, or only a part of one.") from None
    if facts["format"] != FORMAT or facts["revision"] not in _revisions():
        raise InvalidError(
            f"The backup was made by Loss Landscape {facts['version']}, which is newer. Restore it with that one."
        )
    for name, sha256 in facts["sha256"].items():
        with box.open(f"rows/{name}.jsonl") as file:
            if digest_of(file) != sha256:
                raise DamagedError(f"The rows of {name} in this backup have changed. Take another.")
    return facts


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


def _take_files(box: bundle.Reading, store: Store, taken: dict[str, int]) -> None:
    for name in box.names():
        if name.startswith("store/"):
            sha256 = name.removeprefix("store/")
            with box.open(name) as file, store.receive() as incoming:
                while block := file.read(_BLOCK):
                    incoming.write(block)
                if incoming.finish() != sha256:
                    raise DamagedError(f"The file {sha256[:12]}… in this backup has changed. Take another.")
                incoming.commit()
                taken[sha256] = incoming.size


def _insert(session: Session, lines: Lines) -> dict[str, int]:
    """All rows; what a new database begins with goes first."""
    for table in reversed(_tables()):
        session.execute(delete(table))
    counts = {}
    for table in _tables():
        with lines(table.name) as file:
            counts[table.name] = json_rows.insert_all(session, table, file)
    return counts


def _lines_of(box: bundle.Reading) -> Lines:
    return lambda name: box.open(f"rows/{name}.jsonl")


def _upgraded(box: bundle.Reading, facts: dict[str, Any], folder: Path) -> Lines:
    """The rows of an earlier version as this one has them: put into a database of that version, which is upgraded."""
    url, old = f"sqlite:///{folder / 'old.sqlite'}", MetaData()
    engine = create_engine(url)
    with engine.begin() as connection, Session(connection) as session:
        command.upgrade(migrations.config(connection), facts["revision"])
        old.reflect(connection)
        known = [table for table in old.sorted_tables if table.name in facts["rows"]]
        for table in reversed(known):
            session.execute(delete(table))
        for table in known:
            with box.open(f"rows/{table.name}.jsonl") as file:
                json_rows.insert_all(session, table, file)
        session.flush()
    engine.dispose()
    database = Database(url)
    _snapshot(database, folder)
    database.engine.dispose()
    return lambda name: (folder / f"{name}.jsonl").open("rb")
