"""Tries to sign in, so that every process counts the same."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Keep who tried when, for a minute."""
    op.create_table(
        "tries",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("who", String(64), nullable=False),
        Column("at", BigInteger, nullable=False),
    )
    op.create_index("tries_by_who", "tries", ["who", "at"])
    op.create_index("tries_by_age", "tries", ["at"])
