"""Which links hold."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, and_, or_

from hub.store import tables as t


def holds_on(day: date) -> ColumnElement[bool]:
    """Return the condition that a link is open on one of the city's days."""
    c = t.links.c
    return and_(c.closed_at.is_(None), or_(c.until.is_(None), c.until >= day.isoformat()))
