"""A station as it is remembered, and when it is worth telling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.transport.gbfs import model

State = Mapping[str, Any]

COUNTS = ("vehicles_available", "docks_available")
UNKNOWN: State = dict.fromkeys((*COUNTS, "is_installed", "is_renting", "is_returning"))
"""The status of a station that has none."""


def words_of(one: model.Station) -> State:
    """Return what the information says of a station."""
    # To about a metre: some operators compute places anew each time.
    place = {"latitude": round(one.lat, 5), "longitude": round(one.lon, 5)}
    return {"name": one.name, "capacity": one.capacity, **place}


def availability_of(one: model.Availability) -> State:
    """Return what the status says of a station."""
    return {
        "vehicles_available": one.vehicles,
        "docks_available": one.num_docks_available,
        "is_installed": one.is_installed,
        "is_renting": one.is_renting,
        "is_returning": one.is_returning,
    }


def worth_telling(before: State | None, now: State) -> State:
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
