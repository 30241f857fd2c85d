"""How far each product is known, kept as it becomes known; and who commanded what."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Let the newest event count beside the last good poll, and find a citizen's commands without reading all."""
    op.execute("ALTER TABLE sources RENAME COLUMN last_good_poll_at TO known_at")
    op.execute(
        "INSERT INTO sources (product, known_at) SELECT product, max(read_at) FROM entries"
        " WHERE product NOT IN (SELECT product FROM sources) GROUP BY product"
    )
    op.create_index("commands_by_citizen", "commands", ["citizen"])
