"""From bookings to what happened with them.

Memory of a child, shared by both feeds:

    last_callback   when the last callback was received, ms
    last_poll       when the last poll that was believed was started, ms
    bookings        by id: status, meal_date, activity, label, waiting, and
                    at    the vendor's moment of the last callback, ms
                    gone  the first poll that did not list it any more, ms

Law: the last event of a booking is the vendor's last word on it, and every booking is told before what
became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sources.school_catering.chrono import model
from connectors.sources.school_catering.chrono.meal import event_of, facts_of, listed_as
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from hub.pipeline.diff import diff

State = Mapping[str, Any]

CALLED = {"cancel": "cancelled", "presence": "eaten", "absence": "absent"}

FORGET = int(timedelta(days=90) / timedelta(milliseconds=1))
"""What is gone is remembered as long as raw records may repeat it, and events may be read."""
LATE = 60_000
"""How much earlier than a poll a callback must have been received to be surely part of its answer: clocks differ."""


def bookings(previous: State | None, answer: model.Bookings, context: Context) -> tuple[State, Mapped]:
    """Compare the list with what is known; what is not listed any more was cancelled."""
    read_at = _ms(context.read_at)
    state = _remembered(previous)
    if read_at < max(state["last_callback"], state["last_poll"]):
        return state, "stale"
    listed = {str(item.id): item for item in answer.data}
    if len(listed) < len(answer.data):
        raise Unmappable("a booking is listed twice", fields=("data.*.id",))
    current = {name: listed_as(item) for name, item in listed.items()}
    known = state["bookings"]
    here = {name: _plain(entry) for name, entry in known.items() if "gone" not in entry}
    change = diff(here, current)
    facts: list[Fact] = []
    for name in sorted((*change.added, *change.changed), key=int):
        if name not in known and current[name]["status"] == "cancelled":
            continue  # over before anybody was told of it
        moment = listed[name].cancellation_datetime or context.read_at
        facts += facts_of(name, known.get(name), current[name], moment, context.key)
    after = {name: {**_callback_of(known.get(name)), **entry} for name, entry in current.items()}
    for name in sorted(known.keys() - current.keys(), key=int):
        entry = {"gone": read_at, **known[name]}
        if entry["status"] == "booked":
            entry = {**entry, "status": "cancelled"}
            facts += facts_of(name, known[name], _plain(entry), context.read_at, context.key)
        if entry["gone"] > read_at - FORGET:
            after[name] = entry
    return {**state, "last_poll": read_at, "bookings": after}, facts


def callback(previous: State | None, call: model.Callback, context: Context) -> tuple[State, Mapped]:
    """Take the change, unless something newer is known about the booking."""
    read_at, at = _ms(context.read_at), _ms(call.at)
    state = _remembered(previous)
    name = str(call.booking.id)
    known = state["bookings"].get(name)
    # The same moment again is the same callback again, and a poll may have told more since.
    if (known is not None and at <= known.get("at", 0)) or read_at < state["last_poll"] - LATE:
        return state, "stale"
    now = {
        "status": CALLED[call.event],
        "waiting": call.booking.in_waiting_list,
        **event_of(call.booking.event),
    }
    after = {**state["bookings"], name: {**now, "at": at}}
    if not state["last_poll"]:
        # Nobody is linked to the child: no poll tells what is gone.
        oldest = (context.read_at.astimezone(context.zone).date() - timedelta(milliseconds=FORGET)).isoformat()
        after = {name: entry for name, entry in after.items() if entry["meal_date"] >= oldest}
    following = {**state, "last_callback": max(read_at, state["last_callback"]), "bookings": after}
    return following, list(facts_of(name, known, now, call.at, context.key))


def _remembered(previous: State | None) -> dict[str, Any]:
    return {"last_callback": 0, "last_poll": 0, "bookings": {}, **(previous or {})}


def _plain(entry: State) -> dict[str, Any]:
    return {part: value for part, value in entry.items() if part not in {"at", "gone"}}


def _callback_of(known: State | None) -> dict[str, Any]:
    return {"at": known["at"]} if known is not None and "at" in known else {}


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)
