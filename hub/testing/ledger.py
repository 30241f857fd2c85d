"""The ledger: what the town said against what the hub has.

For each source, four legs, each a difference that must be 0:

    answers     every answer that the town served is one raw record, and every raw record was served
    records     every raw record was delivered, set aside or skipped, and its outcome stands in the topics
    facts       what could be observed of the town is in the event topics, once, and nothing else is
    entries     every event stands in SQL, and nothing else does

and for the mail: whoever the town owes a message got it, once, and nobody else did (`hub.testing.mails`).

What may miss, and why, is told by the town, never by a tolerance: an answer that a fault spoiled, the
last answer of an intake process that ended, a fact that no arrived answer showed.  An answer that arrived
behind one that was asked for later shows nothing: it is no news any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hub.kafka.ledger import Topics
from hub.model.command import Command
from hub.model.connector import Connector
from hub.model.decision import Deliver, Quarantine, Skip
from hub.model.record import Header, Origin, Record
from hub.pipeline.parking import Partition, decide
from hub.pipeline.process import Encoder
from hub.testing.mails import Letter, Owed, owed
from hub.testing.town.journal import Account, Entry


class Stored(NamedTuple):
    """A row of the hub's SQL side."""

    id: str
    type: str
    subject: str
    product: str
    read_at: int = 0
    recorded_at: int = 0
    occurred_at: int = 0


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
    """Raw records of what the town delivered or the hub had to read more than once, beyond the first."""
    doubled: int = 0
    """Raw records of one answer beyond the first, and nothing says why."""
    delivered: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    """Quarantined records that an operator's command settled, by how."""
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
    """The mail's lines of the ledger."""

    owed: int = 0
    """Facts that people must have been told, by what they asked the town for; a mail may tell several."""
    either: int = 0
    """Facts that may be told or not: wish and fact were recorded so close together that either may have been first."""
    bounced: int = 0
    """Facts in mails that the mail server refused for good."""
    untold: int = 0
    """Owed, and neither taken nor bounced."""
    uncalled: int = 0
    """Taken or bounced, and owed to nobody."""
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
        return self.untold + self.uncalled + self.waiting + self.doubled + self.unfounded + self.missing


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
                    "lost_answers": source.lost,
                    "again": source.again,
                    "raw": source.raw,
                    "unserved": source.unserved,
                    "foreign": source.foreign,
                    "doubled": source.doubled,
                    "delivered": source.delivered,
                    "quarantined": dict(source.quarantined),
                    "settled": dict(source.settled),
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
                "owed": self.mails.owed,
                "either": self.mails.either,
                "bounced": self.mails.bounced,
                "untold": self.mails.untold,
                "uncalled": self.mails.uncalled,
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
    notices: Iterable[Sent] | None,
    late: Sequence[Entry],
    connectors: Mapping[str, Connector],
    schemas: Encoder,
    overlap_ms: int = 0,
) -> Ledger:
    """Compare.  `early` and `late` are the journal before and after the hub's side was read.

    An answer must be raw if it was served before, and may be raw if it was served meanwhile.
    `notices` is None where nobody sends mail, `overlap_ms` is for `hub.testing.mails.owed`.
    """
    before, after = Account.of(early), Account.of(late)
    stored = list(stored)
    rows: dict[str, dict[str, Stored]] = defaultdict(dict)
    for row in stored:
        rows[row.product][row.id] = row
    arrived = {
        answer
        for records in topics.raw.values()
        for record in records
        if isinstance(record, Record) and (answer := _answer(record))
    }
    believed = arrived - _overtaken(topics, after)
    seen = after.seen(believed)
    sources = []
    for product, connector in sorted(connectors.items()):
        source = Source(product)
        everything = topics.raw.get(product, [])
        files = {name for name, feed in connector.feeds.items() if feed.manifest.style == "file"}
        _answers(source, [item for item in everything if isinstance(item, Record)], before, after, arrived, files)
        expected, by_hand = _records(source, everything, topics, connector, schemas, before=before, after=after)
        events = {event.id: event for event in topics.events.values() if event.product == product}
        source.events = len(events)
        source.unfounded = len(events.keys() - expected)
        said = Counter((fact.type, fact.subject) for fact in seen.observable if fact.product == product)
        source.facts = said.total()
        source.hidden = Counter(why for fact, why in seen.hidden if fact.product == product)
        found = Counter(
            (event.type.rpartition(".")[2], event.subject) for name, event in events.items() if name not in by_hand
        )
        source.mismatched = {
            f"{kind} {subject}": (said[kind, subject], found[kind, subject])
            for kind, subject in sorted(said.keys() | found.keys())
            if said[kind, subject] != found[kind, subject]
        }
        source.entries = len(rows[product])
        source.misfiled = len(rows[product].keys() ^ events.keys())
        sources.append(source)
    mails = Mails() if notices is None else _mails(after, notices, owed(after, stored, believed, overlap_ms))
    return Ledger(sources, mails)


def _overtaken(topics: Topics, account: Account) -> set[str]:
    """Find polled answers that stand behind something about the same subject that was read later.

    A callback that is delivered again says nothing that a poll since its first delivery would not know.
    """
    found: set[str] = set()
    for records in topics.raw.values():
        last: dict[bytes, int] = {}
        arrived: set[str] = set()
        for record in records:
            if not isinstance(record, Record) or (answer := _answer(record)) is None:
                continue
            if answer in arrived or answer not in account.served:
                continue
            arrived.add(answer)
            if account.served[answer]["instance"] and record.read_at < last.get(record.key, 0):
                found.add(answer)
            last[record.key] = max(record.read_at, last.get(record.key, 0))
    return found


def _answers(
    source: Source,
    records: Sequence[Record],
    before: Account,
    after: Account,
    arrived: set[str],
    files: Collection[str],
) -> None:
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
    broken = sum(
        1
        for entry in after.entries
        if entry["kind"] == "note"
        and (entry["what"] == "broker_away" or (entry["what"] == "killed" and entry.get("role") in ("intake", "all")))
    )
    for answer, count in Counter(answers).items():
        entry = after.served.get(answer)
        if answer not in served and entry is not None and entry["product"] == product:
            source.raw -= count
        if entry is None or entry["product"] != product:
            source.unserved += count
        else:
            # A callback whose answer got lost is delivered again: the hub may have it as often as it was sent.
            # A file whose reading was broken off is read again from where it is known to have been read to; so is
            # whatever else is named by what it holds, and not by who asked.
            attempts = len(after.attempts.get(answer, ()))
            asked = entry["instance"] and entry["feed"] not in files
            allowed = attempts or (1 if asked else 1 + broken)
            source.again += min(count, allowed) - 1
            source.doubled += max(count - allowed, 0)


def excused(entries: Sequence[Entry], product: str) -> dict[str, str]:
    """Tell which answers of a product need not be raw, and why.

    Spoiled ones; callbacks that nobody has taken yet; of each intake process the answer that it was
    working on when the vendor's next answer failed, when Kafka was taken away, or when the process ended; and
    what was asked for again before it was acknowledged to a queue, which has it until then.
    """
    excuses: dict[str, str] = {}
    queues = {(entry["product"], entry["feed"]) for entry in entries if entry["kind"] == "acked"}
    unacknowledged: dict[tuple[str, str], str] = {}
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
            if (product, entry["feed"]) in queues:
                item = entry["feed"], entry["key"]
                if item in unacknowledged:
                    excuses.setdefault(unacknowledged[item], "asked for again before it was acknowledged")
                unacknowledged[item] = entry["answer"]
        elif kind == "acked":
            unacknowledged.pop((entry["feed"], entry["key"]), None)
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
    everything: Sequence[Record | Command],
    topics: Topics,
    connector: Connector,
    schemas: Encoder,
    *,
    before: Account,
    after: Account,
) -> tuple[set[str], set[str]]:
    """Decide every raw record again, and look its outcome up; return the ids of all events that follow.

    Beside them those of records that the town had no part in: a clerk's decisions, what an operator wrote.
    """
    expected: set[str] = set()
    by_hand: set[str] = set()
    partitions: dict[int, Partition] = defaultdict(lambda: Partition(remembers_all=True))
    for record in everything:
        decided = decide([record], partitions[record.origin.partition], connector, schemas)
        if isinstance(record, Command):
            expected.update(d.event.id for d in decided.decisions if isinstance(d, Deliver))
            for settled in decided.settled:
                origin = Origin(record.origin.topic, settled.epoch, record.origin.partition, settled.offset)
                source.settled[settled.how] += 1
                source.adrift += origin not in topics.settled
            continue
        late = (answer := _answer(record)) is not None and answer in after.served and answer not in before.served
        here = True
        for decision in decided.decisions:
            match decision:
                case Deliver(event):
                    expected.add(event.id)
                    if _answer(record) is None:
                        by_hand.add(event.id)
                    here = here and event.id in topics.events
                case Quarantine(code=code):
                    here = here and topics.quarantined.get(record.origin) == code
        first = decided.decisions[0]
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
    return expected, by_hand


def _mails(account: Account, notices: Iterable[Sent], due: Owed) -> Mails:
    mails = Mails(owed=due.least.total(), either=due.most.total() - due.least.total())
    ended = {entry["message_id"]: entry for entry in account.bounced}
    mails.bounced = sum(entry["facts"] for entry in ended.values())
    ended |= {entry["message_id"]: entry for entry in account.mails}
    # Facts that are known at once are one message: it is counted by what it tells.
    told: Counter[Letter] = Counter()
    for entry in ended.values():
        told[Letter(entry["recipient"], entry["type"])] += entry["facts"]
    mails.untold, mails.uncalled = (due.least - told).total(), (told - due.most).total()
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
