"""The oracle: what the town said, compared with every output.

`hub ledger`, which knows the hub's rules, compares the town's journal with raw topics, event topics, SQL and the
mailbox.  Here is what it does not look at, found by other code than made it: the order of events, what came to each
citizen, what each account shows (as an account is read), and the disruptions that the public gets.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from hub.store import Store

CITIZEN = "citizen.event.v1"
IDENTITY = "event.identity.v1"
DISRUPTIONS = "38185-GRE/Transport/csv/TRANSPORT_PERTURBATIONS_VDG.csv"
POLLED = ("chrono:", "ils_di:")
"""Subjects that are asked about for as long as somebody is linked to them."""
PARIS = ZoneInfo("Europe/Paris")


class Seen(NamedTuple):
    """A record of a topic, as a stock client sees it."""

    key: str
    headers: Mapping[str, str]
    offset: tuple[int, int]
    """Partition and offset."""


@dataclass
class Verdict:
    """What was found."""

    events: int = 0
    facts: int = 0
    """What the town said and somebody could observe."""
    delivered: int = 0
    """Events on the citizens' topic, each (citizen, event) once."""
    rows: int = 0
    mails: int = 0
    repeats: int = 0
    """Records that a subscriber sees again under the same id: harmless by that id."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    """Effects that happened twice, or that nothing accounts for."""
    inversions: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    stall: float = 0.0
    """Longest time in which nothing came to the account, seconds."""

    @property
    def findings(self) -> list[str]:
        """Say what was lost, doubled or out of order, each kind with how often."""
        kinds = {
            "lost": self.lost,
            "doubled": self.doubled,
            "inversion": self.inversions,
            "unexplained": self.unexplained,
        }
        return [f"{kind}: {what} ({times}×)" for kind, found in kinds.items() for what, times in Counter(found).items()]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or out of order."""
        return not self.findings


def records(bootstrap: str, topic: str) -> Iterator[Seen]:
    """Read a topic whole with a stock consumer, partition after partition."""
    ends = _ends(bootstrap, topic)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), enable_auto_commit=False)
    try:
        for tp, end in ends.items():
            number = tp.partition
            consumer.assign([tp])
            consumer.seek_to_beginning(tp)
            while consumer.position(tp) < end:
                for found in consumer.poll(timeout_ms=1000, max_records=5000).get(tp, []):
                    if found.offset < end:
                        headers = {name: value.decode("utf-8", "replace") for name, value in found.headers}
                        key = (found.key or b"").decode("utf-8", "replace")
                        yield Seen(key, headers, (number, found.offset))
    finally:
        consumer.close()


def _ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    """Ask where a topic's partitions end.

    A client that knew another leader, which has just changed, may ask in vain for ever; a new one does not.
    """
    for _ in range(2):
        with suppress(KafkaTimeoutError):
            return _ask_ends(bootstrap, topic)
    return _ask_ends(bootstrap, topic)


def _ask_ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    with closing(KafkaConsumer(bootstrap_servers=bootstrap.split(","), enable_auto_commit=False)) as consumer:
        tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        found = consumer.end_offsets(tps)
        return {tp: found[tp] for tp in tps}


def judge(
    bootstrap: str,
    topics: Mapping[str, list[str]],
    journal: list[Mapping[str, Any]],
    store: Store,
    ledger: Mapping[str, Any],
    opendata: Path,
    settled_at: int,
) -> Verdict:
    """Compare.  `topics` names the raw and the event topics; nothing moves any more.

    `settled_at`: whatever was read after this moment (ms) must have come to everybody who was linked then.
    """
    verdict = Verdict()
    _ledger(verdict, ledger)
    links = _links(journal)
    _polls(verdict, bootstrap, topics["raw"], journal, links)
    order = _events(verdict, bootstrap, topics["event"])
    _citizens(verdict, bootstrap, order, links, settled_at)
    _accounts(verdict, store, order, links)
    _open_data(verdict, journal, opendata, ledger)
    stored = sorted(row.recorded_at for row in store.stored() if row.recorded_at >= settled_at)
    verdict.stall = max((b - a for a, b in pairwise(stored)), default=0) / 1000
    return verdict


def _ledger(verdict: Verdict, ledger: Mapping[str, Any]) -> None:
    for product, source in ledger["sources"].items():
        verdict.facts += source["observable_facts"]
        verdict.rows += source["entries"]
        for name in ("lost", "adrift"):
            verdict.lost += [f"{product}: {name}"] * source[name]
        for name in ("doubled", "unserved", "unfounded"):
            verdict.doubled += [f"{product}: {name}"] * source[name]
        for fact, (said, found) in source["mismatched"].items():
            (verdict.lost if said > found else verdict.doubled).append(f"{product}: {fact}: {said} said, {found} found")
        # An event without a row is a loss, a row without an event comes from nothing.
        verdict.unexplained += [f"{product}: misfiled"] * source["misfiled"]
    mails = ledger["mails"]
    verdict.mails = mails["taken"]
    for name in ("untold", "missing", "waiting"):
        verdict.lost += [f"mail: {name}"] * mails[name]
    for name in ("doubled", "uncalled", "unfounded"):
        verdict.doubled += [f"mail: {name}"] * mails[name]


def _polls(
    verdict: Verdict, bootstrap: str, topics: list[str], journal: list[Mapping[str, Any]], links: _Links
) -> None:
    """Check that a subject's answers stand in the order in which the vendor gave them, and that none is owed."""
    served = {entry["answer"]: entry for entry in journal if entry["kind"] == "served"}
    asked: dict[str, int] = {}
    for topic in topics:
        last: dict[tuple[str, bool], int] = {}
        seen: set[str] = set()
        for record in records(bootstrap, topic):
            entry = served.get(record.headers.get("hub_answer", ""))
            if entry is None or entry["answer"] in seen:
                continue
            seen.add(entry["answer"])
            # Calls and polls come on two ways, each in its own order.
            way = record.key, bool(entry["instance"])
            if entry["n"] < last.get(way, 0):
                verdict.inversions.append(f"{topic} {record.offset}: an older answer after a newer one")
            last[way] = max(entry["n"], last.get(way, 0))
        asked |= {key: max(number, asked.get(key, 0)) for (key, polled), number in last.items() if polled}
    said = {entry["key"]: entry["n"] for entry in journal if entry["kind"] == "said" and "key" in entry}
    for _, subject in links.always:
        if subject.startswith(POLLED) and asked.get(subject, 0) < said.get(subject, 0):
            verdict.lost.append("raw: nobody asked about a linked subject after the last thing that happened to it")


@dataclass
class _Order:
    """The events of each subject, in the order of their topic, each where it stands first."""

    of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    read_at: dict[str, int] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


def _events(verdict: Verdict, bootstrap: str, topics: list[str]) -> _Order:
    """Check that the events of a subject stand in the order of the records that they came from."""
    order = _Order()
    for topic in topics:
        last: dict[tuple[str, str, str], tuple[int, ...]] = {}
        for record in records(bootstrap, topic):
            name, subject = record.headers["ce_id"], record.headers["ce_subject"]
            if name in order.read_at:
                verdict.repeats += 1
                continue
            order.of[subject].append(name)
            order.read_at[name] = int(record.headers["hub_read_at"])
            order.kinds[name] = record.headers["ce_type"]
            moment = datetime.fromisoformat(record.headers["ce_time"])
            order.days[name] = moment.astimezone(PARIS).date().isoformat()
            verdict.events += 1
            lane = record.headers["hub_product"], record.headers["hub_partition"], subject
            position = tuple(int(part) for part in record.headers["hub_seq"].split(":"))
            if position <= last.get(lane, ()):
                verdict.inversions.append(f"{topic} {record.offset}: {position} after {last[lane]}")
            last[lane] = max(position, last.get(lane, ()))
    return order


@dataclass
class _Links:
    now: set[tuple[str, str]]
    """Citizen and subject of every link that holds."""
    ever: set[tuple[str, str]]
    always: dict[tuple[str, str], str]
    """Links that were never taken back, and when they were asked for last."""


def _links(journal: list[Mapping[str, Any]]) -> _Links:
    now: set[tuple[str, str]] = set()
    ever: set[tuple[str, str]] = set()
    gone: set[tuple[str, str]] = set()
    asked: dict[tuple[str, str], str] = {}
    for entry in journal:
        if entry["kind"] != "said" or entry["type"] not in ("LinkRequested", "UnlinkRequested"):
            continue
        pair = entry["subject"].partition(":")[2], entry["entity"]
        if entry["type"] == "LinkRequested":
            ever.add(pair)
            now.add(pair)
            asked[pair] = entry["at"]
        else:
            now.discard(pair)
            gone.add(pair)
    return _Links(now, ever, {pair: asked[pair] for pair in now - gone})


def _citizens(verdict: Verdict, bootstrap: str, order: _Order, links: _Links, settled_at: int) -> None:
    """Check that each citizen has each event of a linked subject, in order, and nothing of anybody else."""
    place = {name: index for names in order.of.values() for index, name in enumerate(names)}
    last: dict[tuple[str, str], int] = {}
    had: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records(bootstrap, CITIZEN):
        name, subject = record.headers["ce_id"], record.headers["ce_subject"]
        citizen = record.headers["hub_citizen"]
        pair = citizen, subject
        if record.headers["hub_product"] == "identify":
            continue
        if name in had[pair]:
            verdict.repeats += 1
            continue
        had[pair].add(name)
        verdict.delivered += 1
        if name not in place:
            verdict.doubled.append(f"{CITIZEN} {record.offset}: an event that is on no event topic")
            continue
        if pair not in links.ever:
            verdict.doubled.append(f"{CITIZEN} {record.offset}: somebody who was never linked")
        if place[name] < last.get(pair, -1):
            verdict.inversions.append(f"{CITIZEN} {record.offset}: overtaken")
        last[pair] = max(place[name], last.get(pair, -1))
    for pair, asked in links.always.items():
        # A link that was made since is owed nothing from before it was known: its history is on the account.
        if datetime.fromisoformat(asked).timestamp() * 1000 < settled_at:
            owed = [name for name in order.of.get(pair[1], ()) if order.read_at[name] > settled_at]
            verdict.lost += [f"{CITIZEN}: {order.kinds[name]} did not come" for name in owed if name not in had[pair]]


def _accounts(verdict: Verdict, store: Store, order: _Order, links: _Links) -> None:
    """Check that every account shows every event of its subjects, in order, once."""
    subjects: dict[str, set[str]] = defaultdict(set)
    for citizen, subject in links.now:
        subjects[citizen].add(subject)
    for citizen in {citizen for citizen, _ in links.ever}:
        shown: dict[str, list[str]] = defaultdict(list)
        for row in store.account(citizen):
            shown[row.subject].append(row.event_id)
        for subject in shown.keys() - subjects[citizen]:
            verdict.doubled.append(f"account: {len(shown[subject])} entries of somebody else's")
        for subject in subjects[citizen]:
            owed = order.of.get(subject, [])
            if shown[subject] != owed:
                missing = Counter(owed) - Counter(shown[subject])
                more = Counter(shown[subject]) - Counter(owed)
                verdict.lost += [f"account: {order.kinds[name]} is not shown" for name in missing.elements()]
                verdict.doubled += ["account: shown and not owed"] * more.total()
                if not missing and not more:
                    verdict.inversions.append("account: entries of a subject are out of order")


def _open_data(verdict: Verdict, journal: list[Mapping[str, Any]], folder: Path, ledger: Mapping[str, Any]) -> None:
    """Check that the file of disruptions holds what goes on, and nothing else."""
    current: set[str] = set()
    for entry in journal:
        if entry["kind"] == "said" and entry["type"] == "DisruptionPublished":
            current.add(entry["entity"])
        elif entry["kind"] == "said" and entry["type"] == "DisruptionEnded":
            current.discard(entry["entity"])
    with (folder / DISRUPTIONS).open(encoding="utf-8") as file:
        published = [row["id"] for row in csv.DictReader(file)]
    verdict.lost += ["open data: a disruption is missing"] * len(current - set(published))
    verdict.doubled += ["open data: a disruption that is over or twice"] * (
        len(set(published) - current) + len(published) - len(set(published))
    )


def read_journal(path: Path) -> list[Mapping[str, Any]]:
    """Read the town's journal: JSON lines."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]
