"""Checkpoints, data sets, jobs, tiles, workers: the schema of the releases before Alembic. Do not change it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of the first schema."""
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("weights_sha256", sa.String),
        sa.Column("candidates", sa.JSON, nullable=False),
        sa.Column("architecture", sa.JSON),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("gallery", sa.String),
        sa.Column("created", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, index=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("data_sha256", sa.String),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("created", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("checkpoint", sa.JSON, nullable=False),
        sa.Column("checkpoint_id", sa.String, nullable=False, index=True),
        sa.Column("gallery", sa.String),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("error", sa.String),
        sa.Column("provenance", sa.JSON),
        sa.Column("grid", sa.JSON),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("points_per_tile", sa.Integer, nullable=False),
        sa.Column("points_done", sa.Integer, nullable=False),
        sa.Column("tiles_done", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False, index=True),
        sa.Column("started", sa.Double),
        sa.Column("finished", sa.Double),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
    )
    op.create_table(
        "tiles",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("checkpoint_id", sa.String, sa.ForeignKey("checkpoints.id", ondelete="CASCADE")),
        sa.Column("dataset_id", sa.String, sa.ForeignKey("datasets.id", ondelete="CASCADE")),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE")),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("points", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("lease", sa.String),
        sa.Column("leased_until", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("values", sa.LargeBinary),
        sa.Column("sequence", sa.Integer),
        sa.Column("finished", sa.Double),
        sa.UniqueConstraint("job_id", "level", "rank"),
        sa.Index("tiles_by_turn", "state", "level", "rank"),
        sa.Index("tiles_by_sequence", "job_id", "sequence"),
    )
