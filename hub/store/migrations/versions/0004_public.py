"""Entries of the town among millions of its residents'."""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Let every account read what is public without looking at what is not."""
    public = text("audience = 'public'")
    op.create_index("entries_public", "entries", ["type", "subject"], sqlite_where=public, postgresql_where=public)
