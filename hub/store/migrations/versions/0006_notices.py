"""Notices that wait, lanes of the outbox, and what goes to somebody no more."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Say of each row how urgent it is, until when it is of use, and whether somebody may have begun to send it."""
    op.add_column("preferences", sa.Column("phone", sa.String(20)))
    op.add_column("preferences", sa.Column("channel", sa.String(10), nullable=False, server_default="mail"))
    op.add_column("preferences", sa.Column("digest", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("outbox", sa.Column("urgency", sa.String(10), nullable=False, server_default="normal"))
    op.add_column("outbox", sa.Column("until", sa.BigInteger()))
    op.add_column("outbox", sa.Column("due_at", sa.BigInteger()))
    op.add_column("outbox", sa.Column("digest", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("outbox", sa.Column("begun_at", sa.BigInteger()))
    op.create_index("outbox_lanes", "outbox", ["channel", "state", "urgency", "position"])
    op.create_index("outbox_waiting", "outbox", ["state", "due_at"])
    op.create_index("outbox_by_citizen", "outbox", ["citizen", "created_at"])
    op.create_table(
        "stopped",
        sa.Column("citizen", sa.String(36), primary_key=True),
        sa.Column("channel", sa.String(10), primary_key=True),
        sa.Column("topic", sa.String(40), primary_key=True),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("address_hash", sa.String(64)),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
