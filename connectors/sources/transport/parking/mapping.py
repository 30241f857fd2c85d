"""From all car parks now to those whose state is another than was told.

Memory: `read_at`, and `parkings`, by code: what was told of each, as plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from connectors.sources.transport.parking import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from schemas.models.transport import ParkingChanged, ParkingRemoved

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a snapshot."""


def parkings(previous: State | None, snapshot: model.Collection, context: Context) -> tuple[State, Mapped]:
    """Compare the snapshot with what was told; what cannot be read stays as it was."""
    read_at = int(context.read_at.astimezone(UTC).timestamp() * 1000)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: Mapping[str, State] = previous["parkings"] if previous is not None else {}
    current: dict[str, State] = {}
    unreadable = False
    for one in snapshot.features:
        if isinstance(one, model.Unreadable):
            unreadable = True
            if one.code in known:
                current[one.code] = known[one.code]
        else:
            code = one.properties.CODE
            current[code] = _worth_telling(known.get(code), _told(one))
    change = diff(known, current)
    fresh = previous is not None and read_at - previous["read_at"] < PATIENCE
    if fresh and shrunk(len(known), len(change.removed), context.max_shrink):
        raise Held("too many car parks are missing")
    facts = [
        Fact(
            ParkingChanged(parking_id=code, **{**current[code], "lines": tuple(current[code]["lines"])}),
            f"parking:{code}",
            context.read_at,
            code,
        )
        for code in (*change.added, *change.changed)
    ]
    facts += [
        Fact(ParkingRemoved(parking_id=code, name=known[code]["name"]), f"parking:{code}", context.read_at, code)
        for code in change.removed
    ]
    return {"read_at": read_at, "parkings": current}, "unreadable_item" if unreadable and not facts else facts


def _told(one: model.Feature) -> State:
    place = one.geometry.coordinates if one.geometry is not None else (None, None)
    return {
        "name": one.properties.LIBELLE,
        "kind": one.properties.TYPE,
        "total": one.properties.TOTAL,
        "free": one.properties.DISPO,
        "lines": sorted(one.properties.LIGNES),
        "latitude": place[1],
        "longitude": place[0],
    }


def _worth_telling(before: State | None, now: State) -> State:
    """Keep what was told while nothing but a few places has moved; full and not full is always news."""
    if before is None or {**before, "free": None} != {**now, "free": None}:
        return now
    if before["free"] is None or now["free"] is None or not now["total"]:
        return now
    moved = abs(now["free"] - before["free"])
    return before if moved * 10 < now["total"] and bool(now["free"]) == bool(before["free"]) else now
