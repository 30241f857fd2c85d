"""A disruption as a mapping remembers it between two snapshots, and as its events tell it, whoever says it.

Remembered: `lines` as a sorted list, `starts_at` and `ends_at` in UTC milliseconds or None, all else as it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TITLE, DESCRIPTION = 500, 8000
"""Characters that an event takes."""


def full(code: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event that begins or changes it says."""
    return {
        **entry,
        "disruption_id": code,
        "lines": tuple(entry["lines"]),
        "starts_at": _instant(entry["starts_at"]),
        "ends_at": _instant(entry["ends_at"]),
    }


def brief(code: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event that ends it says."""
    return {"disruption_id": code, "lines": tuple(entry["lines"]), "title": entry["title"]}


def cut(text: str, longest: int) -> str:
    """Shorten a text to so many characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _instant(moment: int | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)
