"""The ledger: what the town said against what the hub has.

For each source, four legs, each a difference that must be 0:

    answers     every answer that the town served is one raw record, and every raw record was served
    records     every raw record was delivered, set aside or skipped, and its outcome stands in the topics
    facts       what could be observed of the town is in the event topics, once, and nothing else is
    entries     every event stands in SQL, and nothing else does

and for the mail: every notice that is due was taken by the mail server, once.

What may miss, and why, is told by the town, never by a tolerance: an answer that a fault spoiled, the
last answer of an intake process that ended, a fact that no arrived answer showed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hub.kafka.ledger import Topics
from hub.model.connector import Connector
from hub.model.decision import Deliver, Quarantine, Skip
from hub.model.record import Header, Record
from hub.pipeline.parking import Partition, decide
from hub.pipeline.process import Encoder
from hub.testing.town.journal import Account, Entry


class Stored(NamedTuple):
    """A row of the hub's SQL side."""

    id: str
    type: str
    subject: str
    product: str


class Sent(NamedTuple):
    """A mail notice of the outbox."""

    id: str
    state: str


@dataclass
class Source:
    """One source's lines of the ledger."""

    product: str
    served: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    """Answers that are in no raw topic, by the town's reason."""
    lost: list[str] = field(default_factory=list)
    """Answers that are in no raw topic, and nothing says why: a loss."""
    raw: int = 0
    unserved: int = 0
    """Raw records whose answer the town never gave."""
    foreign: int = 0
    """Raw records that name no answer: put there by hand."""
    again: int = 0
    """Raw records of callbacks that the town delivered more than once, beyond the first."""
    doubled: int = 0
    """Raw records of one answer beyond the first, without a second delivery by the town."""
    delivered: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    since: int = 0
    """Raw records of answers that were served while the hub's side was read: in order, and in no other count."""
    adrift: int = 0
    """Raw records whose outcome stands nowhere."""
    events: int = 0
    unfounded: int = 0
    """Events that no raw record gives."""
    facts: int = 0
    hidden: Counter[str] = field(default_factory=Counter)
    """Facts that nobody could observe, by the town's reason."""
    mismatched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Type and subject: said, found; only where they differ."""
    entries: int = 0
    misfiled: int = 0
    """Events without an entry, entries without an event."""

    @property
    def difference(self) -> int:
        """What does not add up."""
        wrong = sum(abs(said - found) for said, found in self.mismatched.values())
        return len(self.lost) + self.unserved + self.doubled + self.adrift + self.unfounded + wrong + self.misfiled


@dataclass
class Mails:
    """The notices' lines of the ledger."""

    due: int = 0
    """Notices in the outbox."""
    sent: int = 0
    refused: int = 0
    waiting: int = 0
    taken: int = 0
    """Messages that the mail server took."""
    doubled: int = 0
    """Taken more than once under one Message-ID, without a lost answer that explains it."""
    unfounded: int = 0
    """Taken without a notice."""
    missing: int = 0
    """Said to be sent, and not taken."""

    @property
    def difference(self) -> int:
        """What does not add up."""
        return self.waiting + self.doubled + self.unfounded + self.missing


@dataclass
class Ledger:
    """The whole account."""

    sources: list[Source]
    mails: Mails

    @property
    def difference(self) -> int:
        """0 when the hub has exactly what the town said."""
        return sum(source.difference for source in self.sources) + self.mails.difference

    @property
    def balanced(self) -> bool:
        """Whether the difference is 0."""
        return self.difference == 0

    def json(self) -> dict[str, Any]:
        """Return plain data for machines."""
        return {
            "difference": self.difference,
            "balanced": self.balanced,
            "sources": {
                source.product: {
                    "served": source.served,
                    "not_raw_by_reason": dict(source.excused),
                    "lost": len(source.lost),
                    "again": source.again,
                    "raw": source.raw,
                    "unserved": source.unserved,
                    "foreign": source.foreign,
                    "doubled": source.doubled,
                    "delivered": source.delivered,
                    "quarantined": dict(source.quarantined),
                    "skipped": dict(source.skipped),
                    "since": source.since,
                    "adrift": source.adrift,
                    "events": source.events,
                    "unfounded": source.unfounded,
                    "observable_facts": source.facts,
                    "hidden_facts": dict(source.hidden),
                    "mismatched": {name: list(counts) for name, counts in source.mismatched.items()},
                    "entries": source.entries,
                    "misfiled": source.misfiled,
                    "difference": source.difference,
                }
                for source in self.sources
            },
            "mails": {
                "due": self.mails.due,
                "sent": self.mails.sent,
                "refused": self.mails.refused,
                "waiting": self.mails.waiting,
                "taken": self.mails.taken,
                "doubled": self.mails.doubled,
                "unfounded": self.mails.unfounded,
                "missing": self.mails.missing,
                "difference": self.mails.difference,
            },
        }


def reckon(
    *,
    early: Sequence[Entry],
    topics: Topics,
    stored: Iterable[Stored],
    notices: Iterable[Sent],
    late: Sequence[Entry],
    connectors: Mapping[str, Connector],
    schemas: Encoder,
) -> Ledger:
    """Compare.  `early` and `late` are the journal before and after the hub's side was read.

    An answer must be raw if it was served before, and may be raw if it was served meanwhile.
    """
    before, after = Account.of(early), Account.of(late)
    rows: dict[str, dict[str, Stored]] = defaultdict(dict)
    for row in stored:
        rows[row.product][row.id] = row
    arrived = {answer for records in topics.raw.values() for record in records if (answer := _answer(record))}
    seen = after.seen(arrived)
    sources = []
    for product, connector in sorted(connectors.items()):
        source = Source(product)
        records = topics.raw.get(product, [])
        _answers(source, records, before, after, arrived)
        expected = _records(source, records, topics, connector, schemas, before=before, after=after)
        events = {event.id: event for event in topics.events.values() if event.product == product}
        source.events = len(events)
        source.unfounded = len(events.keys() - expected)
        said = Counter((fact.type, fact.subject) for fact in seen.observable if fact.product == product)
        source.facts = said.total()
        source.hidden = Counter(why for fact, why in seen.hidden if fact.product == product)
        found = Counter((event.type.rpartition(".")[2], event.subject) for event in events.values())
        source.mismatched = {
            f"{kind} {subject}": (said[kind, subject], found[kind, subject])
            for kind, subject in sorted(said.keys() | found.keys())
            if said[kind, subject] != found[kind, subject]
        }
        source.entries = len(rows[product])
        source.misfiled = len(rows[product].keys() ^ events.keys())
        sources.append(source)
    return Ledger(sources, _mails(after, notices))


def _answers(source: Source, records: Sequence[Record], before: Account, after: Account, arrived: set[str]) -> None:
    product = source.product
    served = {answer for answer, entry in before.served.items() if entry["product"] == product}
    source.served = len(served)
    source.raw = len(records)
    excuses = excused(before.entries, product)
    for missing in served - arrived:
        why = excuses.get(missing)
        if why is None:
            source.lost.append(missing)
        else:
            source.excused[why] += 1
    answers = [answer for record in records if (answer := _answer(record)) is not None]
    source.foreign = len(records) - len(answers)
    for answer, count in Counter(answers).items():
        entry = after.served.get(answer)
        if answer not in served and entry is not None and entry["product"] == product:
            source.raw -= count
        if entry is None or entry["product"] != product:
            source.unserved += count
        else:
            # A callback whose answer got lost is delivered again: the hub may have it as often as it was sent.
            allowed = max(len(after.attempts.get(answer, ())), 1)
            source.again += min(count, allowed) - 1
            source.doubled += max(count - allowed, 0)


def excused(entries: Sequence[Entry], product: str) -> dict[str, str]:
    """Tell which answers of a product need not be raw, and why.

    Spoiled ones; callbacks that nobody has taken yet; and of each intake process the answer that it was
    working on when the vendor's next answer failed, when Kafka was taken away, or when the process ended.
    """
    excuses: dict[str, str] = {}
    working: dict[str, str] = {}
    taken: set[str] = set()
    calls: list[str] = []
    away = False
    for entry in entries:
        kind = entry["kind"]
        if kind == "note" and entry["what"] in ("broker_away", "broker_back"):
            away = entry["what"] == "broker_away"
            for answer in working.values():
                excuses.setdefault(answer, "Kafka was away")
        if entry.get("product") != product:
            continue
        if kind == "served" and entry["instance"]:
            working[entry["instance"]] = entry["answer"]
            if away:
                excuses[entry["answer"]] = "Kafka was away"
        elif kind == "served":
            calls.append(entry["answer"])
        elif kind == "fault" and entry["fault"] in ("503", "429", "html200", "truncate"):
            if entry.get("answer"):
                excuses[entry["answer"]] = f"spoiled: {entry['fault']}"
            for answer in working.values():
                excuses.setdefault(answer, f"poll cut off: {entry['fault']}")
        elif kind == "callback" and 200 <= entry["status"] < 300:
            taken.add(entry["answer"])
        elif kind == "callback" and entry["status"] in (400, 413, 422):
            excuses[entry["answer"]] = "callback refused"
    for answer in working.values():
        excuses.setdefault(answer, "in hand when its process ended")
    for answer in calls:
        if answer not in taken:
            excuses.setdefault(answer, "callback not taken yet")
    return excuses


def _records(
    source: Source,
    records: Sequence[Record],
    topics: Topics,
    connector: Connector,
    schemas: Encoder,
    *,
    before: Account,
    after: Account,
) -> set[str]:
    """Decide every raw record again, and look its outcome up; return the ids of all events that follow."""
    expected: set[str] = set()
    partitions: dict[int, Partition] = defaultdict(Partition)
    for record in records:
        late = (answer := _answer(record)) is not None and answer in after.served and answer not in before.served
        decided = decide([record], partitions[record.origin.partition], connector, schemas).decisions
        here = True
        for decision in decided:
            match decision:
                case Deliver(event):
                    expected.add(event.id)
                    here = here and event.id in topics.events
                case Quarantine(code=code):
                    here = here and topics.quarantined.get(record.origin) == code
        first = decided[0]
        if not here:
            source.adrift += 1
        elif late:
            source.since += 1
        elif isinstance(first, Deliver):
            source.delivered += 1
        elif isinstance(first, Quarantine):
            source.quarantined[first.code] += 1
        elif isinstance(first, Skip):
            source.skipped[first.reason] += 1
    return expected


def _mails(account: Account, notices: Iterable[Sent]) -> Mails:
    mails = Mails()
    states: dict[str, str] = {notice.id: notice.state for notice in notices}
    sent = {name for name, state in states.items() if state == "sent"}
    mails.due, mails.sent = len(states), len(sent)
    mails.refused = sum(1 for state in states.values() if state == "refused")
    mails.waiting = mails.due - mails.sent - mails.refused
    # The local part of a Message-ID is the notice's id.
    taken = Counter(entry["message_id"].strip("<>").partition("@")[0] for entry in account.mails)
    mails.taken = len(taken)
    # SMTP cannot be sure: who does not hear the server's answer sends the message again, under the same id.
    unheard = sum(
        1
        for entry in account.entries
        if (entry["kind"] == "fault" and entry["fault"] == "lost_answer")
        or (entry["kind"] == "note" and entry["what"] == "killed" and entry.get("role") in ("deliver", "all"))
    )
    mails.doubled = max(taken.total() - len(taken) - unheard, 0)
    mails.unfounded = len(taken.keys() - states.keys())
    mails.missing = len(sent - taken.keys())
    return mails


def _answer(record: Record) -> str | None:
    for name, value in record.headers:
        if name == Header.ANSWER:
            return value.decode("utf-8", "replace")
    return None
