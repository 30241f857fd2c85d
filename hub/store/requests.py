"""Requests to the town hall, and what clerks decided about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Connection, func, insert, select

from hub.calendar import CITY
from hub.model.disclosure import Disclosure
from hub.store import tables as t
from hub.store.links import holds_on

DECISIONS = UUID("c1f5ce1b-3e0a-5a5f-8b9f-0e7f6c1d2a44")
"""Names decisions by subject and number: a button that is pressed twice counts once."""


class Asked(NamedTuple):
    """A request that is not closed."""

    subject: str
    type: str
    """Of the event that opened it."""
    asked_at: int
    status: str
    decided: str | None
    """The last decision that was taken at the desk."""
    state: str | None
    """How far it has come at its sink."""


class Requests:
    """The part of the store that is about requests."""

    _read: Callable[[], AbstractContextManager[Connection]]
    _write: Callable[[], AbstractContextManager[Connection]]
    _post: Callable[..., int]

    def open_requests(self, product: str, changed: str, closed: frozenset[str]) -> list[Asked]:
        """Return a product's requests that have not come to an end, oldest first; `changed` is the event of a step."""
        e, o = t.entries.c, t.outbox.c
        found: dict[str, Asked] = {}
        with self._read() as connection:
            rows = connection.execute(
                select(e.subject, e.type, e.occurred_at, e.payload)
                .where(e.product == product, e.audience == "person")
                .order_by(e.subject, e.seq_epoch, e.seq_offset, e.seq_index)
            )
            for subject, kind, at, payload in rows:
                known = found.setdefault(subject, Asked(subject, kind, at, "", None, None))
                if kind == changed:
                    found[subject] = known._replace(status=json.loads(payload)["status"])
            decisions = connection.execute(
                select(o.subject, o.payload, o.state).where(o.channel == product).order_by(o.position)
            )
            for subject, payload, state in decisions:
                if subject in found:
                    status = json.loads(payload).get("status")
                    found[subject] = found[subject]._replace(decided=status, state=state)
        still = [
            asked
            for asked in found.values()
            if asked.status not in closed and not (asked.decided in closed and asked.state == "sent")
        ]
        return sorted(still, key=lambda asked: (asked.asked_at, asked.subject))

    def decide_request(self, product: str, subject: str, payload: Mapping[str, Any], now: datetime) -> bool:
        """Write a decision into the outbox, and for whom the request is linked to that `payload["clerk"]` took it.

        False: one is on its way, or there is no such request.
        """
        e, o, link = t.entries.c, t.outbox.c, t.links.c
        with self._write() as connection:
            event_id = connection.execute(
                select(e.event_id)
                .where(e.subject == subject, e.product == product, e.audience == "person")
                .order_by(e.seq_epoch.desc(), e.seq_offset.desc(), e.seq_index.desc())
                .limit(1)
            ).scalar()
            about = [o.channel == product, o.subject == subject]
            under_way = connection.execute(select(o.id).where(*about, o.state == "pending").limit(1)).first()
            if event_id is None or under_way is not None:
                return False
            moment = int(now.timestamp() * 1000)
            number = connection.execute(select(func.count()).select_from(t.outbox).where(*about)).scalar()
            self._post(
                connection,
                str(uuid5(DECISIONS, f"{subject}\x1f{number}")),
                channel=product,
                topic="requests",
                citizen=None,
                subject=subject,
                event_id=event_id,
                payload=payload,
                moment=moment,
            )
            concerned = connection.execute(
                select(link.citizen).where(link.subject == subject, holds_on(now.astimezone(CITY).date()))
            ).scalars()
            rows = [
                Disclosure(citizen, moment, payload["clerk"], "decision", ("requests",)).row(str(uuid4()))
                for citizen in concerned
            ]
            if rows:
                connection.execute(insert(t.disclosures), rows)
            return True
