"""Who is told about an event, when, and in which words: pure decisions, rules as data.

A row's id comes from the event's id, the citizen and the channel, so that no restart and no replay can tell a fact
twice.  Rules.  Only what is opted in to; only what was read lately (a rebuild from the topics tells nobody again) and
happened lately (the first look at a source tells no history); nothing of a replay; nothing by a channel that was
stopped.  Facts of one kind that are known at once are one message to one person.  What is not urgent waits for the end
of quiet hours, for the daily digest of who asked for it, or, beyond the day's cap, for the digest too.  What has waited
is decided again when it is due, by the wishes and the cap of then; what is of no use any more expires.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5

from hub.calendar import CITY, CutOff, is_working_day
from hub.locale import day_words
from hub.model.notice import EVERYTHING, Again, Concerned, Notice, Recipient, Urgency, Waiting

NOTICE_IDS = UUID("0b1d5b52-52f0-5b7e-8a51-6a1f0e6a9d10")
"""Namespace of notice ids; changing it would tell everybody everything again."""

FRESH = timedelta(hours=24)
"""News that was read longer ago is no news."""

DIGEST = "digest"
"""Template of a daily digest."""


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
    def time(self) -> int:
        """When it happened, UTC milliseconds."""

    @property
    def read_at(self) -> int:
        """UTC milliseconds."""

    @property
    def payload(self) -> Any:
        """Canonical model."""

    @property
    def replay(self) -> bool:
        """Whether it is told again by a replay."""


class Rule(NamedTuple):
    """How a kind of event is told."""

    topic: str
    """What one asks for to be told."""
    template: str
    urgency: Urgency = Urgency.NORMAL
    useful: timedelta = timedelta(days=3)
    """How long after its reading it is of use; not less than `FRESH`."""
    together: bool = False
    """Whether facts of this kind that are known at once are one message to one person."""
    news: timedelta = timedelta(days=7)
    """How long after it happened it is news."""
    day: str | None = None
    """Field with the day that it is about; when that is over, it happened on that day at the latest."""
    cut_off: bool = False
    """Whether that day can still be changed until the city's cut-off: it is to be told by then."""
    offer: bool = False
    """Whether the message says so, and is of no use later."""
    working_days: bool = False
    """Whether it can wait for a day on which somebody answers the telephone."""


RULES: Mapping[str, Rule] = {
    "hub.school_catering.MealBooked": Rule(
        "canteen", "meal_booked", together=True, day="meal_date", cut_off=True, offer=True
    ),
    "hub.school_catering.MealCancelled": Rule(
        "canteen", "meal_cancelled", together=True, day="meal_date", cut_off=True
    ),
    "hub.school_catering.AbsenceRecorded": Rule(
        "canteen", "absence_recorded", Urgency.URGENT, FRESH, together=True, day="meal_date"
    ),
    "hub.library.LoanOverdue": Rule(
        "library", "loan_overdue", Urgency.BULK, timedelta(days=7), together=True, working_days=True
    ),
    "hub.library.HoldReady": Rule("library", "hold_ready", together=True),
    "hub.civil_registry.RecordRequested": Rule(
        "requests", "record_requested", useful=timedelta(days=30), news=timedelta(days=30)
    ),
    "hub.civil_registry.RequestStatusChanged": Rule(
        "requests", "request_status_changed", useful=timedelta(days=30), news=timedelta(days=30)
    ),
    "hub.transport.DisruptionPublished": Rule("disruptions", "disruption_published", Urgency.BULK, FRESH),
}
"""Kinds of events that are told; any other is only shown."""

DEATHS = frozenset({"hub.civil_registry.DeathDeclared", "hub.civil_registry.DeathPublished"})
"""Kinds of events after which nothing goes to whom they are about, once a link says who that is."""


class Manners(NamedTuple):
    """When the city writes to people, and when it does not."""

    quiet_from: time
    quiet_until: time
    """The same moment twice: there are no quiet hours."""
    cap: int
    """Notices of one day that reach a person at once; 0: no cap."""
    digest_at: time
    working_days: bool
    """Whether what can wait for a working day does."""
    cut_off: CutOff | None
    """Until when a meal can be changed; None: nothing is said about it."""


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


def decide(concerned: Concerned, now: datetime, manners: Manners) -> tuple[Notice, ...]:
    """Return the notices about events that became known at once, each with its moment."""
    gathered: dict[tuple[str, ...], list[tuple[Told, Rule, Recipient]]] = defaultdict(list)
    for event, recipients in concerned:
        rule = RULES.get(event.type)
        if rule is None or event.replay or not _is_news(rule, event, now):
            continue
        for recipient in recipients:
            if rule.topic in recipient.topics and _reached(recipient, rule.topic) is not None:
                gathered[recipient.citizen, event.type, "" if rule.together else event.id].append(
                    (event, rule, recipient)
                )
    told: Counter[str] = Counter()
    notices = []
    for found in gathered.values():
        event, rule, recipient = found[0]
        facts = [_fact(each, rule, now, manners) for each, _, _ in found]
        notice = _notice(found[0], facts, recipient.told + told[recipient.citizen], now, manners)
        # What waits is counted on the day on which it goes out.
        told[recipient.citizen] += notice.due_at is None
        notices.append(notice)
    return tuple(notices)


def again(
    waiting: Sequence[Waiting], recipients: Mapping[str, Recipient], now: datetime, manners: Manners
) -> tuple[Again, ...]:
    """Decide notices again that are due, all of a citizen at once, by what their citizens wish now."""
    moment = _milliseconds(now)
    decided = []
    digests: dict[tuple[str, str], list[tuple[Waiting, str]]] = defaultdict(list)
    told: Counter[str] = Counter()
    # What ends first goes first: of what the cap holds back, most can wait for the digest.
    for row in sorted(waiting, key=lambda row: row.until):
        recipient = recipients.get(row.citizen)
        reached = _reached(recipient, row.topic) if recipient is not None else None
        if recipient is None or reached is None or not row.concerned or row.topic not in recipient.topics:
            decided.append(Again(row.id, "unwanted"))
            continue
        if row.until <= moment:
            decided.append(Again(row.id, "expired"))
            continue
        until = datetime.fromtimestamp(row.until / 1000, UTC)
        if row.digest:
            due, digest = _quiet_until(now, manners), True
        else:
            due, digest = _due(row.urgency, recipient, recipient.told + told[row.citizen], until, now, manners)
        channel, address = reached
        if due is not None:
            decided.append(Again(row.id, "waiting", _milliseconds(due), digest=digest))
        elif digest:
            digests[row.citizen, channel].append((row, address))
        else:
            told[row.citizen] += 1
            decided.append(Again(row.id, "pending", None, channel, {**row.payload, "address": address}))
    for (_, channel), rows in digests.items():
        first, address = rows[0]
        parts = [{name: part for name, part in row.payload.items() if name != "address"} for row, _ in rows]
        payload = {"address": address, "template": DIGEST, "values": {}, "parts": parts}
        decided.append(Again(first.id, "pending", None, channel, payload if len(rows) > 1 else
                             {**first.payload, "address": address}))  # fmt: skip
        decided.extend(Again(row.id, "folded", code=first.id) for row, _ in rows[1:])
    return tuple(decided)


def _is_news(rule: Rule, event: Told, now: datetime) -> bool:
    """Tell whether an event was read lately and happened lately, however late it was read."""
    moment = now.timestamp() * 1000
    read, happened = timedelta(milliseconds=moment - event.read_at), timedelta(milliseconds=moment - event.time)
    day = getattr(event.payload, rule.day, None) if rule.day is not None else None
    over = now.astimezone(CITY).date() - day if isinstance(day, date) else timedelta(0)
    return read <= FRESH and max(happened, over) <= rule.news


def _reached(recipient: Recipient, topic: str) -> tuple[str, str] | None:
    """Return the channel by which somebody may be told about a topic, the preferred one first, and the address."""
    addresses = {"mail": recipient.email, "sms": recipient.phone, "app": recipient.citizen}
    for channel in dict.fromkeys((recipient.channel, "mail")):
        address = addresses.get(channel)
        if address and not recipient.stopped & {
            (where, what) for where in (channel, EVERYTHING) for what in (topic, EVERYTHING)
        }:
            return channel, address
    return None


def _notice(
    one: tuple[Told, Rule, Recipient],
    facts: Sequence[tuple[dict[str, str], datetime, datetime | None]],
    told: int,
    now: datetime,
    manners: Manners,
) -> Notice:
    event, rule, recipient = one
    channel, address = _reached(recipient, rule.topic) or ("", "")
    until = min(ends for _, ends, _ in facts)
    closes = [moment for _, _, moment in facts if moment is not None]
    payload: dict[str, Any] = {"address": address, "template": rule.template, "values": facts[0][0]}
    if len(facts) > 1:
        payload["more"] = [values for values, _, _ in facts[1:]]
    due, digest = _due(rule.urgency, recipient, told, until, now, manners)
    opens = _opens(rule, due or now, manners)
    if opens is not None and opens < until:
        due, digest = opens, False
    return Notice(
        # Of the channel that was first: a row is one fact and one person, whichever way it goes in the end.
        id=str(uuid5(NOTICE_IDS, f"{event.id}\x1f{recipient.citizen}\x1f{channel}")),
        channel=channel,
        topic=rule.topic,
        citizen=recipient.citizen,
        event_id=event.id,
        subject=event.subject,
        payload=payload,
        urgency=rule.urgency,
        until=_milliseconds(until),
        due_at=_milliseconds(due) if due is not None else None,
        digest=digest,
        cut_off=_milliseconds(min(closes)) if closes else None,
    )


def _due(
    urgency: Urgency,
    recipient: Recipient,
    told: int,
    until: datetime,
    now: datetime,
    manners: Manners,
) -> tuple[datetime | None, bool]:
    """Return when a notice is decided again, None for at once, and whether it belongs to the digest then.

    `told` counts what goes out to the person today.
    """
    if urgency is Urgency.URGENT:
        return None, False
    digest = _next(now, manners.digest_at)
    # Told in the digest it could come too late to be of use.
    if recipient.digest and digest < until:
        return digest, True
    quiet = _quiet_until(now, manners)
    # In the morning it is another day, or the cap is looked at then.
    if quiet is None and manners.cap and told >= manners.cap and digest < until:
        return digest, True
    return quiet, False


def _opens(rule: Rule, goes: datetime, manners: Manners) -> datetime | None:
    """Return when the next working day begins, if the notice can wait for one and would go out on another day."""
    day = goes.astimezone(CITY).date()
    if not (rule.working_days and manners.working_days) or is_working_day(day):
        return None
    while not is_working_day(day):
        day += timedelta(days=1)
    return datetime.combine(day, manners.quiet_until, CITY)


def _quiet_until(now: datetime, manners: Manners) -> datetime | None:
    """Return when the quiet hours end that it is in, if it is in some."""
    local = now.astimezone(CITY).time()
    start, end = manners.quiet_from, manners.quiet_until
    quiet = start <= local < end if start <= end else local >= start or local < end
    return _next(now, end) if quiet else None


def _next(now: datetime, at: time) -> datetime:
    """Return the next time that a clock in the city shows `at`."""
    local = now.astimezone(CITY)
    today = datetime.combine(local.date(), at, CITY)
    # Compared in UTC: twice a year a local day has not 24 hours.
    return today if today.astimezone(UTC) > now else datetime.combine(local.date() + timedelta(days=1), at, CITY)


def _fact(event: Told, rule: Rule, now: datetime, manners: Manners) -> tuple[dict[str, str], datetime, datetime | None]:
    """Return a fact in words, until when saying it is of use, and its cut-off if that is to come."""
    values = _values(event.payload)
    ends = datetime.fromtimestamp(event.read_at / 1000, UTC) + rule.useful
    day = getattr(event.payload, rule.day, None) if rule.cut_off and rule.day is not None else None
    if not isinstance(day, date) or manners.cut_off is None or day < now.astimezone(CITY).date():
        return values, ends, None
    closes = manners.cut_off.of(day)
    moment = closes.astimezone(UTC)
    if moment <= now:
        return values, ends, None
    if rule.offer:
        values["cancel_until"] = f"{day_words(closes.date())} à {closes:%H:%M}"
        ends = min(ends, moment)
    return values, ends, moment


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


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
