"""Where an event came from, and ranges that were told again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the raw partition to entries, and the table of replays."""
    op.add_column("entries", sa.Column("raw_partition", sa.Integer(), nullable=False, server_default="-1"))
    op.create_index("entries_by_address", "entries", ["product", "seq_epoch", "raw_partition", "seq_offset"])
    op.create_table(
        "replays",
        sa.Column("product", sa.String(60), primary_key=True),
        sa.Column("epoch", sa.Integer(), primary_key=True),
        sa.Column("raw_partition", sa.Integer(), primary_key=True),
        sa.Column("domain", sa.String(60), primary_key=True),
        sa.Column("event_partition", sa.Integer(), primary_key=True),
        sa.Column("first", sa.BigInteger(), primary_key=True),
        sa.Column("end", sa.BigInteger(), primary_key=True),
        sa.Column("rev", sa.Integer(), nullable=False),
    )
