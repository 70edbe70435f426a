"""Owners and fair queueing, runs of points, digests of values, job logs, counters, access, resumable uploads.

Keeps every job of the first schema, finished or not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the first schema to this one, and convert the rows."""
    _make_tables()
    for table in ("checkpoints", "datasets", "jobs"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("owner", sa.String))
            batch.create_index(f"ix_{table}_owner", ["owner"])
            if table == "jobs":
                batch.add_column(sa.Column("device", sa.String))
                batch.drop_index("ix_jobs_created")
                batch.drop_index("ix_jobs_state")
                batch.create_index("jobs_by_age", ["created", "id", "owner", "kind"])
                batch.create_index("jobs_by_state", ["state", "created", "id", "owner", "kind"])
            else:
                batch.alter_column("size", existing_type=sa.Integer, type_=sa.BigInteger, existing_nullable=False)
    _recreate_workers()
    op.drop_index("tiles_by_turn", "tiles")
    with op.batch_alter_table("tiles") as batch:
        batch.add_column(sa.Column("owner", sa.String))
        batch.add_column(sa.Column("count", sa.Integer))
        batch.add_column(sa.Column("turn", sa.Integer))
        batch.add_column(sa.Column("device", sa.String))
        batch.add_column(sa.Column("worker", sa.String))
        batch.add_column(sa.Column("sha256", sa.String))
        batch.add_column(sa.Column("seconds", sa.Double))
    _fill_tiles()
    with op.batch_alter_table("tiles") as batch:
        batch.alter_column("owner", existing_type=sa.String, nullable=False)
        batch.alter_column("count", existing_type=sa.Integer, nullable=False)
        batch.alter_column("turn", existing_type=sa.Integer, nullable=False)
        batch.create_foreign_key("tiles_owner_fkey", "turns", ["owner"], ["owner"])
    op.create_index("tiles_by_turn", "tiles", ["state", "level", "owner", "turn", "id"])
    op.create_index("tiles_by_state", "tiles", ["job_id", "state", "level"])


def _fill_tiles() -> None:
    """Existing tiles have no owner; those that wait keep their points and their order."""
    op.execute("INSERT INTO turns (owner, served) VALUES ('', 0)")
    op.execute("UPDATE tiles SET owner = '', count = json_array_length(points), turn = rank")
    op.execute("UPDATE tiles SET level = -1 WHERE purpose IN ('read', 'read-data')")
    op.execute("UPDATE tiles SET level = 0, rank = -1 WHERE purpose = 'prepare'")


def _recreate_workers() -> None:
    """Without data: workers write their own rows every few seconds."""
    op.drop_table("workers")
    op.create_table(
        "workers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("busy_since", sa.Double),
        sa.Column("memory", sa.BigInteger),
        sa.Column("device_memory", sa.BigInteger),
    )


def _make_tables() -> None:
    op.create_table(
        "turns",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("served", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "log_lines",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "counts",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("label", sa.String, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
    )
    op.create_table(
        "access",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("owner", sa.String, nullable=False, index=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE")),
        sa.Column("parent", sa.String, sa.ForeignKey("access.id", ondelete="CASCADE")),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("used", sa.Double),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, index=True),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
    )
