"""`landscape backup`, `restore` and `clean`: work on database and store directly, also while the service runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscape.errors import LandscapeError

from .common import Data, report, settings_from, with_clear_errors

if TYPE_CHECKING:
    from ..database.sessions import Database
    from ..settings import Settings
    from ..storage.store import Store

Target = Annotated[Path, typer.Argument(help="A file whose name ends with .tar, or a folder.")]


def backup(target: Target, data: Data = None) -> None:
    """Back up everything that a service stores, also while it runs.

    landscape backup library.tar

    landscape backup --data /srv/landscape /backups/monday
    """
    from ..maintenance.backup import backup

    with with_clear_errors():
        _, database, store = _open(data)
        made = backup(database, store, target)
    report(f"{sum(made.rows.values())} rows and {made.files} files ({made.size} bytes) are in {target}.")
    if made.missing:
        digests = ", ".join(one[:12] for one in made.missing)
        raise LandscapeError(
            f"{len(made.missing)} stored files are damaged or missing and are not in this backup ({digests}). "
            "Upload them again; everything else was saved."
        )


def restore(source: Target, data: Data = None) -> None:
    """Restore a backup, of this version or an earlier one, into a new, empty service.

    landscape restore library.tar --data new-folder
    """
    from ..maintenance.backup import restore

    with with_clear_errors():
        _, database, store = _open(data)
        done = restore(database, store, source)
    report(
        f"{sum(done.rows.values())} rows and {done.files} files ({done.size} bytes) are restored; every digest matches."
    )


def clean(
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove unreferenced files, expired uploads, and what is older than the settings allow.

    A running service does this by itself every minute.

    landscape clean --dry-run
    """
    from ..maintenance.garbage import clean

    with with_clear_errors():
        settings, database, store = _open(data)
        removed = clean(database, store, settings, dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    found = {"unreferenced files": removed.files, "unfinished uploads": removed.uploads, "finished jobs": removed.jobs}
    found |= {"unused checkpoints": removed.checkpoints, "unused data sets": removed.datasets}
    for what, ids in found.items():
        size = f" ({removed.size} bytes)" if ids is removed.files and ids else ""
        report(f"{len(ids):6} {what}{size} {verb}")


def _open(data: Path | None) -> "tuple[Settings, Database, Store]":
    """Settings, database and store of the service that the environment and the options name."""
    from ..data_folder import open_data_folder
    from ..database.sessions import Database
    from ..storage.open import open_store

    settings = settings_from(data=data)
    open_data_folder(settings)
    return settings, Database(settings.database_url), open_store(settings)
