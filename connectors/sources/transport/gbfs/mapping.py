"""From all stations now to those whose state is another than was told.

Memory, of both feeds together:

    read_at    by feed: when the last file that was believed was asked for, ms
    updated    by feed: its `last_updated`, s
    status     by station: what the last status said of it
    stations   by station: what was told of it, as plain values
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, timedelta
from typing import Any

from connectors.sources.transport.gbfs import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from schemas.models.transport import SharedStationChanged, SharedStationRemoved

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a file."""
COUNTS = ("vehicles_available", "docks_available")
NOTHING: State = {"read_at": {}, "updated": {}, "status": {}, "stations": {}}
UNKNOWN: State = dict.fromkeys((*COUNTS, "is_installed", "is_renting", "is_returning"))
"""The status of a station that has none."""


def information(previous: State | None, file: model.Information, context: Context) -> tuple[State, Mapped]:
    """Compare what is said of stations with what was told; what cannot be read stays as it was."""
    before = previous or NOTHING
    if _old("information", before, file.last_updated, context):
        return before, "stale"
    known: Mapping[str, State] = before["stations"]
    current: dict[str, State] = {}
    unreadable = False
    for one in file.data.stations:
        if isinstance(one, model.Unreadable):
            unreadable = True
            if one.station_id in known:
                current[one.station_id] = known[one.station_id]
        else:
            now = {**_words(one), **before["status"].get(one.station_id, UNKNOWN)}
            current[one.station_id] = _worth_telling(known.get(one.station_id), now)
    removed = diff(known, current).removed
    _hold("information", before, len(known), removed, context)
    gone = [
        Fact(
            SharedStationRemoved(station_id=station, name=known[station]["name"]),
            f"gbfs:{station}",
            context.read_at,
            station,
        )
        for station in removed
    ]
    facts = _changes(known, current, context) + gone
    state = _following("information", before, file.last_updated, context) | {"stations": current}
    return state, "unreadable_item" if unreadable and not facts else facts


def status(previous: State | None, file: model.Status, context: Context) -> tuple[State, Mapped]:
    """Compare what stations have with what was told; one that the information has not named yet waits for it."""
    before = previous or NOTHING
    if _old("status", before, file.last_updated, context):
        return before, "stale"
    known: Mapping[str, State] = before["status"]
    current: dict[str, State] = {}
    unreadable = False
    for one in file.data.stations:
        if isinstance(one, model.Unreadable):
            unreadable = True
            if one.station_id in known:
                current[one.station_id] = known[one.station_id]
        else:
            current[one.station_id] = _availability(one)
    _hold("status", before, len(known), diff(known, current).removed, context)
    told: Mapping[str, State] = before["stations"]
    # One that is missing here is perhaps on its way out: the information says so, or that it has no status.
    stations = {
        station: _worth_telling(words, {**words, **current[station]}) if station in current else words
        for station, words in told.items()
    }
    facts = _changes(told, stations, context)
    state = _following("status", before, file.last_updated, context) | {"status": current, "stations": stations}
    return state, "unreadable_item" if unreadable and not facts else facts


def _words(one: model.Station) -> State:
    # To about a metre: some operators compute places anew each time.
    place = {"latitude": round(one.lat, 5), "longitude": round(one.lon, 5)}
    return {"name": one.name, "capacity": one.capacity, **place}


def _availability(one: model.Availability) -> State:
    return {
        "vehicles_available": one.vehicles,
        "docks_available": one.num_docks_available,
        "is_installed": one.is_installed,
        "is_renting": one.is_renting,
        "is_returning": one.is_returning,
    }


def _worth_telling(before: State | None, now: State) -> State:
    """Keep what was told while only some vehicles have come or gone; none and some is always news."""
    uncounted = dict.fromkeys(COUNTS)
    if before is None or {**before, **uncounted} != {**now, **uncounted}:
        return now
    return now if any(_moved(before[name], now[name], now["capacity"]) for name in COUNTS) else before


def _moved(before: int | None, now: int | None, capacity: int | None) -> bool:
    """Tell whether a count went to or from nothing, or by a quarter of all, or of itself where that is unknown."""
    if before is None or now is None:
        return before != now
    return bool(before) != bool(now) or (before != now and 4 * abs(now - before) >= (capacity or max(before, now)))


def _changes(before: Mapping[str, State], now: Mapping[str, State], context: Context) -> list[Fact]:
    change = diff(before, now)
    return [
        Fact(SharedStationChanged(station_id=station, **now[station]), f"gbfs:{station}", context.read_at, station)
        for station in (*change.added, *change.changed)
    ]


def _old(feed: str, before: State, updated: int, context: Context) -> bool:
    """Tell whether a file was asked for, or made, before the last that was believed."""
    last: int | None = before["read_at"].get(feed)
    if last is None:
        return False
    # A moment far ahead, once, must not make everything after it old for ever.
    made_before = _fresh(feed, before, context) and updated < int(before["updated"][feed])
    return made_before or _ms(context) < last


def _hold(feed: str, before: State, known: int, removed: Collection[str], context: Context) -> None:
    if _fresh(feed, before, context) and shrunk(known, len(removed), context.max_shrink):
        raise Held("too many stations are missing")


def _fresh(feed: str, before: State, context: Context) -> bool:
    last: int | None = before["read_at"].get(feed)
    return last is not None and _ms(context) - last < PATIENCE


def _following(feed: str, before: State, updated: int, context: Context) -> dict[str, Any]:
    return {
        **before,
        "read_at": {**before["read_at"], feed: _ms(context)},
        "updated": {**before["updated"], feed: updated},
    }


def _ms(context: Context) -> int:
    return int(context.read_at.astimezone(UTC).timestamp() * 1000)
