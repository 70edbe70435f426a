"""When a tile may be tried again, how far preparing is, bytes of sanitized files, the digest of a finished result."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; rows keep their values, and sanitized files count as their uploads until they are read again."""
    with op.batch_alter_table("tiles") as batch:
        batch.add_column(sa.Column("not_before", sa.Double))
    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("preparing", sa.JSON))
        batch.add_column(sa.Column("values_sha256", sa.String))
    for table in ("checkpoints", "datasets"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("sanitized_size", sa.BigInteger, nullable=False, server_default="0"))
