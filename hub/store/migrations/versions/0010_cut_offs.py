"""Cut-offs of what is told."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Say of a row by when it is meant to be told, where that is before it is of no use."""
    op.add_column("outbox", sa.Column("cut_off", sa.BigInteger()))
