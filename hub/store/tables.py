"""The tables.  Moments are UTC milliseconds; days are ISO text; JSON is text."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("subject", String(200), nullable=False),
    Column("type", String(120), nullable=False),
    Column("product", String(60), nullable=False),
    Column("audience", String(10), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("read_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("seq_epoch", Integer, nullable=False),
    Column("seq_offset", BigInteger, nullable=False),
    Column("seq_index", Integer, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("raw_partition", Integer, nullable=False, server_default="-1"),
    Index("entries_by_address", "product", "seq_epoch", "raw_partition", "seq_offset"),
    Index("entries_by_subject", "subject", "seq_epoch", "seq_offset", "seq_index"),
    Index("entries_by_type", "type", "seq_epoch", "seq_offset", "seq_index"),
    # Few among millions; it serves only those who write the word itself into their statement.
    Index(
        "entries_public",
        "type",
        "subject",
        sqlite_where=text("audience = 'public'"),
        postgresql_where=text("audience = 'public'"),
    ),
)

commands = Table(
    "commands",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("type", String(120), nullable=False),
    Column("citizen", String(36), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("about", String(200), nullable=False),
    Column("product", String(60), nullable=False),
    Column("read_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("result", String(20), nullable=False),
    Column("clerk", String(80), nullable=False, server_default=""),
    Index("commands_by_citizen", "citizen"),
)

links = Table(
    "links",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(200), nullable=False),
    Column("citizen", String(36), nullable=False),
    Column("role", String(20), nullable=False),
    Column("scope", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", String(10)),
    Column("opened_by", String(36), nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_by", String(36)),
    Index(
        "links_open",
        "subject",
        "citizen",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("links_by_citizen", "citizen"),
    Index("links_by_opening", "opened_by"),
    Index("links_by_end", "closed_by"),
)

proposals = Table(
    "proposals",
    metadata,
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
    Index("proposals_by_state", "state", "asked_at"),
    Index("proposals_by_citizen", "citizen"),
)

subject_versions = Table(
    "subject_versions",
    metadata,
    Column("subject", String(200), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

preferences = Table(
    "preferences",
    metadata,
    Column("citizen", String(36), primary_key=True),
    Column("email", String(254)),
    Column("topics", Text, nullable=False),
    Column("language", String(8), nullable=False),
    Column("seq_epoch", Integer, nullable=False),
    Column("seq_offset", BigInteger, nullable=False),
    Column("phone", String(20)),
    Column("channel", String(10), nullable=False, server_default="mail"),
    Column("digest", Boolean, nullable=False, server_default=false()),
)

stopped = Table(
    "stopped",
    metadata,
    Column("citizen", String(36), primary_key=True),
    Column("channel", String(10), primary_key=True),
    Column("topic", String(40), primary_key=True),
    Column("reason", String(20), nullable=False),
    Column("address_hash", String(64)),
    Column("at", BigInteger, nullable=False),
)

interest = Table(
    "interest",
    metadata,
    Column("citizen", String(36), primary_key=True),
    Column("line", String(60), primary_key=True),
    Index("interest_by_line", "line"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("channel", String(20), nullable=False),
    Column("topic", String(40), nullable=False),
    Column("citizen", String(36)),
    Column("subject", String(200), nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("code", String(40)),
    Column("urgency", String(10), nullable=False, server_default="normal"),
    Column("until", BigInteger),
    Column("due_at", BigInteger),
    Column("digest", Boolean, nullable=False, server_default=false()),
    Column("begun_at", BigInteger),
    Column("cut_off", BigInteger),
    Index("outbox_due", "channel", "state", "position"),
    Index("outbox_lanes", "channel", "state", "urgency", "position"),
    Index("outbox_waiting", "state", "due_at"),
    Index("outbox_by_citizen", "citizen", "created_at"),
)

replays = Table(
    "replays",
    metadata,
    Column("product", String(60), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("raw_partition", Integer, primary_key=True),
    Column("domain", String(60), primary_key=True),
    Column("event_partition", Integer, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("end", BigInteger, primary_key=True),
    Column("rev", Integer, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("fact", String(20), nullable=False),
    Column("period", String(10), nullable=False),
    Column("place", String(200), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("rev", Integer, nullable=False),
    Index("facts_by_cell", "fact", "period", "place", "kind"),
)

sources = Table(
    "sources",
    metadata,
    Column("product", String(60), primary_key=True),
    Column("known_at", BigInteger, nullable=False),
)

logins = Table(
    "logins",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("citizen", String(36), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used", Boolean, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("citizen", String(36), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

told = Table(
    "told",
    metadata,
    Column("dataset", String(60), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("cells", Text, nullable=False),
    Column("told_at", BigInteger, nullable=False),
)

traffic = Table(
    "traffic",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("domain", String(60), primary_key=True),
    Column("events", BigInteger, nullable=False),
)

dataset_changes = Table(
    "dataset_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dataset", String(60), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Index("dataset_changes_by_dataset", "dataset", "id"),
)

publications = Table(
    "publications",
    metadata,
    Column("portal", String(20), primary_key=True),
    Column("dataset", String(60), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("code", String(40)),
)

disclosures = Table(
    "disclosures",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("citizen", String(36), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("recipient", String(80), nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("what", Text, nullable=False),
    Index("disclosures_by_citizen", "citizen", "at"),
)

identities = Table(
    "identities",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("sub_hash", String(64), primary_key=True),
    Column("citizen", String(36), nullable=False),
    Column("since", BigInteger, nullable=False),
    Index("identities_by_citizen", "citizen"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("nonce", String(80), nullable=False),
    Column("verifier", String(128), nullable=False),
    Column("citizen", String(36)),
    Column("expires_at", BigInteger, nullable=False),
)

tries = Table(
    "tries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("who", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("tries_by_who", "who", "at"),
    Index("tries_by_age", "at"),
)

mandates = Table(
    "mandates",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("citizen", String(36), nullable=False),
    Column("agent", String(80), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", String(10), nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(10)),
    Index("mandates_by_citizen", "citizen"),
    Index("mandates_by_agent", "agent"),
)
