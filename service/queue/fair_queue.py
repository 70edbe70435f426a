"""Fair queueing: the order of waiting tiles between users and between jobs, and tiles cut from runs of points.

Only the order is kept here; leases.py decides which user is served.

A tile's place in the queue is `turn`, a number that grows by one with every tile taken, within one user and one level.
New work goes to the end, so waiting jobs get tiles in turn. The first points of a prepared job take the place of its
`prepare` tile: of a thousand new jobs, the first one shows a picture before the last one is prepared.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from landscape.grid import Grid, Point

from ..database.tables import Job, Tile, Turn, grid_of

READ_LEVEL, PREPARE_LEVEL = -1, 0  # preparing a job is the first part of its first picture
PREPARE_RANK = -1


def enqueue(session: Session, *, owner: str | None, level: int, turn: int | None = None, **columns: object) -> None:
    """Add a waiting tile: at the end of the queue of its owner and level, unless its `turn` is given."""
    name = owner or ""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(Turn).values(owner=name, served=0).on_conflict_do_nothing())
    last = select(func.max(Tile.turn)).where(Tile.state == "waiting", Tile.level == level, Tile.owner == name)
    place = (session.scalar(last) or 0) + 1 if turn is None else turn
    session.add(Tile(owner=name, level=level, turn=place, **columns))
    session.flush()


def enqueue_preparing(session: Session, job: Job) -> None:
    """Add the tile that prepares a job."""
    enqueue(session, owner=job.owner, level=PREPARE_LEVEL, rank=PREPARE_RANK, purpose="prepare", job_id=job.id)


def enqueue_points(session: Session, job: Job, *, computed: Collection[Point] = (), turn: int | None = None) -> None:
    """Add every point of the job that is not computed, in runs; those of the first level at `turn` if given."""
    for level, points in enumerate(levels(grid_of(job))):
        for first, count in _missing_runs(points, computed):
            place = turn if level == PREPARE_LEVEL else None
            what = {"purpose": "points", "job_id": job.id, "rank": first, "count": count, "device": job.device}
            enqueue(session, owner=job.owner, level=level, turn=place, **what)


def _missing_runs(points: list[Point], computed: Collection[Point]) -> Iterator[tuple[int, int]]:
    """Runs of a level without a computed point: index of the first, length."""
    if not computed:
        yield 0, len(points)
        return
    first = None
    for index, point in enumerate([*points, None]):
        missing = point is not None and point not in computed
        if missing and first is None:
            first = index
        elif not missing and first is not None:
            yield first, index - first
            first = None


def cut_tile(session: Session, run: Tile, job: Job, size: int) -> Tile:
    """A tile of the first `size` points of a run, or of all its points if there are no more."""
    points = levels(grid_of(job))[run.level][run.rank : run.rank + min(size, run.count)]
    if run.count <= size:
        run.points = [list(point) for point in points]
        return run
    first, run.rank, run.count, run.turn = run.rank, run.rank + size, run.count - size, run.turn + 1
    session.flush()  # frees the rank that the tile takes
    tile = Tile(
        purpose=run.purpose,
        job_id=run.job_id,
        owner=run.owner,
        level=run.level,
        rank=first,
        count=size,
        points=[list(point) for point in points],
        turn=run.turn - 1,
        device=run.device,
        attempts=run.attempts,
    )
    session.add(tile)
    return tile


@lru_cache(maxsize=4)
def levels(grid: Grid) -> list[list[Point]]:
    """`grid.levels()`, cached: 0.2 s for 501 × 501 points, and every tile needs it."""
    return grid.levels()
