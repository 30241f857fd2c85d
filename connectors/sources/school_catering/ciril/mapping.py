"""From a planning to what was booked and cancelled.

Memory of a child: `read_at`, and `booked`, by `<activity>/<service>/<day>`: activity and label.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from connectors.sources.school_catering.ciril import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.school_catering import Activity, MealBooked, MealCancelled

State = Mapping[str, Any]

WORDS = {
    "cantine": Activity.LUNCH,
    "repas": Activity.LUNCH,
    "restauration": Activity.LUNCH,
    "restaurant": Activity.LUNCH,
    "dejeuner": Activity.LUNCH,
    "midi": Activity.LUNCH,
    "matin": Activity.MORNING_CARE,
    "soir": Activity.EVENING_CARE,
}
"""Words of labels, without accents."""
FORGET = timedelta(days=62)
"""How long a day that is past is remembered."""


def planning(previous: State | None, answer: model.Answer, context: Context) -> tuple[State, Mapped]:
    """Compare the days that are listed with what is known; a day that is not listed says nothing."""
    read_at = int(context.read_at.timestamp() * 1000)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: State = previous["booked"] if previous is not None else {}
    booked, facts = dict(known), []
    for name, (kind, meal) in sorted(_listed(answer).items()):
        if kind == "ReservationValide" and name not in known:
            booked[name] = meal
            facts.append(Fact(MealBooked(**_meal(name, meal)), context.key, context.read_at, name))
        elif kind == "Ouvert" and name in known:
            del booked[name]
            facts.append(Fact(MealCancelled(**_meal(name, known[name])), context.key, context.read_at, name))
    oldest = (context.read_at - FORGET).astimezone(context.zone).date().isoformat()
    return {"read_at": read_at, "booked": {n: m for n, m in booked.items() if n[-10:] >= oldest}}, facts


def _listed(answer: model.Answer) -> dict[str, tuple[str, State]]:
    found: dict[str, tuple[str, State]] = {}
    for planned in answer.reservationActivityPlanningResponse:
        for service in planned.activityServicesPlanning:
            label = service.activityServiceLabel or planned.activityLabel
            texts = (service.activityServiceLabel, planned.activityLabel, service.activityServiceCode)
            activity = next(filter(None, map(_activity, texts)), Activity.UNKNOWN)
            for day in service.day:
                name = f"{planned.activityCode[:24]}/{service.activityServiceCode}/{day.date}"
                if name in found:
                    raise Unmappable("a day is listed twice", fields=("activityServicesPlanning.*.day.*.date",))
                found[name] = (day.dayType, {"activity": str(activity), "label": label})
    return found


def _activity(label: str) -> Activity | None:
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return next((WORDS[word] for word in re.split(r"[^a-z]+", plain) if word in WORDS), None)


def _meal(name: str, meal: State) -> dict[str, Any]:
    return {
        "booking_id": name,
        "meal_date": date.fromisoformat(name[-10:]),
        "activity": Activity(meal["activity"]),
        "label": meal["label"],
    }
