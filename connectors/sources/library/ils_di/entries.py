"""What loans and holds share: numbers, and moments of which a day may be all that is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from hub.model.connector import Context
from hub.model.errors import Unmappable

State = Mapping[str, Any]
Entries = Mapping[str, State]


def by_number(field: str, entries: Iterable[tuple[str, State]]) -> dict[str, State]:
    """Return entries by their number; `Unmappable` where one is listed twice."""
    found: dict[str, State] = {}
    for name, entry in entries:
        if name in found:
            raise Unmappable("listed twice", fields=(f"GetPatronInfo.{field}",))
        found[name] = entry
    return found


def order(name: str) -> tuple[int, str]:
    """Order numbers as numbers, and whatever else a library calls a number after them."""
    return len(name), name


def date_of(text: str | None) -> date | None:
    """Read a day as it is remembered."""
    return None if text is None else date.fromisoformat(text)


def moment_of(text: str | None, context: Context) -> datetime:
    """Read a local day as its end, so that nothing seems to happen before it did; nothing is later than its reading."""
    if text is None:
        return context.read_at
    local = datetime.combine(date.fromisoformat(text[:10]), time(23, 59, 59))
    if len(text) > 10:
        local = datetime.fromisoformat(text)
    return min(local.replace(tzinfo=context.zone).astimezone(UTC), context.read_at)
