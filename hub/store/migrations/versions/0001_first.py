"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them, as they were at this revision: later changes of the tables are revisions of their own."""
    op.create_table(
        "entries",
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("type", sa.String(120), nullable=False),
        sa.Column("product", sa.String(60), nullable=False),
        sa.Column("audience", sa.String(10), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("seq_epoch", sa.Integer(), nullable=False),
        sa.Column("seq_offset", sa.BigInteger(), nullable=False),
        sa.Column("seq_index", sa.Integer(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
    )
    op.create_index("entries_by_subject", "entries", ["subject", "seq_epoch", "seq_offset", "seq_index"])
    op.create_index("entries_by_type", "entries", ["type", "seq_epoch", "seq_offset", "seq_index"])
    op.create_table(
        "commands",
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("type", sa.String(120), nullable=False),
        sa.Column("citizen", sa.String(36), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("about", sa.String(200), nullable=False),
        sa.Column("product", sa.String(60), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.String(20), nullable=False),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("citizen", sa.String(36), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.String(10)),
        sa.Column("opened_by", sa.String(36), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("closed_by", sa.String(36)),
    )
    op.create_index("links_by_citizen", "links", ["citizen"])
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "links_open", "links", ["subject", "citizen"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "subject_versions",
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "preferences",
        sa.Column("citizen", sa.String(36), primary_key=True),
        sa.Column("email", sa.String(254)),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("seq_epoch", sa.Integer(), nullable=False),
        sa.Column("seq_offset", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "interest",
        sa.Column("citizen", sa.String(36), primary_key=True),
        sa.Column("line", sa.String(60), primary_key=True),
    )
    op.create_index("interest_by_line", "interest", ["line"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("topic", sa.String(40), nullable=False),
        sa.Column("citizen", sa.String(36)),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("code", sa.String(40)),
    )
    op.create_index("outbox_due", "outbox", ["channel", "state", "position"])
    op.create_table(
        "facts",
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("fact", sa.String(20), nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("place", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
    )
    op.create_index("facts_by_period", "facts", ["fact", "period"])
    op.create_table(
        "sources",
        sa.Column("product", sa.String(60), primary_key=True),
        sa.Column("last_good_poll_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("citizen", sa.String(36), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("citizen", sa.String(36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
