"""From all stations now to those whose state is another than was told.

Memory, of both feeds together:

    read_at    by feed: when the last file that was believed was asked for, ms
    updated    by feed: its `last_updated`, s
    status     by station: what the last status said of it
    stations   by station: what was told of it, as plain values
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.transport.gbfs import model
from connectors.sources.transport.gbfs.memory import NOTHING, following, hold_back, is_old
from connectors.sources.transport.gbfs.station import UNKNOWN, availability_of, words_of, worth_telling
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.transport import SharedStationChanged, SharedStationRemoved

State = Mapping[str, Any]


def information(previous: State | None, file: model.Information, context: Context) -> tuple[State, Mapped]:
    """Compare what is said of stations with what was told; what cannot be read stays as it was."""
    before = previous or NOTHING
    if is_old("information", before, file.last_updated, context):
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
            now = {**words_of(one), **before["status"].get(one.station_id, UNKNOWN)}
            current[one.station_id] = worth_telling(known.get(one.station_id), now)
    removed = diff(known, current).removed
    hold_back("information", before, len(known), removed, context)
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
    state = following("information", before, file.last_updated, context) | {"stations": current}
    return state, "unreadable_item" if unreadable and not facts else facts


def status(previous: State | None, file: model.Status, context: Context) -> tuple[State, Mapped]:
    """Compare what stations have with what was told; one that the information has not named yet waits for it."""
    before = previous or NOTHING
    if is_old("status", before, file.last_updated, context):
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
            current[one.station_id] = availability_of(one)
    hold_back("status", before, len(known), diff(known, current).removed, context)
    told: Mapping[str, State] = before["stations"]
    # One that is missing here is perhaps on its way out: the information says so, or that it has no status.
    stations = {
        station: worth_telling(words, {**words, **current[station]}) if station in current else words
        for station, words in told.items()
    }
    facts = _changes(told, stations, context)
    state = following("status", before, file.last_updated, context) | {"status": current, "stations": stations}
    return state, "unreadable_item" if unreadable and not facts else facts


def _changes(before: Mapping[str, State], now: Mapping[str, State], context: Context) -> list[Fact]:
    change = diff(before, now)
    return [
        Fact(SharedStationChanged(station_id=station, **now[station]), f"gbfs:{station}", context.read_at, station)
        for station in (*change.added, *change.changed)
    ]
