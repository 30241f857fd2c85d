"""The first tables."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them, as they were at this revision."""
    from hub.store.tables import metadata

    metadata.create_all(op.get_bind())
