"""What both lists share: the memory of a patron, whose it is, and moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hub.model.connector import Context
from hub.model.errors import Unmappable
from hub.pipeline.diff import once

State = Mapping[str, Any]


def begin(previous: State | None, context: Context) -> tuple[int, State]:
    """Return when the list was asked for, ms, and what is remembered."""
    state = {"loans_read": 0, "requests_read": 0, "loans": {}, "requests": {}, **(previous or {})}
    return int(context.read_at.astimezone(UTC).timestamp() * 1000), state


def whole(total: int, names: Sequence[str], patrons: set[str], context: Context) -> None:
    """Raise `Unmappable` for a list that is not the whole of one patron."""
    if any(f"folio:{patron}" != context.key for patron in patrons):
        raise Unmappable("the answer is about somebody else", fields=("userId",))
    once(names, "id")
    if total > len(names):
        raise Unmappable("a page of a longer list", fields=("totalRecords",))


def moment_of(moment: datetime | None, context: Context) -> datetime:
    """Return a moment; nothing is later than its reading."""
    return context.read_at if moment is None else min(moment.astimezone(UTC), context.read_at)
