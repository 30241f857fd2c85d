"""Tries to sign in, by whoever makes them: counted where every process of the web role sees them."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text

from hub.store import tables as t
from hub.store.store import Store


class TriesMade:
    """Remembers a try for as long as it counts, with a hash of who made it."""

    def __init__(self, store: Store) -> None:
        """Share the store's database."""
        self._store = store

    def make(self, who: str, now: datetime, most: int, seconds: float) -> float:
        """Count a try; return how many seconds to wait when there were too many, 0 when it was counted."""
        moment, name = int(now.timestamp() * 1000), hashlib.sha256(who.encode()).hexdigest()
        c = t.tries.c
        with self._store.transaction(write=True) as connection:
            if connection.dialect.name == "postgresql":
                # Two at once would not see each other; SQLite lets one write at a time anyway.
                connection.execute(text("SELECT pg_advisory_xact_lock(7392, hashtext(:name))"), {"name": name})
            connection.execute(delete(t.tries).where(c.at <= moment - int(seconds * 1000)))
            made, first = connection.execute(select(func.count(), func.min(c.at)).where(c.who == name)).one()
            if made >= most:
                return float(first / 1000 + seconds - moment / 1000)
            connection.execute(insert(t.tries).values(who=name, at=moment))
        return 0.0
