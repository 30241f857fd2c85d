"""What SmartTransac answers: documents as text, inside of SOAP.

Attributes and elements of the same name are the same here.  Only what an event needs is read: the contracts
with the children's names, cards and dates of birth end at this edge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import VendorError
from hub.pipeline import soap
from hub.pipeline.decode import xml

_LOCAL = re.compile(r"(20[0-9]{2}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.[0-9]{1,7})?")
_DAY = re.compile(r"((?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2})([ T].*|Z|[+-][0-9]{2}:[0-9]{2})?")
_CENTS = re.compile(r"[+-]?[0-9]{1,12}")


def _local(value: Any) -> Any:
    """Read a time without a zone, to the second."""
    found = _LOCAL.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a local time")
    return datetime.fromisoformat(f"{found[1]}T{found[2]}")


def _day(value: Any) -> Any:
    """Read a day as it is written: the vendor adds an offset to some, and a time to others."""
    found = _DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a day")
    return date.fromisoformat(found[1])


def _maybe_day(value: Any) -> Any:
    return None if value is None or (isinstance(value, str) and not value.strip()) else _day(value)


def _cents(value: Any) -> Any:
    """Read whole cents, which are text; what has a comma is no cents."""
    if not isinstance(value, str) or not _CENTS.fullmatch(value.strip()):
        raise ValueError("not whole cents")
    return int(value)


def _flag(value: Any) -> Any:
    if value not in ("0", "1"):
        raise ValueError("not 0 or 1")
    return value == "1"


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _many(value: Any) -> Any:
    """Read an element that stands once as a list of one."""
    return value if isinstance(value, list) else [value]


def _empty(name: str) -> BeforeValidator:
    """Read an element with nothing but white space as one without any `name` in it."""
    return BeforeValidator(lambda value: {name: []} if value is None else value)


Id = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,24}$")]
Local = Annotated[datetime, BeforeValidator(_local)]
Day = Annotated[date, BeforeValidator(_day)]
MaybeDay = Annotated[date | None, BeforeValidator(_maybe_day)]
Cents = Annotated[int, BeforeValidator(_cents)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Text = Annotated[str, BeforeValidator(_blank), Field(max_length=200)]
Word = Annotated[str, BeforeValidator(_blank), Field(max_length=24)]


def _inside(answer: Any, root: str) -> Any:
    """Find the document with `root`: in an element of SOAP, as its text, or bare; a sentence instead is an error."""
    node = soap.body(answer)
    # Envelope and body are gone: what is left are `<Operation>Response` and `<Operation>Result`.
    for _ in range(3):
        if not isinstance(node, dict) or root in node or len(node) != 1:
            break
        (node,) = node.values()
    if isinstance(node, str) and (text := node.strip().lstrip("\ufeff")).startswith("<"):
        node = soap.bare(xml(text.encode()))
    if isinstance(node, str) or (isinstance(node, dict) and isinstance(node.get(root), str)):
        raise VendorError(f"a sentence in place of <{root}>")
    if isinstance(node, Mapping) and "error" in node:
        raise VendorError(f"<error> in place of <{root}>", fields=("error",))
    return node


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Event(_Strict):
    """One use of a child's card."""

    id: Id = Field(alias="event-id")
    """Not unique: the same one comes back with another hour and another activity."""
    date: Local = Field(alias="event-date")
    activity: Text = Field(default="", alias="event-label3")
    """In French, `Repas`."""
    kind: Word = Field(default="", alias="event-label4")
    """Its English key, `Meal`."""


class Events(_Strict):
    """All uses in the days that were asked for."""

    event: Annotated[list[Event], BeforeValidator(_many)] = Field(default=[], max_length=5000)


class Transactions(_Strict):
    """The answer to GetChildTransactions2."""

    events: Annotated[Events, _empty("event")]

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, answer: Any) -> Any:
        return _inside(answer, "events")


class Account(_Strict):
    """One account of a family."""

    id: Id = Field(alias="account-id")
    value: Cents
    date: MaybeDay = None
    label: Text = ""


class Bill(_Strict):
    """One bill."""

    id: Id = Field(alias="bill-id")
    value: Cents
    label: Text = ""
    date: MaybeDay = None
    due: MaybeDay = Field(default=None, alias="date-expiration")
    paid_on: MaybeDay = Field(default=None, alias="date-payment")
    """Unpaid bills have one too."""
    paid: Flag = Field(alias="payed")


class AccountList(_Strict):
    """All accounts."""

    account: Annotated[list[Account], BeforeValidator(_many)] = []


class BillList(_Strict):
    """All bills that the vendor keeps."""

    bill: Annotated[list[Bill], BeforeValidator(_many)] = []


class Family(_Strict):
    """A family's money."""

    accounts: Annotated[AccountList, _empty("account")] = AccountList()
    bills: Annotated[BillList, _empty("bill")] = BillList()


class Accounts(_Strict):
    """The answer to GetFamilyAccounts."""

    family: Family

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, answer: Any) -> Any:
        return _inside(answer, "family")
