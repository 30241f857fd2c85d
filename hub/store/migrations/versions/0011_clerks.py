"""Who gave an order about links at a desk."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Keep the desk's name beside its command; empty where the citizen gave it, and for what came before."""
    op.add_column("commands", sa.Column("clerk", sa.String(80), nullable=False, server_default=""))
