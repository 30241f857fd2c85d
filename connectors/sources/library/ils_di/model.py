"""What a library answers about a patron, as the XML decoder gives it; in Koha's words, whichever dialect it came in.

Only what an event needs is read.  Names, titles, charges and the MARC record end at this edge.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connectors.sources.library.ils_di.profiles import Profile, having
from connectors.sources.library.ils_di.profiles.biblixnet import BIBLIXNET
from connectors.sources.library.ils_di.profiles.nanook import NANOOK
from connectors.sources.library.ils_di.profiles.orphee import COUNT, ORPHEE
from hub.model.errors import Invalid, VendorError
from hub.pipeline.decode import xml

_LOCAL = re.compile(r"(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")
_COUNT = re.compile(r"[0-9]{1,6}")


def _local(value: Any) -> Any:
    """Check a local day or time, and write it as ISO 8601 does."""
    if value is None:
        return None
    if not isinstance(value, str) or not _LOCAL.fullmatch(value):
        raise ValueError("not a local day or time")
    (date if len(value) == 10 else datetime).fromisoformat(value)
    return value.replace(" ", "T")


def _day(value: Any) -> Any:
    """Check a local day or time, and keep the day: whoever must return by 23:59 must return that day."""
    text = _local(value)
    return None if text is None else date.fromisoformat(text[:10])


def _count(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not _COUNT.fullmatch(value):
        raise ValueError("not a count")
    return int(value)


def _blank(value: Any) -> Any:
    """Read an empty element as an empty text."""
    return "" if value is None else value


def _many(value: Any) -> Any:
    """Read an element that stands once as a list of one."""
    return value if isinstance(value, list) else [value]


def _empty(name: str) -> BeforeValidator:
    """Read an element with nothing but white space as one without any `name` in it."""
    return BeforeValidator(lambda value: {name: []} if value is None else value)


Number = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
MaybeNumber = Annotated[
    str, BeforeValidator(lambda value: "" if value is None else value), Field(pattern=r"^[0-9A-Za-z._-]{0,64}$")
]
MaybeLocal = Annotated[str | None, BeforeValidator(_local)]
MaybeDay = Annotated[date | None, BeforeValidator(_day)]
MaybeCount = Annotated[int | None, BeforeValidator(_count)]
Coded = Annotated[str, BeforeValidator(_blank), Field(max_length=40)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Loan(_Strict):
    """One item that the patron has, with fields of its issue, its item and its record."""

    itemnumber: Number
    biblionumber: MaybeNumber = ""
    """Only BiblixNet leaves it out."""
    issuedate: MaybeLocal = None
    """A day, or a time without a zone; only Koha says it."""
    date_due: MaybeDay = None
    lastreneweddate: MaybeLocal = None
    branchcode: Coded = ""
    """Where it was lent."""
    itype: Coded = ""
    """Kind of the item; older versions say only that of its record."""
    itemtype: Coded = ""


class Hold(_Strict):
    """One reservation."""

    reservenumber: Number
    reservedate: MaybeLocal = None
    biblionumber: MaybeNumber = ""
    branchcode: Coded = ""
    """Where it will be collected; the label beside it may be encoded twice."""
    priority: MaybeCount = None
    """Place in the queue; 0 once an item was set aside."""
    found: Coded = ""
    """Newer versions: W waiting, T in transit, P in processing."""
    waitingdate: MaybeLocal = None
    expirationdate: MaybeDay = None

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, hold: Any) -> Any:
        """Take newer versions' name of the number."""
        if not isinstance(hold, dict):
            return hold
        return {**hold, "reservenumber": hold.get("reservenumber") or hold.get("reserve_id")}


class Loans(_Strict):
    """All loans."""

    loan: Annotated[list[Loan], BeforeValidator(_many)]


class Holds(_Strict):
    """All reservations."""

    hold: Annotated[list[Hold], BeforeValidator(_many)]


class Patron(_Strict):
    """A patron, with what was asked for."""

    borrowernumber: str = Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")
    loans: Annotated[Loans, _empty("loan")]
    """Always there when it was asked for."""
    holds: Annotated[Holds, _empty("hold")] = Holds(hold=[])
    """Left out when there are none."""


class Answer(_Strict):
    """The answer to one question."""

    GetPatronInfo: Patron

    @model_validator(mode="before")
    @classmethod
    def _refused(cls, answer: Any) -> Any:
        """Tell an error, whose HTTP status is 200, and put every dialect into Koha's words."""
        answer = _unwrapped(answer)
        inner = answer.get("GetPatronInfo") if isinstance(answer, dict) else None
        for part in (answer, inner):
            if isinstance(part, dict):
                for name in ("error", "code"):
                    if name in part:
                        raise VendorError(f"<{name}> in place of a patron", fields=(name,))
        if isinstance(inner, dict) and "patronId" in inner:
            profile = NANOOK if next(having(inner, "bibId"), None) is not None else BIBLIXNET
            return {"GetPatronInfo": _listed(profile, inner)}
        if inner is None and (reader := next(having(answer, "no", "cb", "nom"), None)) is not None:
            return {"GetPatronInfo": _found(reader, answer)}
        return answer


def _unwrapped(answer: Any) -> Any:
    """Open an answer that is the text of an element: whole documents come wrapped in CDATA, some of them twice."""
    for _ in range(2):
        if isinstance(answer, dict) and len(answer) == 1:
            (inner,) = answer.values()
            text = inner.get("#text") if isinstance(inner, dict) else inner
            if isinstance(text, str) and text.lstrip().startswith("<"):
                answer = xml(text.strip().encode("utf-8", "replace"))
    return answer


def _listed(profile: Profile, patron: dict[str, Any]) -> dict[str, Any]:
    """Write a patron with `loans` and `holds` as Koha would; without `loans` nothing is said of them."""
    told: dict[str, Any] = {"borrowernumber": profile.told(patron.get(profile.patron))}
    for name, inner, write in (("loans", "loan", profile.lent), ("holds", "hold", profile.reserved)):
        if name in patron:
            within = patron[name]
            items = _many(within[inner]) if isinstance(within, dict) and within.get(inner) is not None else []
            told[name] = {inner: [write(item) if isinstance(item, dict) else item for item in items]}
    return told


def _found(reader: Any, answer: Any) -> dict[str, Any]:
    """Write what stands anywhere in an answer of Orphée as Koha would; its own count says whether loans are missing."""
    loans = [ORPHEE.lent(item) for item in having(answer, "ntc", "cb", "date_ret")]
    count = ORPHEE.told(reader.get(COUNT))
    if not loans and count != "0":
        raise Invalid("no loans, and no count that says so", fields=(COUNT,))
    holds = [ORPHEE.reserved(item) for item in having(answer, "no_ntc", "no_dmt")]
    return {"borrowernumber": ORPHEE.told(reader["no"]), "loans": {"loan": loans}, "holds": {"hold": holds}}
