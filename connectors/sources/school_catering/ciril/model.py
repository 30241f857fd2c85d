"""What Civil Net Enfance answers to reservationActivityPlanningRequest, as far as an event needs it."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.pipeline import soap

_DAY = re.compile(r"(20[0-9]{2}-[0-9]{2}-[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})?")


def _day(value: Any) -> Any:
    """Read an `xsd:date`, which may have an offset: the day is the one that is written."""
    found = _DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a day")
    return date.fromisoformat(found[1])


def _label(value: Any) -> Any:
    """Read an element that is empty or nil as an empty text, and cut one that is too long."""
    return value.strip()[:200] if isinstance(value, str) else ""


def _many(value: Any) -> Any:
    """Read an element that stands once as a list of one, and one that is nil as none."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


Day = Annotated[date, BeforeValidator(_day)]
Label = Annotated[str, BeforeValidator(_label)]
Code = Annotated[str, Field(pattern=r"^[^\s/](?:[^/\r\n\t]{0,22}[^\s/])?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class PlannedDay(_Strict):
    """One day of a service."""

    date: Day
    dayType: Literal["Ouvert", "ReservationValide", "ReservationEnCours", "ReportEnCours"]


class Service(_Strict):
    """One service of an activity: lunch, or a part of the day."""

    activityServiceCode: Code
    activityServiceLabel: Label = ""
    day: Annotated[list[PlannedDay], BeforeValidator(_many)] = []


class Planning(_Strict):
    """An activity with its services."""

    activityCode: Label = ""
    activityLabel: Label = ""
    """Typed as something else in a sister message of the vendor's: whatever is no text counts as none."""
    activityServicesPlanning: Annotated[list[Service], BeforeValidator(_many)] = []


class Answer(_Strict):
    """The answer to one question: an activity, or several where none was named."""

    reservationActivityPlanningResponse: Annotated[list[Planning], BeforeValidator(_many), Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, answer: Any) -> Any:
        return soap.body(answer)
