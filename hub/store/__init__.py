"""What is read: entries, links, outbox, facts, in SQLite or PostgreSQL by the same statements."""

from hub.store.store import Applied, Erased, Reach, Refused, Row, Store

__all__ = ["Applied", "Erased", "Reach", "Refused", "Row", "Store"]
