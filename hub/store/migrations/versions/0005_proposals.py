"""Links that wait for a clerk."""

from alembic import op
from sqlalchemy import BigInteger, Column, String, Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Keep what is proposed, with what there is to decide by, and what was decided."""
    op.create_table(
        "proposals",
        Column("id", String(36), primary_key=True),
        Column("subject", String(200), nullable=False),
        Column("citizen", String(36), nullable=False),
        Column("role", String(20), nullable=False),
        Column("scope", Text, nullable=False),
        Column("until", String(10)),
        Column("evidence", Text, nullable=False),
        Column("asked_at", BigInteger, nullable=False),
        Column("state", String(10), nullable=False),
        Column("reason", String(20)),
        Column("decided_at", BigInteger),
        Column("decided_by", String(80)),
    )
    op.create_index("proposals_by_state", "proposals", ["state", "asked_at"])
    op.create_index("proposals_by_citizen", "proposals", ["citizen"])
