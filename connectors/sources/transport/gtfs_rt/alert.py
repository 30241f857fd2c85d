"""An alert as it is remembered and told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sources.transport.gtfs_rt import model

State = Mapping[str, Any]

TITLE, DESCRIPTION = 500, 8000
"""Characters that an event takes."""


def told_of(alert: model.Alert) -> dict[str, Any]:
    """Return an alert as plain values."""
    starts = [period.start for period in alert.active_period]
    ends = [period.end for period in alert.active_period]
    return {
        "kind": (alert.effect or alert.cause).lower(),
        "lines": sorted({route for selector in alert.informed_entity if (route := selector.route())}),
        "starts_at": None if None in starts or not starts else min(filter(None, starts)) * 1000,
        "ends_at": None if None in ends or not ends else max(filter(None, ends)) * 1000,
        "title": _cut(alert.header_text.french(), TITLE),
        "description": _cut(alert.description_text.french(), DESCRIPTION),
        "url": alert.url.address(),
    }


def said_of(entry: State) -> State:
    """Return what is told of an alert: its id may not last."""
    return {name: value for name, value in entry.items() if name != "id"}


def full(code: str, entry: State) -> dict[str, Any]:
    """Return what an event that begins or changes it says."""
    return {
        **said_of(entry),
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
