"""Who is told about an event, and in which words: a pure decision, one row per person and fact.

A row's id comes from the event's id, the citizen and the channel, so that no restart and no replay
can tell a fact twice.  Rules.  Only what is opted in to; only what was read lately (a rebuild from
the topics tells nobody again); nothing of a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5

from hub.locale import day_words

NOTICE_IDS = UUID("0b1d5b52-52f0-5b7e-8a51-6a1f0e6a9d10")
"""Namespace of notice ids; changing it would tell everybody everything again."""

FRESH = timedelta(hours=24)
"""News that was read longer ago is no news."""


class Told(Protocol):
    """What the decision needs to know of an event."""

    @property
    def id(self) -> str:
        """Event id."""

    @property
    def type(self) -> str:
        """Full record name."""

    @property
    def subject(self) -> str:
        """Whom or what it is about."""

    @property
    def read_at(self) -> int:
        """UTC milliseconds."""

    @property
    def payload(self) -> Any:
        """Canonical model."""

    @property
    def replay(self) -> bool:
        """Whether it is told again by a replay."""


class Recipient(NamedTuple):
    """A citizen with an open link to the subject, or with an interest in one of the lines."""

    citizen: str
    email: str | None
    topics: frozenset[str]


class Notice(NamedTuple):
    """A row of the outbox."""

    id: str
    channel: str
    topic: str
    citizen: str
    template: str
    address: str
    values: Mapping[str, str]


class Rule(NamedTuple):
    """Which topic a kind of event belongs to, and the template that tells it."""

    topic: str
    template: str


RULES: Mapping[str, Rule] = {
    "hub.school_catering.MealBooked": Rule("canteen", "meal_booked"),
    "hub.school_catering.MealCancelled": Rule("canteen", "meal_cancelled"),
    "hub.school_catering.AbsenceRecorded": Rule("canteen", "absence_recorded"),
    "hub.library.LoanOverdue": Rule("library", "loan_overdue"),
    "hub.library.HoldReady": Rule("library", "hold_ready"),
    "hub.civil_registry.RecordRequested": Rule("requests", "record_requested"),
    "hub.civil_registry.RequestStatusChanged": Rule("requests", "request_status_changed"),
    "hub.transport.DisruptionPublished": Rule("disruptions", "disruption_published"),
}
"""Kinds of events that are told; any other is only shown."""

_STATUS = {
    "RECEIVED": "bien reçue",
    "IN_PROGRESS": "en cours de traitement",
    "AWAITING_DOCUMENTS": "en attente de pièces complémentaires",
    "DONE": "terminée",
    "REFUSED": "refusée",
    "INTEGRATION_ERROR": "en cours de vérification",
}
_RECORD = {"BIRTH": "acte de naissance", "MARRIAGE": "acte de mariage", "DEATH": "acte de décès"}
_ACTIVITY = {"LUNCH": "déjeuner", "MORNING_CARE": "accueil du matin", "EVENING_CARE": "accueil du soir"}


def decide(event: Told, recipients: Iterable[Recipient], now: datetime) -> tuple[Notice, ...]:
    """Return one notice per recipient who asked for it."""
    rule = RULES.get(event.type)
    if rule is None or event.replay or now.timestamp() - event.read_at / 1000 > FRESH.total_seconds():
        return ()
    values = _values(event.payload)
    return tuple(
        Notice(
            id=str(uuid5(NOTICE_IDS, f"{event.id}\x1f{recipient.citizen}\x1fmail")),
            channel="mail",
            topic=rule.topic,
            citizen=recipient.citizen,
            template=rule.template,
            address=recipient.email,
            values=values,
        )
        for recipient in recipients
        if recipient.email and rule.topic in recipient.topics
    )


def _values(payload: Any) -> dict[str, str]:
    """Say the payload's fields in the words of a message."""
    values: dict[str, str] = {}
    for name, words in (("status", _STATUS), ("record_kind", _RECORD), ("activity", _ACTIVITY)):
        code = str(getattr(payload, name, ""))
        if code:
            values[name] = words.get(code, "")
    for name in ("meal_date", "due_date", "until"):
        day = getattr(payload, name, None)
        if isinstance(day, date):
            values[name] = day_words(day)
    for name in ("title", "description"):
        text = getattr(payload, name, None)
        if text:
            values[name] = text
    lines = getattr(payload, "lines", None)
    if lines:
        # They stand in a mail's subject, which ends with its line.
        values["lines"] = ", ".join(" ".join(line.rpartition(":")[2].split()) for line in lines)
    return values
