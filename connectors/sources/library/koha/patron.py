"""What both lists share: the memory of a patron, whose it is, and moments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from hub.model.connector import Context
from hub.model.errors import Unmappable

State = Mapping[str, Any]


def begin(previous: State | None, context: Context) -> tuple[int, State]:
    """Return when the list was asked for, ms, and what is remembered."""
    state = {"loans_read": 0, "holds_read": 0, "loans": {}, "holds": {}, **(previous or {})}
    return int(context.read_at.astimezone(UTC).timestamp() * 1000), state


def whose(patrons: set[str], context: Context) -> None:
    """Raise `Unmappable` for an answer about another patron."""
    if any(f"koha:{patron}" != context.key for patron in patrons):
        raise Unmappable("the answer is about somebody else", fields=("patron_id",))


def date_of(text: str | None) -> date | None:
    """Read a day as it is remembered."""
    return None if text is None else date.fromisoformat(text)


def moment_of(text: str | None, context: Context) -> datetime:
    """Read a moment, local where it has no offset; nothing is later than its reading."""
    if text is None:
        return context.read_at
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=context.zone)
    return min(aware.astimezone(UTC), context.read_at)
