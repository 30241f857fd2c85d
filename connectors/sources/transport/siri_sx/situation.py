"""A situation as it is remembered and told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sources.transport.siri_sx import model

State = Mapping[str, Any]

TITLE, DESCRIPTION = 500, 8000
"""Characters that an event takes."""


def told_of(message: model.Situation, zone: ZoneInfo) -> dict[str, Any]:
    """Return a situation as plain values."""
    starts = [milliseconds(at if at.tzinfo else at.replace(tzinfo=zone)) for at in message.starts if at]
    # Of the two hours that autumn repeats, the later: nothing must look over too early.
    ends = [milliseconds(at if at.tzinfo else at.replace(tzinfo=zone, fold=1)) for at in message.ends if at]
    return {
        "kind": message.kind,
        "lines": message.lines,
        "starts_at": min(starts, default=None),
        "ends_at": max(ends) if ends and len(ends) == len(message.ends) else None,
        "title": _cut(message.title, TITLE),
        "description": _cut(message.description, DESCRIPTION),
        "url": message.url,
        "participant": message.participant,
    }


def full(code: str, entry: State) -> dict[str, Any]:
    """Return what an event that begins or changes it says."""
    return {
        **{name: value for name, value in entry.items() if name != "participant"},
        "disruption_id": code,
        "lines": tuple(entry["lines"]),
        "starts_at": _instant(entry["starts_at"]),
        "ends_at": _instant(entry["ends_at"]),
    }


def brief(code: str, entry: State) -> dict[str, Any]:
    """Return what an event that ends it says."""
    return {"disruption_id": code, "lines": tuple(entry["lines"]), "title": entry["title"]}


def _instant(moment: int | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def milliseconds(moment: datetime) -> int:
    """Return UTC milliseconds."""
    return int(moment.astimezone(UTC).timestamp() * 1000)
