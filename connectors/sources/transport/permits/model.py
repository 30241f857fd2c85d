"""Requests and decisions, as far as they are read; plates, addresses and payments are not."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid
from hub.pipeline.soap import bare

_DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(_DAY.pattern + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")


def _day(value: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("not a day")
    return date.fromisoformat(value)


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("not an instant with an offset")
    return datetime.fromisoformat(value)


Number = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
Zone = Annotated[str, BeforeValidator(lambda value: "" if value is None else value), Field(max_length=40)]


class ParkCard(BaseModel):
    """A request, of which nothing is read but that it was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    Id: Number
    ParkResident: Literal["Borderingresident", "Resident", "Foreigner"]

    @model_validator(mode="before")
    @classmethod
    def _root(cls, document: Any) -> Any:
        request = bare(document).get("ParkCardRequest") if isinstance(document, dict) else None
        if not isinstance(request, dict):
            raise Invalid("not a request for a permit", fields=("ParkCardRequest",))
        return request


class Decision(BaseModel):
    """A step of a permit or a ticket; the format is ours."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: Number
    permit: Number
    kind: Literal["parking", "ticket"]
    event: Literal["requested", "granted", "refused", "paid", "expiring"]
    at: Annotated[AwareDatetime, BeforeValidator(_instant)]
    zone: Zone = ""
    valid_until: Annotated[date | None, BeforeValidator(_day)] = None
