"""Requests of before keep their meaning: every parameter with two axes or more had filters, scales too."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KINDS = ("slice", "surface", "curvature")
JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("kind", sa.String), sa.column("spec", sa.JSON))


def upgrade() -> None:
    """Write the option that was not there; new requests have another default."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(JOBS.c.id, JOBS.c.spec).where(JOBS.c.kind.in_(KINDS))).all()
    for id, spec in rows:
        older = {"filters": "axes", **spec}
        connection.execute(sa.update(JOBS).where(JOBS.c.id == id).values(spec=older))
