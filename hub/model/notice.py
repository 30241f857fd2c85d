"""Notices: what somebody is told, when at the earliest, and until when it is of use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

EVERYTHING = "*"
"""Stands for every topic, or every channel, of what nobody may be told any more."""


class Urgency(StrEnum):
    """The lane of the outbox; each has a capacity that the others cannot take."""

    URGENT = "urgent"
    """Somebody has to act at once: passes quiet hours, the cap and the digest."""
    NORMAL = "normal"
    """About one person's own doing."""
    BULK = "bulk"
    """The same for many at once."""


class Recipient(NamedTuple):
    """A citizen whom an event concerns, with what they wish."""

    citizen: str
    email: str | None
    topics: frozenset[str]
    phone: str | None = None
    channel: str = "mail"
    """`mail`, `sms` or `app`: the preferred one."""
    digest: bool = False
    """Whether all that is not urgent comes once a day."""
    stopped: frozenset[tuple[str, str]] = frozenset()
    """Channels and topics that nothing goes out by or about, whatever is wished: unsubscribed, bounced, dead."""
    told: int = 0
    """Notices that went out this day, or are on their way."""


def within(recipient: Recipient, scope: Collection[str] | None) -> Recipient:
    """Leave of somebody's wishes what their link shows: a topic bears the name of the block that shows it."""
    return recipient._replace(topics=recipient.topics & frozenset(scope)) if scope else recipient


class Notice(NamedTuple):
    """A row of the outbox for a person."""

    id: str
    channel: str
    topic: str
    citizen: str
    event_id: str
    """The event that it tells, the first of several."""
    subject: str
    payload: Mapping[str, Any]
    """Address, template and the words of each fact."""
    urgency: Urgency
    until: int
    """When it stops being of use, UTC milliseconds."""
    due_at: int | None = None
    """When it is decided again; None: it goes out at once."""
    digest: bool = False
    cut_off: int | None = None
    """Until when its reader can still change something; told later it is of use all the same.  UTC milliseconds."""


class Waiting(NamedTuple):
    """A notice that is due to be decided again."""

    id: str
    channel: str
    topic: str
    citizen: str
    payload: Mapping[str, Any]
    urgency: Urgency
    until: int
    digest: bool
    concerned: bool
    """Whether the citizen still has a link to what it is about, or it is public."""


class Again(NamedTuple):
    """What became of a notice that was decided again."""

    id: str
    state: str
    """`pending`: it goes out; `waiting`; `expired`, `unwanted`, or `folded` into another one."""
    due_at: int | None = None
    channel: str | None = None
    payload: Mapping[str, Any] | None = None
    code: str | None = None
    digest: bool = False
    """Whether what waits belongs to a digest."""


Concerned = Sequence[tuple[Any, Sequence[Recipient]]]
"""Events, each with whom it concerns."""
