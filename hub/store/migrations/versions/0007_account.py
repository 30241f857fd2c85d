"""Who received what, who signs in by which identity, who acts for whom, and which command a link is of."""

from alembic import op
from sqlalchemy import BigInteger, Column, String, Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Keep deliveries of personal data, identities of providers, sign-ins under way, and mandates."""
    op.create_table(
        "disclosures",
        Column("id", String(36), primary_key=True),
        Column("citizen", String(36), nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("recipient", String(80), nullable=False),
        Column("purpose", String(40), nullable=False),
        Column("what", Text, nullable=False),
    )
    op.create_index("disclosures_by_citizen", "disclosures", ["citizen", "at"])
    op.create_table(
        "identities",
        Column("provider", String(40), primary_key=True),
        Column("sub_hash", String(64), primary_key=True),
        Column("citizen", String(36), nullable=False),
        Column("since", BigInteger, nullable=False),
    )
    op.create_index("identities_by_citizen", "identities", ["citizen"])
    op.create_table(
        "sign_ins",
        Column("state_hash", String(64), primary_key=True),
        Column("provider", String(40), nullable=False),
        Column("nonce", String(80), nullable=False),
        Column("verifier", String(128), nullable=False),
        Column("citizen", String(36)),
        Column("expires_at", BigInteger, nullable=False),
    )
    op.create_table(
        "mandates",
        Column("id", String(36), primary_key=True),
        Column("citizen", String(36), nullable=False),
        Column("agent", String(80), nullable=False),
        Column("reason", String(20), nullable=False),
        Column("since", BigInteger, nullable=False),
        Column("until", String(10), nullable=False),
        Column("ended_at", BigInteger),
        Column("ended_by", String(10)),
    )
    op.create_index("mandates_by_citizen", "mandates", ["citizen"])
    op.create_index("mandates_by_agent", "mandates", ["agent"])
    op.create_index("links_by_opening", "links", ["opened_by"])
    op.create_index("links_by_end", "links", ["closed_by"])
