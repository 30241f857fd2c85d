"""The job that every tool is measured on: a booking in JSON, validated, mapped, in canonical Avro.

The input is 505 bytes of JSON, keyed by child.  The output is `hub.school_catering.MealBooked` in the Confluent
wire format under the same key.  Every Python peer calls `convert`, so what differs is the tool.
"""

from __future__ import annotations

import io
import json
import sys
from datetime import date
from typing import Any, Literal

import fastavro
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hub import catalogue

SIZE = 505
"""Bytes of a record."""
CHILDREN = 5_000
KIND = "hub.school_catering.MealBooked"
EPOCH = date(1970, 1, 1).toordinal()


class Meal(BaseModel):
    """A place at a table."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    date: date
    activity: Literal["LUNCH", "MORNING_CARE", "EVENING_CARE"]
    label: str = Field(max_length=200)
    waiting: bool


class Booking(BaseModel):
    """What a vendor would say."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str = Field(max_length=64)
    kind: Literal["booked"]
    at: AwareDatetime
    child: str = Field(pattern=r"^E\d{1,9}$")
    school: str
    meal: Meal


def record(number: int) -> tuple[bytes, bytes]:
    """Return key and value of a record."""
    child = f"E{number % CHILDREN}"
    document: dict[str, Any] = {
        "id": f"b-{number}",
        "kind": "booked",
        "at": "2026-03-10T08:00:00.123+01:00",
        "child": child,
        "school": "Ecole Joseph Vallier",
        "meal": {"date": "2026-03-12", "activity": "LUNCH", "label": "Cantine", "waiting": number % 7 == 0},
        "extra": "",
    }
    rest = SIZE - len(json.dumps(document))
    document["extra"] = "x" * rest
    return f"bench:{child}".encode(), json.dumps(document).encode()


class Job:
    """The schema and its frame, looked up once."""

    def __init__(self) -> None:
        registry = catalogue.schemas()
        number = registry.id_of(KIND)
        self._frame = b"\0" + number.to_bytes(4, "big")
        self._schema = fastavro.parse_schema(dict(registry.version(number).schema))

    def convert(self, value: bytes) -> bytes:
        """Validate, map, encode; raise for anything else."""
        booking = Booking.model_validate_json(value)
        out = io.BytesIO()
        out.write(self._frame)
        meal = booking.meal
        fastavro.schemaless_writer(
            out,
            self._schema,
            {
                "booking_id": booking.id,
                "meal_date": meal.date.toordinal() - EPOCH,
                "activity": meal.activity,
                "label": meal.label,
                "waiting_list": meal.waiting,
            },
        )
        return out.getvalue()


def arguments() -> tuple[str, str, str, str]:
    """Return bootstrap, input topic, output topic and group, as the harness gives them."""
    bootstrap, source, target, group = sys.argv[1:5]
    return bootstrap, source, target, group
