"""From what a network says now to what began, changed and ended.

Memory of the alerts:

    read_at   when the last message that was believed was asked for, ms
    alerts    by code: what was told of each, as plain values, and `id`, the entity's last one

Trips are another message, with a memory of their own: `trips.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from connectors.sources.transport.gtfs_rt import model
from connectors.sources.transport.gtfs_rt.alert import said_of, told_of
from connectors.sources.transport.gtfs_rt.moments import milliseconds
from connectors.sources.transport.gtfs_rt.trips import trip_updates
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from hub.pipeline.disruption import brief, full
from schemas.models.transport import DisruptionEnded, DisruptionPublished, DisruptionUpdated

__all__ = ["alerts", "trip_updates"]

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a message."""


def alerts(previous: State | None, message: model.Alerts, context: Context) -> tuple[State, Mapped]:
    """Compare the alerts with those before, by id, or by what they say where ids do not last."""
    read_at = milliseconds(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: Mapping[str, State] = previous["alerts"] if previous is not None else {}
    told = {
        entity.id: told_of(entity.alert)
        for entity in message.entity
        if entity.alert is not None and not entity.is_deleted
    }
    current = _named(known, told)
    change = diff({code: said_of(entry) for code, entry in known.items()}, {c: said_of(e) for c, e in current.items()})
    early = [code for code in change.removed if (end := known[code]["ends_at"]) is None or end > read_at]
    fresh = previous is not None and read_at - previous["read_at"] < PATIENCE
    if fresh and shrunk(len(known), len(early), context.max_shrink):
        raise Held("too many alerts are missing before their time")
    facts = [_fact(DisruptionEnded(**brief(code, known[code])), code, context) for code in change.removed]
    facts += [_fact(DisruptionPublished(**full(code, said_of(current[code]))), code, context) for code in change.added]
    facts += [_fact(DisruptionUpdated(**full(code, said_of(current[code]))), code, context) for code in change.changed]
    return {"read_at": read_at, "alerts": current}, facts


def _named(known: Mapping[str, State], told: Mapping[str, State]) -> dict[str, State]:
    """Give each alert the code under which it is known."""
    code_of = {entry["id"]: code for code, entry in known.items()}
    current: dict[str, State] = {
        code_of[name]: {**entry, "id": name} for name, entry in told.items() if name in code_of
    }
    lost = {_core(entry): code for code, entry in known.items() if code not in current}
    for name in sorted(told.keys() - code_of.keys()):
        code = lost.pop(_core(told[name]), None) or _code(name, known.keys() | current.keys())
        current[code] = {**told[name], "id": name}
    return current


def _core(entry: State) -> tuple[Any, ...]:
    return entry["title"], tuple(entry["lines"])


def _code(name: str, taken: Iterable[str]) -> str:
    """Name an alert by its id, unless that is too long or belongs to another, whose id has changed."""
    short = name if len(name) <= 80 and name.isprintable() else sha256(name.encode("utf-8", "replace")).hexdigest()
    while short in taken:
        short = sha256(short.encode()).hexdigest()
    return short


def _fact(payload: DisruptionPublished | DisruptionUpdated | DisruptionEnded, code: str, context: Context) -> Fact:
    return Fact(payload, f"gtfs_rt:{code}", context.read_at, code)
