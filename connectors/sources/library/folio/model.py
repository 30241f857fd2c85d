"""FOLIO's answers, as far as they are read; names, bar codes of people and titles end here."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_MOMENT = re.compile(r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,18}(?:Z|[+-][0-9]{2}:?[0-9]{2})")


def _moment(value: Any) -> Any:
    """Read a moment, whose offset has a colon or none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("not a moment")
    return datetime.fromisoformat(value)


Id = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z-]+$")]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Name = Annotated[str, BeforeValidator(lambda value: "" if value is None else value), Field(max_length=80)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Named(_Record):
    name: Name = ""


class Status(_Record):
    """A loan's."""

    name: Literal["Open", "Closed"]
    """One that is not known might be either."""


class Point(_Record):
    """A service point: a desk of a library."""

    code: Name = ""


class Item(_Record):
    """What is lent."""

    instance_id: Name = Field(default="", alias="instanceId")
    material: _Named | None = Field(default=None, alias="materialType")


class Changed(_Record):
    """When the record was written last."""

    updated: Moment = Field(default=None, alias="updatedDate")


class Loan(_Record):
    """An item that a patron has, or had."""

    id: Id
    user_id: Id = Field(alias="userId")
    item_id: Id = Field(alias="itemId")
    status: Status
    loaned: Moment = Field(default=None, alias="loanDate")
    due: Moment = Field(default=None, alias="dueDate")
    action: Name = ""
    item: Item | None = None
    desk: Point | None = Field(default=None, alias="checkoutServicePoint")
    metadata: Changed | None = None


class _List(_Record):
    total: Annotated[int, Field(ge=0)] = Field(alias="totalRecords")


class Loans(_List):
    """Loans of a patron."""

    loans: list[Loan]


class Request(_Record):
    """Something that a patron reserved."""

    id: Id
    requester_id: Id = Field(alias="requesterId")
    instance_id: Name = Field(default="", alias="instanceId")
    status: str = Field(max_length=40, pattern=r"^(Open|Closed) - ")
    position: Annotated[int, Field(ge=0, le=100_000)] | None = None
    requested: Moment = Field(default=None, alias="requestDate")
    until: Moment = Field(default=None, alias="holdShelfExpirationDate")
    point: Point | None = Field(default=None, alias="pickupServicePoint")
    metadata: Changed | None = None


class Requests(_List):
    """Requests of a patron."""

    requests: list[Request]
