"""The shipped comparisons: their checkpoints are handled like any upload, their jobs like any request.

Nothing is added twice.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from landscape.gallery import FOLDER, records

from ..database.sessions import Database
from ..database.tables import TERMINAL, Checkpoint, Job
from ..library import uploads
from ..storage.store import Store
from . import lifecycle
from .spec import AxisSpec, SubsetSpec, SurfaceGrid, SurfaceSpec


@dataclass(frozen=True)
class Comparison:
    """A grid of plots as in the paper: labeled rows and columns, shipped checkpoints in the cells."""

    name: str
    title: str
    text: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]  # names of shipped checkpoints, one row each


_ROWS = ("with shortcuts", "without shortcuts")
COMPARISONS = (
    Comparison(
        "shortcuts",
        "Residual against plain, by depth",
        "The same network with and without its shortcuts, shallow and deep, as in Figure 5 of the paper.",
        _ROWS,
        ("ResNet-20", "ResNet-56"),
        (("resnet20-w8-skip", "resnet56-w8-skip"), ("resnet20-w8-plain", "resnet56-w8-plain")),
    ),
    Comparison(
        "widths",
        "Wide against narrow",
        "ResNet-56 at three widths, with and without its shortcuts, as in Figure 6 of the paper.",
        _ROWS,
        ("width 4", "width 8", "width 16"),
        (
            ("resnet56-w4-skip", "resnet56-w8-skip", "resnet56-w16-skip"),
            ("resnet56-w4-plain", "resnet56-w8-plain", "resnet56-w16-plain"),
        ),
    ),
)
# Pairs in the order a visitor should see them; the next pair starts when one is done, so that each is complete early.
_PAIRS = (
    ("resnet56-w8-skip", "resnet56-w8-plain"),
    ("resnet20-w8-skip", "resnet20-w8-plain"),
    ("resnet56-w4-skip", "resnet56-w4-plain"),
    ("resnet56-w16-skip", "resnet56-w16-plain"),
)


def add_checkpoints(database: Database, store: Store) -> None:
    """Add the shipped checkpoints that are missing.

    Raises as `Store.copy_in`, `Store.require` and `Database.writing`.
    """
    known = records()
    for name in (name for pair in _PAIRS for name in pair):
        with database.reading() as session:
            if _checkpoint(session, name) is not None:
                continue
        path = FOLDER / known[name]["file"]
        sha256, size = store.copy_in(path), path.stat().st_size
        with database.writing() as session:
            if _checkpoint(session, name) is None:
                uploads.add_checkpoint(session, name=path.name, sha256=sha256, size=size, gallery=name)
                store.require(sha256)


def add_next_jobs(database: Database) -> bool:
    """Submit the surfaces of the next pair, once its checkpoints are read and the previous pair is finished.

    Returns:
        Whether every pair has been submitted.

    Raises:
        InvalidError: a shipped checkpoint cannot be used, as `submit` says.
        BusyError: another program keeps the database locked.
    """
    with database.writing() as session:
        for pair in _PAIRS:
            jobs = {name: _job(session, name) for name in pair}
            for name in [name for name, job in jobs.items() if job is None]:
                checkpoint = _checkpoint(session, name)
                if checkpoint is not None and checkpoint.state == "ready":
                    jobs[name] = lifecycle.submit(session, _spec(checkpoint.id), gallery=name)
            if any(job is None or job.state not in TERMINAL for job in jobs.values()):
                return False
    return True


def _spec(checkpoint_id: str) -> SurfaceSpec:
    axis = AxisSpec(count=25)
    return SurfaceSpec(checkpoint=checkpoint_id, subset=SubsetSpec(count=1000), grid=SurfaceGrid(alpha=axis, beta=axis))


def comparisons(session: Session) -> list[dict[str, Any]]:
    """The comparisons with the ids of their checkpoints and jobs; empty if none were added."""
    known = records()
    found = []
    for comparison in COMPARISONS:
        cells = [[_cell(session, name, known[name]) for name in row] for row in comparison.cells]
        if any(cell["checkpoint"] for row in cells for cell in row):
            found.append({**vars(comparison), "cells": cells})
    return found


def _cell(session: Session, name: str, record: dict[str, Any]) -> dict[str, Any]:
    checkpoint, job = _checkpoint(session, name), _job(session, name)
    return {"checkpoint": checkpoint and checkpoint.id, "job": job and job.id, "record": record}


def _checkpoint(session: Session, name: str) -> Checkpoint | None:
    return session.scalar(select(Checkpoint).where(Checkpoint.gallery == name).limit(1))


def _job(session: Session, name: str) -> Job | None:
    """The newest job of a shipped checkpoint; a retry replaces the job that failed."""
    return session.scalar(select(Job).where(Job.gallery == name).order_by(Job.created.desc()).limit(1))
