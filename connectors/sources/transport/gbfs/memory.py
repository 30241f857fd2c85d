"""What is remembered of both files together, and whether one is believed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, timedelta
from typing import Any

from hub.model.connector import Context
from hub.model.errors import Held
from hub.pipeline.diff import shrunk

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a file."""
NOTHING: State = {"read_at": {}, "updated": {}, "status": {}, "stations": {}}


def is_old(feed: str, before: State, updated: int, context: Context) -> bool:
    """Tell whether a file was asked for, or made, before the last that was believed."""
    last: int | None = before["read_at"].get(feed)
    if last is None:
        return False
    # A moment far ahead, once, must not make everything after it old for ever.
    made_before = _fresh(feed, before, context) and updated < int(before["updated"][feed])
    return made_before or _ms(context) < last


def hold_back(feed: str, before: State, known: int, removed: Collection[str], context: Context) -> None:
    """Raise `Held` where too many stations are missing at once."""
    if _fresh(feed, before, context) and shrunk(known, len(removed), context.max_shrink):
        raise Held("too many stations are missing")


def _fresh(feed: str, before: State, context: Context) -> bool:
    last: int | None = before["read_at"].get(feed)
    return last is not None and _ms(context) - last < PATIENCE


def following(feed: str, before: State, updated: int, context: Context) -> dict[str, Any]:
    """Return what is remembered once a file was believed."""
    return {
        **before,
        "read_at": {**before["read_at"], feed: _ms(context)},
        "updated": {**before["updated"], feed: updated},
    }


def _ms(context: Context) -> int:
    return int(context.read_at.astimezone(UTC).timestamp() * 1000)
