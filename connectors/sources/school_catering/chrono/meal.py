"""A booking as it is remembered, and what is to be told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from connectors.sources.school_catering.chrono import model
from hub.model.event import Fact
from schemas.models.school_catering import AbsenceRecorded, Activity, MealBooked, MealCancelled, MealEaten

State = Mapping[str, Any]

Told = type[MealCancelled] | type[MealEaten] | type[AbsenceRecorded]
STATUS: Mapping[str, Told] = {"cancelled": MealCancelled, "eaten": MealEaten, "absent": AbsenceRecorded}
"""What became of a booking; `booked` is the fourth, and says nothing more."""
ACTIVITIES = {
    "cantine": Activity.LUNCH,
    "dejeuner": Activity.LUNCH,
    "matin": Activity.MORNING_CARE,
    "soir": Activity.EVENING_CARE,
}
"""Words of the slug of an event."""


def facts_of(name: str, known: State | None, now: State, moment: datetime, subject: str) -> Iterator[Fact]:
    """Say what must be said so that the last event of the booking is the vendor's last word."""
    status = now["status"]
    if known is None or (known["status"] == "cancelled" != status):
        booked, became = True, status in STATUS
    elif known["status"] == "cancelled":
        return
    else:
        moved = any(known[part] != now[part] for part in ("waiting", "meal_date"))
        booked = moved or (status == "booked" != known["status"])
        became = status in STATUS and (booked or status != known["status"])
    meal = {
        "booking_id": name,
        "meal_date": date.fromisoformat(now["meal_date"]),
        "activity": Activity(now["activity"]),
        "label": now["label"],
    }
    if booked:
        yield Fact(MealBooked(**meal, waiting_list=now["waiting"]), subject, moment, name)
    if became:
        yield Fact(STATUS[status](**meal), subject, moment, name)


def listed_as(item: model.Booking) -> dict[str, Any]:
    """Return a booking of a list as it is remembered."""
    status = {True: "eaten", False: "absent", None: "booked"}[item.user_was_present]
    if item.cancellation_datetime is not None:
        status = "cancelled"
    return {"status": status, "waiting": item.in_waiting_list, **event_of(item.event)}


def event_of(event: model.Event) -> dict[str, Any]:
    """Return day, activity and label of a booking."""
    words = re.split(r"[^a-z]+", event.slug.lower())
    activity = next((ACTIVITIES[word] for word in words if word in ACTIVITIES), Activity.UNKNOWN)
    # The vendor's naive time is Grenoble's: its date is the business day, whatever the clock does that night.
    return {"meal_date": event.datetime.date().isoformat(), "activity": str(activity), "label": event.label}
