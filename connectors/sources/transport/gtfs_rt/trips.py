"""From trips now to those whose way of running is another than was told.

Memory: `read_at`, and `trips`: by trip and day, what was told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.sources.transport.gtfs_rt import model
from connectors.sources.transport.gtfs_rt.moments import milliseconds
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from schemas.models.transport import TripChanged, TripStatus

State = Mapping[str, Any]

LATE = 300
"""Seconds of a step of delay: less is no news to anybody who waits."""
RELATIONS = {"CANCELED": TripStatus.CANCELLED, "DELETED": TripStatus.CANCELLED, "ADDED": TripStatus.ADDED}


def trip_updates(previous: State | None, message: model.TripUpdates, context: Context) -> tuple[State, Mapped]:
    """Tell of trips whose way of running is another than was told."""
    read_at = milliseconds(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: Mapping[str, State] = previous["trips"] if previous is not None else {}
    today = context.read_at.astimezone(context.zone).date()
    # By trip and day: the last word on a trip that a message names twice counts.
    updates: dict[str, tuple[date, model.TripUpdate]] = {}
    for entity in message.entity:
        update = entity.trip_update
        if update is not None and not entity.is_deleted and update.trip.trip_id:
            day = _day(update.trip.start_date) or today
            updates[f"{update.trip.trip_id}@{day.isoformat()}"] = day, update
    current: dict[str, State] = {}
    facts: list[Fact] = []
    for code, (day, update) in updates.items():
        current[code] = now = _runs(update)
        before = known.get(code, {"status": str(TripStatus.AS_PLANNED), "delay": 0})
        if (now["status"], now["delay"]) != (before["status"], before["delay"]):
            payload = TripChanged(
                trip_id=update.trip.trip_id,
                line=update.trip.route_id,
                service_day=day,
                status=TripStatus(now["status"]),
                delay_minutes=now["delay"],
            )
            facts.append(Fact(payload, f"gtfs_rt:{update.trip.trip_id}", context.read_at, code))
    return {"read_at": read_at, "trips": current}, facts


def _runs(update: model.TripUpdate) -> State:
    status = RELATIONS.get(update.trip.schedule_relationship, TripStatus.AS_PLANNED)
    delays = [
        event.delay
        for stop in update.stop_time_update
        for event in (stop.arrival, stop.departure)
        if event.delay is not None
    ]
    delay = delays[-1] if delays else update.delay or 0
    # Whole steps towards zero: four minutes are not late, and minus four not early.
    steps = int(max(-86_400, min(delay, 86_400)) / LATE)
    if status is TripStatus.AS_PLANNED and steps:
        status = TripStatus.LATE if steps > 0 else TripStatus.EARLY
    return {"status": str(status), "delay": steps * LATE // 60 if status is not TripStatus.CANCELLED else 0}


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
