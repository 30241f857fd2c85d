"""What Chrono answers and calls back, as far as it is documented.

What is not named here ends at this edge: the reason of an absence, `extra_data`, the child's name.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, NaiveDatetime, model_validator

from hub.model.errors import VendorError

_LOCAL = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_INSTANT = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _local(value: Any) -> Any:
    if not isinstance(value, str) or not _LOCAL.fullmatch(value):
        raise ValueError("not a local time")
    return datetime.fromisoformat(value)


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("not an instant with an offset")
    return datetime.fromisoformat(value)


Local = Annotated[NaiveDatetime, BeforeValidator(_local)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Number = Annotated[int, Field(ge=1, lt=2**63)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Event(_Strict):
    """The meal or care session that is booked."""

    slug: str = Field(min_length=1, max_length=200)
    label: str = Field(max_length=200)
    datetime: Local
    """Local time without a zone, `2020-06-11 10:00:00`."""


class Booking(_Strict):
    """One booking in the list."""

    id: Number
    in_waiting_list: bool
    user_was_present: bool | None
    """null: nobody has looked yet."""
    event: Event
    cancellation_datetime: Annotated[AwareDatetime, BeforeValidator(_instant)] | None = None
    """Newer versions may list cancelled bookings with this; others drop them from the list."""


class Bookings(_Strict):
    """The answer to one question: all bookings of one child."""

    err: Literal[0]
    data: list[Booking]

    @model_validator(mode="before")
    @classmethod
    def _refused(cls, answer: Any) -> Any:
        """Tell a vendor's error from a malformed answer: its HTTP status is 200."""
        if isinstance(answer, dict) and isinstance(answer.get("err"), int) and answer["err"] != 0:
            raise VendorError("err is not 0", fields=("err",))
        return answer


class CalledBooking(_Strict):
    """The booking of a callback."""

    id: Number
    user_external_id: str = Field(min_length=1, max_length=150)
    in_waiting_list: bool = False
    event: Event


class Callback(_Strict):
    """One change of one booking; the format is ours."""

    id: str = Field(min_length=1, max_length=150)
    event: Literal["cancel", "presence", "absence"]
    at: Instant
    booking: CalledBooking
