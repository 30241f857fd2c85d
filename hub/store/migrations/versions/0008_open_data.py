"""What open data was told, so that a later publication is never more than a part of it."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Remember told periods, days of traffic, changes of datasets and publications; let facts name a day."""
    with op.batch_alter_table("facts") as facts:
        for column, length in (("period", 10), ("place", 200), ("kind", 200)):
            facts.alter_column(column, type_=String(length), existing_nullable=False)
    # Counts of a year are read from the index alone.
    op.drop_index("facts_by_period", "facts")
    op.create_index("facts_by_cell", "facts", ["fact", "period", "place", "kind"])
    op.create_table(
        "told",
        Column("dataset", String(60), primary_key=True),
        Column("period", String(10), primary_key=True),
        Column("cells", Text, nullable=False),
        Column("told_at", BigInteger, nullable=False),
    )
    op.create_table(
        "traffic",
        Column("day", String(10), primary_key=True),
        Column("domain", String(60), primary_key=True),
        Column("events", BigInteger, nullable=False),
    )
    op.create_table(
        "dataset_changes",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("dataset", String(60), nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        Column("added", Integer, nullable=False),
        Column("removed", Integer, nullable=False),
        Column("changed", Integer, nullable=False),
        Column("sha256", String(64), nullable=False),
    )
    op.create_index("dataset_changes_by_dataset", "dataset_changes", ["dataset", "id"])
    op.create_table(
        "publications",
        Column("portal", String(20), primary_key=True),
        Column("dataset", String(60), primary_key=True),
        Column("sha256", String(64), nullable=False),
        Column("state", String(10), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("next_at", BigInteger, nullable=False),
        Column("done_at", BigInteger),
        Column("code", String(40)),
    )
