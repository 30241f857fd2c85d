"""A situation as it is remembered and told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sources.transport.siri_sx import model
from hub.pipeline.disruption import DESCRIPTION, TITLE, cut

State = Mapping[str, Any]


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
        "title": cut(message.title, TITLE),
        "description": cut(message.description, DESCRIPTION),
        "url": message.url,
        "participant": message.participant,
    }


def said_of(entry: State) -> State:
    """Return what is told of a situation: who tells it is not."""
    return {name: value for name, value in entry.items() if name != "participant"}


def milliseconds(moment: datetime) -> int:
    """Return UTC milliseconds."""
    return int(moment.astimezone(UTC).timestamp() * 1000)
