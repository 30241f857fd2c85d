"""Koha's answers, as far as they are read; names of patrons and titles end here."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

_ID = re.compile(r"[0-9]{1,18}")
_DAY = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")
_HOLDS = re.compile(r"\s*-?\s*holds?(?:_id)?s?:\s*([0-9]{1,18}(?:\s*,\s*[0-9]{1,18})*)\s*,?\s*")


def _id(value: Any) -> Any:
    """Read an id that is a number, or a number in a text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ValueError("not an id")
    return text


def _day(value: Any) -> Any:
    """Read a day; of a moment, its day."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _DAY.match(value) or len(value) > 40:
        raise ValueError("not a day")
    return date.fromisoformat(value[:10])


def _moment(value: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _DAY.match(value) or len(value) > 40 or not "1900" <= value[:4] < "2200":
        raise ValueError("not a moment")
    return datetime.fromisoformat(value)


Id = Annotated[str, BeforeValidator(_id)]
Patron = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) and not isinstance(value, bool) else value),
    Field(min_length=1, max_length=40, pattern=r"^\w+$"),
]
"""Compared with the key alone."""
Optional = Annotated[str | None, BeforeValidator(lambda value: None if value in (None, "") else _id(value))]
Day = Annotated[date | None, BeforeValidator(_day)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Code = Annotated[str, BeforeValidator(lambda value: "" if value is None else value), Field(max_length=40)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Checkout(_Record):
    """An item that a patron has."""

    checkout_id: Id
    patron_id: Patron
    item_id: Id
    due_date: Day = None
    library_id: Code = ""
    checkout_date: Moment = None
    last_renewed_date: Moment = None
    checkin_date: Moment = None


class Checkouts(RootModel[list[Checkout]]):
    """All items that a patron has."""


class Hold(_Record):
    """A record or an item that a patron reserved."""

    hold_id: Id
    patron_id: Patron
    biblio_id: Optional = None
    pickup_library_id: Code = ""
    priority: Annotated[int, Field(ge=0, le=100_000)] | None = None
    status: Literal["W", "T", "P"] | None = None
    hold_date: Day = None
    waiting_date: Moment = None
    expiration_date: Day = None
    cancellation_date: Day = None


class Holds(RootModel[list[Hold]]):
    """All that a patron reserved."""


class Notice(_Record):
    """A notice, short or a digest."""

    notice_type: str = Field(min_length=1, max_length=40)
    message_id: Id
    patron_id: Patron
    hold_id: Optional = None
    content: str = Field(default="", max_length=100_000)
    """The body of a digest: pieces of YAML that are no YAML together."""

    @property
    def holds(self) -> list[str]:
        """Return the holds that it names."""
        named = [self.hold_id] if self.hold_id is not None else []
        for line in self.content.splitlines():
            if match := _HOLDS.fullmatch(line):
                named += (text.strip() for text in match.group(1).split(","))
        return list(dict.fromkeys(named))
