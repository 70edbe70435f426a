"""The line: what waits is put at its end here, and tiles are cut off the runs of points that wait in it.

Imports tables and landscape.grid; no torch. Never decides who is served: queue.py does.

A place in line is `turn`, a number that grows by one with every tile taken, within one user and one level. Whatever is
new goes to the end, so every job in the line gets a tile for every tile of another, and of a thousand jobs that wait
to be prepared one is, whenever each of those before it has had its turn: the first pictures come first.
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
    """Add a tile that waits: at the end of the line of its owner and level, unless its place is given."""
    name = owner or ""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(Turn).values(owner=name, served=0).on_conflict_do_nothing())
    line = select(func.max(Tile.turn)).where(Tile.state == "waiting", Tile.level == level, Tile.owner == name)
    place = (session.scalar(line) or 0) + 1 if turn is None else turn
    session.add(Tile(owner=name, level=level, turn=place, **columns))
    session.flush()


def enqueue_preparing(session: Session, job: Job) -> None:
    """Have a job prepared when its turn comes."""
    enqueue(session, owner=job.owner, level=PREPARE_LEVEL, rank=PREPARE_RANK, purpose="prepare", job_id=job.id)


def enqueue_points(session: Session, job: Job, *, computed: Collection[Point] = (), turn: int | None = None) -> None:
    """Every point of the job that is not computed, in runs; those of the first level at `turn`."""
    for level, points in enumerate(levels(grid_of(job))):
        for first, count in _gaps(points, computed):
            place = turn if level == PREPARE_LEVEL else None
            what = {"purpose": "points", "job_id": job.id, "rank": first, "count": count, "device": job.device}
            enqueue(session, owner=job.owner, level=level, turn=place, **what)


def _gaps(points: list[Point], computed: Collection[Point]) -> Iterator[tuple[int, int]]:
    """Stretches of a level without a computed point: index of the first, length."""
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


def cut(session: Session, run: Tile, job: Job, size: int) -> Tile:
    """A tile of `size` points off the front of a run; the whole run where it holds no more."""
    points = levels(grid_of(job))[run.level][run.rank : run.rank + min(size, run.count)]
    if run.count <= size:
        run.points = [list(point) for point in points]
        return run
    first, run.rank, run.count, run.turn = run.rank, run.rank + size, run.count - size, run.turn + 1
    session.flush()  # the run leaves the place that the tile takes
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
    """`grid.levels()`, kept: 0.2 s for 501 × 501 points, and every tile asks."""
    return grid.levels()
