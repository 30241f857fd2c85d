"""What the portal sends; the format is ours, so nothing is lenient."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid

_INSTANT = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("not an instant with an offset")
    return datetime.fromisoformat(value)


def _day(value: Any) -> Any:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("not a date")
    return date.fromisoformat(value)


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Day = Annotated[date, BeforeValidator(_day)]
Uuid = Annotated[
    str,
    Field(pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"),
    AfterValidator(str.lower),
]
Subject = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._:@/-]{1,150}$")]
Line = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,8}:[A-Za-z0-9_-]{1,16}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Clerk = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,79}$")]
Email = Annotated[
    str, Field(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _text(value: Any) -> Any:
    return "" if value is None else value


Claimed = Annotated[str, BeforeValidator(_text), Field(max_length=200)]


class Identity(BaseModel):
    """Who somebody is, in FranceConnect's words; whatever else it says is not read, its `sub` least of all."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    family_name: Claimed = ""
    """At birth."""
    preferred_username: Claimed = ""
    """In use; of an account from another country `family_name` may be this one."""
    given_name: Claimed = ""
    """All of them, with spaces; some people have none."""
    birthdate: Annotated[str, BeforeValidator(_text), Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    """`00` for a month or a day that nobody knows."""
    gender: Claimed = ""
    """`male`, `female`, or `unspecified`, and what records write instead."""
    birthplace: Claimed = ""
    """INSEE's code of the commune; empty, or the name of a town, for who was born abroad."""
    birthcountry: Claimed = ""
    """INSEE's code of the country, 99100 for France."""


class Evidence(_Strict):
    """What there is to tell whether the account may see the subject."""

    account: Identity
    record: Identity


class Link(_Strict):
    """The link that is asked for."""

    subject: Subject
    role: Literal["self", "parent", "mandate"]
    scope: list[Word] = Field(default=[], max_length=20)
    until: Day | None = None
    evidence: Evidence | None = None


class Unlink(_Strict):
    """The link that shall end."""

    subject: Subject


class Preferences(_Strict):
    """How and about what to be told."""

    email: Email | None
    topics: list[Literal["canteen", "library", "requests", "disruptions"]] = Field(max_length=20)
    lines: list[Line] = Field(max_length=100)
    language: str = Field(default="fr", pattern="^[a-z]{2}$")
    phone: Phone | None = None
    channel: Literal["mail", "sms", "app"] = "mail"
    digest: bool = False


class Message(_Strict):
    """One message: its type, and the one part that goes with the type."""

    id: Uuid
    type: Literal["link_requested", "unlink_requested", "preferences_changed"]
    at: Instant
    citizen: Uuid
    link: Link | None = None
    unlink: Unlink | None = None
    preferences: Preferences | None = None

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        wanted = {"link_requested": "link", "unlink_requested": "unlink"}.get(self.type, "preferences")
        for part in ("link", "unlink", "preferences"):
            if (getattr(self, part) is not None) != (part == wanted):
                raise Invalid("missing" if part == wanted else "does not go with the type", fields=(part,))
        return self


class Decided(_Strict):
    """A link that a clerk decided about, in full."""

    subject: Subject
    role: Literal["self", "parent", "mandate"]
    scope: list[Word] = Field(max_length=20)
    until: Day | None


class Decision(_Strict):
    """A clerk's decision about a link."""

    id: Uuid
    at: Instant
    clerk: Clerk
    citizen: Uuid
    proposal: Uuid
    accepted: bool
    reason: Literal["proven", "somebody_else", "not_enough"]
    link: Decided

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.accepted != (self.reason == "proven"):
            raise Invalid("does not go with what was decided", fields=("reason",))
        return self


class Move(_Strict):
    """Links that shall be another account's."""

    to: Uuid
    subjects: Annotated[list[Subject], Field(min_length=1, max_length=100)] | None
    """null: all. An empty list is an error: it would be everything by mistake."""


class Undo(_Strict):
    """A command that shall not have been."""

    command: Uuid
    """Its event id."""


class Household(_Strict):
    """What a clerk changes of links: its type, and the one part that goes with the type."""

    id: Uuid
    type: Literal["move", "undo", "link", "unlink"]
    at: Instant
    clerk: Clerk
    citizen: Uuid
    move: Move | None = None
    undo: Undo | None = None
    link: Decided | None = None
    """As it shall be, whatever it was."""
    unlink: Unlink | None = None

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        for part in ("move", "undo", "link", "unlink"):
            if (getattr(self, part) is not None) != (part == self.type):
                raise Invalid("missing" if part == self.type else "does not go with the type", fields=(part,))
        if self.move is not None and self.move.to == self.citizen:
            raise Invalid("the account itself", fields=("move.to",))
        return self
