"""GTFS-Realtime messages, as far as they are read; the decoder gives enums by name and 64-bit numbers as text."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid

_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,1990}")


def _seconds(value: Any) -> Any:
    """Read POSIX seconds; 0 is how a producer without a time writes none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 11:
        value = int(value)
    return None if value == 0 else value


Moment = Annotated[Annotated[int, Field(ge=1, lt=7_258_118_400)] | None, BeforeValidator(_seconds)]
"""Seconds of POSIX time before the year 2200."""
Id = Annotated[str, Field(max_length=150)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Translation(_Strict):
    """A text in one language."""

    text: str
    language: str = ""


class Texts(_Strict):
    """A text in some languages."""

    translation: list[Translation] = Field(default=[], max_length=50)

    def french(self) -> str:
        """Return the French text, else the one without a language, else the first."""
        ranked = sorted(
            self.translation,
            key=lambda one: (not one.language.lower().startswith("fr"), one.language != ""),
        )
        return ranked[0].text.strip() if ranked else ""

    def address(self) -> str | None:
        """Return the text if it is a web address."""
        text = self.french()
        return text if _ADDRESS.fullmatch(text) else None


class Period(_Strict):
    """A time range, open where a side is missing."""

    start: Moment = None
    end: Moment = None


class Trip(_Strict):
    """Which run of which line."""

    trip_id: Id = ""
    route_id: Id = ""
    start_date: str = Field(default="", max_length=8)
    start_time: str = Field(default="", max_length=8)
    schedule_relationship: str = Field(default="SCHEDULED", max_length=40)


class Selector(_Strict):
    """What an alert is about."""

    agency_id: Id = ""
    route_id: Id = ""
    trip: Trip = Trip()

    def route(self) -> str:
        """Return the route with its agency, as `SEM:48`; nothing where no route is named."""
        route = self.route_id or self.trip.route_id
        return f"{self.agency_id}:{route}" if route and self.agency_id and ":" not in route else route


class Alert(_Strict):
    """A warning."""

    active_period: list[Period] = Field(default=[], max_length=1000)
    informed_entity: list[Selector] = Field(default=[], max_length=5000)
    cause: str = Field(default="", max_length=40)
    effect: str = Field(default="", max_length=40)
    url: Texts = Texts()
    header_text: Texts = Texts()
    description_text: Texts = Texts()


class Event(_Strict):
    """Arrival or departure at a stop."""

    delay: int | None = None
    """Seconds; negative: early."""


class Stop(_Strict):
    """A stop of a trip."""

    arrival: Event = Event()
    departure: Event = Event()


class TripUpdate(_Strict):
    """How a trip runs."""

    trip: Trip
    stop_time_update: list[Stop] = Field(default=[], max_length=1000)
    delay: int | None = None


class AlertEntity(_Strict):
    """An entry of the alerts."""

    id: str = Field(min_length=1, max_length=150)
    is_deleted: bool = False
    alert: Alert | None = None


class TripEntity(_Strict):
    """An entry of the trip updates."""

    id: str = Field(min_length=1, max_length=150)
    is_deleted: bool = False
    trip_update: TripUpdate | None = None


class Head(_Strict):
    """The header."""

    gtfs_realtime_version: str = Field(max_length=20)
    incrementality: Literal["FULL_DATASET", "DIFFERENTIAL"] = "FULL_DATASET"
    timestamp: Moment = None


class _Feed(_Strict):
    header: Head

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.header.incrementality != "FULL_DATASET":
            raise Invalid("a part of the data: what it leaves out is not known", fields=("header.incrementality",))
        return self


class Alerts(_Feed):
    """All alerts."""

    entity: list[AlertEntity] = Field(default=[], max_length=20_000)


class TripUpdates(_Feed):
    """All trips that are told of."""

    entity: list[TripEntity] = Field(default=[], max_length=50_000)
