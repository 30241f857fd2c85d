"""A connector for the record of the job, as the hub's own peers take it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from job import Booking

from hub.model.connector import Connector, Context, Feed, Manifest
from hub.model.event import Fact
from schemas.models.school_catering import Activity, MealBooked

PRODUCT = "bench"


def booking(document: Booking, context: Context) -> Iterable[Fact]:
    """Map."""
    meal = document.meal
    payload = MealBooked(
        booking_id=document.id,
        meal_date=meal.date,
        activity=Activity(meal.activity),
        label=meal.label,
        waiting_list=meal.waiting,
    )
    return [Fact(payload, context.key, document.at.astimezone(UTC), document.id)]


MANIFEST = Manifest.model_validate(
    {
        "summary": "s",
        "vendor": "v",
        "owner": "o",
        "stability": "stable",
        "revision": 1,
        "feeds": {
            "booking": {
                "summary": "s",
                "style": "webhook",
                "content_type": "application/json",
                "model": "Booking",
                "key": "bench:<child>",
                "on_reject": "park",
                "emits": ["MealBooked"],
            }
        },
    }
)
CONNECTOR = Connector(
    PRODUCT, "school_catering", MANIFEST, {"booking": Feed("booking", MANIFEST.feeds["booking"], Booking, booking)}
)
