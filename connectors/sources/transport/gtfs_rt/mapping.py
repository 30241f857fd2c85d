"""From what a network says now to what began, changed and ended.

Memory of the alerts:

    read_at   when the last message that was believed was asked for, ms
    alerts    by code: what was told of each, as plain values, and `id`, the entity's last one

Memory of the trips: `read_at`, and `trips`: by trip and day, what was told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from connectors.sources.transport.gtfs_rt import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from schemas.models.transport import DisruptionEnded, DisruptionPublished, DisruptionUpdated, TripChanged, TripStatus

State = Mapping[str, Any]

PATIENCE = int(timedelta(hours=1) / timedelta(milliseconds=1))
"""Memory that is older proves nothing against a message."""
TITLE, DESCRIPTION = 500, 8000
"""Characters that an event takes."""
LATE = 300
"""Seconds of a step of delay: less is no news to anybody who waits."""
RELATIONS = {"CANCELED": TripStatus.CANCELLED, "DELETED": TripStatus.CANCELLED, "ADDED": TripStatus.ADDED}


def alerts(previous: State | None, message: model.Alerts, context: Context) -> tuple[State, Mapped]:
    """Compare the alerts with those before, by id, or by what they say where ids do not last."""
    read_at = _ms(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: Mapping[str, State] = previous["alerts"] if previous is not None else {}
    told = {
        entity.id: _told(entity.alert)
        for entity in message.entity
        if entity.alert is not None and not entity.is_deleted
    }
    current = _named(known, told)
    change = diff({code: _said(entry) for code, entry in known.items()}, {c: _said(e) for c, e in current.items()})
    early = [code for code in change.removed if (end := known[code]["ends_at"]) is None or end > read_at]
    fresh = previous is not None and read_at - previous["read_at"] < PATIENCE
    if fresh and shrunk(len(known), len(early), context.max_shrink):
        raise Held("too many alerts are missing before their time")
    facts = [_fact(DisruptionEnded(**_brief(code, known[code])), code, context) for code in change.removed]
    facts += [_fact(DisruptionPublished(**_full(code, current[code])), code, context) for code in change.added]
    facts += [_fact(DisruptionUpdated(**_full(code, current[code])), code, context) for code in change.changed]
    return {"read_at": read_at, "alerts": current}, facts


def trip_updates(previous: State | None, message: model.TripUpdates, context: Context) -> tuple[State, Mapped]:
    """Tell of trips whose way of running is another than was told."""
    read_at = _ms(context.read_at)
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


def _told(alert: model.Alert) -> dict[str, Any]:
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


def _said(entry: State) -> State:
    return {name: value for name, value in entry.items() if name != "id"}


def _fact(payload: DisruptionPublished | DisruptionUpdated | DisruptionEnded, code: str, context: Context) -> Fact:
    return Fact(payload, f"gtfs_rt:{code}", context.read_at, code)


def _full(code: str, entry: State) -> dict[str, Any]:
    return {
        **_said(entry),
        "disruption_id": code,
        "lines": tuple(entry["lines"]),
        "starts_at": _instant(entry["starts_at"]),
        "ends_at": _instant(entry["ends_at"]),
    }


def _brief(code: str, entry: State) -> dict[str, Any]:
    return {"disruption_id": code, "lines": tuple(entry["lines"]), "title": entry["title"]}


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _instant(moment: int | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
