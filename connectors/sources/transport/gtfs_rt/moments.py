"""Moments of memory."""

from __future__ import annotations

from datetime import UTC, datetime


def milliseconds(moment: datetime) -> int:
    """Return UTC milliseconds."""
    return int(moment.astimezone(UTC).timestamp() * 1000)
