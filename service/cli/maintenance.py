"""Commands of `landscape` that look after what a service keeps: backup, restore, clean.

Imports typer; what a command needs is imported when it runs. Never starts or stops a service.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscape.errors import LandscapeError

from .common import Data, settings_from, with_clear_errors

if TYPE_CHECKING:
    from ..database.sessions import Database
    from ..settings import Settings
    from ..storage.store import Store

Target = Annotated[Path, typer.Argument(help="A file whose name ends with .tar, or a folder.")]


def backup(target: Target, data: Data = None) -> None:
    """Copy everything a service keeps, as of this moment, while it runs.

    landscape backup library.tar

    landscape backup --data /srv/landscape /backups/monday
    """
    from ..maintenance.backup import backup

    with with_clear_errors():
        _, database, store = _open(data)
        made = backup(database, store, target)
    print(f"{sum(made.rows.values())} rows and {made.files} files ({made.size} bytes) are in {target}.")
    if made.missing:
        digests = ", ".join(one[:12] for one in made.missing)
        raise LandscapeError(
            f"{len(made.missing)} stored files are damaged or gone and are not in this backup ({digests}). "
            "Upload them again; everything else was saved."
        )


def restore(source: Target, data: Data = None) -> None:
    """Fill a new, empty service with a backup, of this version or an earlier one.

    landscape restore library.tar --data new-folder
    """
    from ..maintenance.backup import restore

    with with_clear_errors():
        _, database, store = _open(data)
        done = restore(database, store, source)
    print(f"{sum(done.rows.values())} rows and {done.files} files ({done.size} bytes) are back, every digest right.")


def clean(
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
) -> None:
    """Remove what nothing refers to, uploads nobody finished, and what the settings say is too old.

    A running service does this by itself every minute.

    landscape clean --dry-run
    """
    from ..maintenance.garbage import clean

    with with_clear_errors():
        settings, database, store = _open(data)
        gone = clean(database, store, settings, dry_run=dry_run)
    word = "would go" if dry_run else "went"
    counts = {"files nothing refers to": gone.files, "unfinished uploads": gone.uploads, "finished jobs": gone.jobs}
    counts |= {"unused checkpoints": gone.checkpoints, "unused data sets": gone.datasets}
    for what, ids in counts.items():
        size = f" ({gone.size} bytes)" if ids is gone.files and ids else ""
        print(f"{len(ids):6} {what}{size} {word}")


def _open(data: Path | None) -> "tuple[Settings, Database, Store]":
    """Settings, database and store of the service that this shell's environment and options name."""
    from ..database.sessions import Database
    from ..storage.open import open_store

    settings = settings_from(data=data)
    settings.data.mkdir(parents=True, exist_ok=True)
    return settings, Database(settings.database_url), open_store(settings)
