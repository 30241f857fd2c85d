"""Mandates: an agent may open a citizen's account, for a reason, until a day."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, insert, select, update

from hub.store import tables as t
from hub.store.store import Store

RECENT = 50
"""Mandates of a citizen, or of an agent, that are shown."""


class Mandate(NamedTuple):
    """One mandate."""

    id: str
    citizen: str
    agent: str
    """A desk, by the name of its token."""
    reason: str
    """`DIGITAL_HELP`, `GUARDIAN` or `PROXY`."""
    since: int
    until: str
    """Its last day."""
    ended_at: int | None
    ended_by: str | None
    """`citizen` or `agent`."""

    def open_on(self, day: date) -> bool:
        """Tell whether it lets somebody in on a day."""
        return self.ended_at is None and day.isoformat() <= self.until


class Mandates:
    """Keeps them in the store's database; none is ever changed but by its end."""

    def __init__(self, store: Store) -> None:
        """Share the store's database."""
        self._store = store

    def make(self, citizen: str, agent: str, reason: str, until: date, now: datetime) -> str:
        """Record a mandate and return its id."""
        name = str(uuid4())
        told = {"id": name, "citizen": citizen, "agent": agent, "reason": reason, "until": until.isoformat()}
        with self._store.transaction(write=True) as connection:
            connection.execute(insert(t.mandates).values(since=int(now.timestamp() * 1000), **told))
        return name

    def end(self, mandate: str, party: str, by: str, now: datetime) -> bool:
        """End a mandate that `party`, its citizen or its agent, has part in; tell whether it was open."""
        m = t.mandates.c
        mine = m.citizen == party if by == "citizen" else m.agent == party
        with self._store.transaction(write=True) as connection:
            ended = connection.execute(
                update(t.mandates)
                .where(m.id == mandate, mine, m.ended_at.is_(None))
                .values(ended_at=int(now.timestamp() * 1000), ended_by=by)
            )
            return bool(ended.rowcount)

    def of(self, citizen: str) -> list[Mandate]:
        """Return a citizen's mandates, ended ones too, the newest first."""
        return self._read(t.mandates.c.citizen == citizen)

    def open_of(self, citizen: str, day: date) -> list[Mandate]:
        """Return a citizen's mandates that are open on a day."""
        m = t.mandates.c
        return self._read(and_(m.citizen == citizen, m.ended_at.is_(None), m.until >= day.isoformat()))

    def by(self, agent: str) -> list[Mandate]:
        """Return an agent's mandates, the newest first."""
        return self._read(t.mandates.c.agent == agent)

    def find(self, mandate: str, agent: str) -> Mandate | None:
        """Return an agent's mandate."""
        m = t.mandates.c
        return next(iter(self._read(and_(m.id == mandate, m.agent == agent))), None)

    def _read(self, condition: ColumnElement[bool]) -> list[Mandate]:
        m = t.mandates.c
        with self._store.transaction(write=False) as connection:
            rows = connection.execute(
                select(m.id, m.citizen, m.agent, m.reason, m.since, m.until, m.ended_at, m.ended_by)
                .where(condition)
                .order_by(m.since.desc(), m.id)
                .limit(RECENT)
            )
            return [Mandate(*row) for row in rows]
