"""The messages that begin and end a loan, with a namespace or without; persons and titles are not read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid
from hub.pipeline.soap import bare


def _text(value: Any) -> Any:
    """Read an element that bears a `Scheme` as its text."""
    return value.get("#text") if isinstance(value, dict) else value


Name = Annotated[str, BeforeValidator(_text), Field(pattern=r"^[0-9A-Za-z._:@-]{1,64}$")]
MaybeName = Annotated[
    str, BeforeValidator(lambda value: _text(value) or ""), Field(pattern=r"^[0-9A-Za-z._:@-]{0,64}$")
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class User(_Part):
    """Who borrows."""

    AgencyId: Name
    UserIdentifierValue: Name


class Item(_Part):
    """What is lent."""

    AgencyId: MaybeName = ""
    ItemIdentifierValue: Name

    @property
    def name(self) -> str:
        """Name the item among those of all agencies."""
        return f"{self.AgencyId}/{self.ItemIdentifierValue}"


class Request(_Part):
    """The request that the loan fulfils."""

    RequestIdentifierValue: Name


class CheckOut(_Part):
    """An item is lent."""

    UserId: User
    ItemId: Item
    RequestId: Request
    DesiredDateDue: datetime | None = None


class CheckIn(_Part):
    """An item came back."""

    ItemId: Item


class Message(_Part):
    """One message."""

    CheckOutItem: CheckOut | None = None
    CheckInItem: CheckIn | None = None

    @model_validator(mode="before")
    @classmethod
    def _opened(cls, document: Any) -> Any:
        """Take what is in `NCIPMessage`, names bare."""
        inner = opened(document)
        if not inner:
            raise Invalid("another document", fields=("NCIPMessage",))
        return inner


def opened(document: Any) -> dict[str, Any]:
    """Return the contents of `NCIPMessage` with bare names; nothing for another document."""
    plain = bare(document)
    inner = plain.get("NCIPMessage") if isinstance(plain, dict) else None
    return inner if isinstance(inner, dict) else {}
