"""Moments of HubEE, which has some with an offset and some without."""

from __future__ import annotations

from datetime import date, datetime

from hub.model.connector import Context


def aware(moment: datetime, context: Context) -> datetime:
    """Take a moment without an offset as local."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=context.zone)


def whole_date(text: str | None) -> date | None:
    """Read a date that is wholly known; 1962-00-00 is not."""
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        return None
