"""One family's day through the hub: what was said about it, what it sees, what it was written, where it is counted.

Everything told is looked up after the day: in the town's journal and mailbox, in SQL, through the API.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from hub.config import Settings
from hub.delivery.exports import files_of, read_rows
from hub.model.notice import EVERYTHING
from hub.store import Store
from hub.store import tables as t
from hub.store.store import Stored
from hub.testing.story import Stopwatch, Times
from hub.testing.story import tell as tell_times
from hub.testing.town.journal import Entry
from streams.account import CITY
from streams.notify import FRESH, RULES
from streams.open_data.counting import answers, is_over
from streams.open_data.dataset import Dataset, families
from streams.open_data.gate import Cell
from streams.open_data.gate import tell as gate
from streams.open_data.rows import NOT_SAID

STATES = {
    "pending": "is on its way",
    "waiting": "waits for its moment: quiet hours, a digest or a working day",
    "unwanted": "was not wanted any more when it was due",
    "expired": "was of no use any more when it could go out",
    "folded": "is part of a digest",
    "refused": "was refused by the provider",
    "unsure": "may have arrived: the provider never answered",
}
"""What becomes of a notice that is not simply sent."""


TOGETHER = "told in the message of another, known at once"


class Parent(NamedTuple):
    """An adult of the family."""

    citizen: str
    name: str


class Heard(NamedTuple):
    """What one system said about one of the family."""

    who: str
    product: str
    types: Mapping[str, int]
    times: Sequence[Times]
    """Of those that have arrived."""


class Seen(NamedTuple):
    """What stands on an account."""

    name: str
    milliseconds: int
    """How long the API took."""
    blocks: Sequence[tuple[str, Sequence[str]]]
    """Title, and the lines in words."""


class Written(NamedTuple):
    """A notice, and what became of it."""

    name: str
    channel: str
    type: str
    facts: int
    subject: str | None
    """As the mail server has it; None: it does not have it."""
    state: str
    milliseconds: int | None
    """From known to sent."""


class Unwritten(NamedTuple):
    """Facts of one kind that somebody was not written about."""

    name: str
    type: str
    facts: int
    why: str


class Counted(NamedTuple):
    """A cell of a dataset in which some of the family's facts are."""

    dataset: str
    period: str
    cell: Cell
    theirs: int
    everybody: int
    threshold: int
    over: bool
    """Whether the period is told by now."""
    told: bool
    """Whether the file has it, or the gate would let it through as it stands."""


class FamilyDay(NamedTuple):
    """All of it."""

    name: str
    heard: Sequence[Heard]
    seen: Sequence[Seen]
    written: Sequence[Written]
    unwritten: Sequence[Unwritten]
    manners: str
    counted: Sequence[Counted]
    uncounted: int
    """Answered requests that open data looks for once an hour."""


def tell(day: FamilyDay) -> list[str]:
    """Say the day in lines."""
    lines = [f"One family through all three outputs: {day.name}", "  What was said about them today"]
    for heard in day.heard:
        arrived, said = len(heard.times), sum(heard.types.values())
        measured = tell_times(heard.times)
        missed = f"; {said - arrived} of {said} not on the account: the ledger says why" if arrived < said else ""
        lines.append(
            f"    {heard.who}, {heard.product}: {_counts(heard.types)}" + (f"; {measured}" if measured else "") + missed
        )
    lines.append("  Account: what stands there now, by the API")
    for seen in day.seen:
        lines.append(f"    {seen.name}, answered in {seen.milliseconds} ms")
        lines += [
            f"      {title}: {told[0]}" + (f", and {len(told) - 1} more" if len(told) > 1 else "")
            for title, told in seen.blocks
            if told
        ]
    lines.append(f"  Messages ({day.manners})")
    for name in dict.fromkeys(seen.name for seen in day.seen):
        lines.append(f"    {name}")
        written = [one for one in day.written if one.name == name]
        lines += [f"      {_written(one)}" for one in written] or ["      got nothing"]
        silent: dict[str, dict[str, int]] = {}
        for one in day.unwritten:
            if one.name == name:
                silent.setdefault(one.why, {})[one.type] = one.facts
        lines += [f"      no message of its own for {_counts(types)}: {why}" for why, types in silent.items()]
    lines.append("  Open data: where they are counted, without being in it")
    lines += [f"    {_counted(one)}" for one in day.counted]
    if day.uncounted:
        lines.append(f"    demandes: {day.uncounted} answered requests of theirs, found at the next hourly count")
    if not day.counted and not day.uncounted:
        lines.append("    nowhere: nothing of their day is counted")
    return lines


def why_not(
    kind: str, topics: Collection[str], stopped: Collection[str], *, late: bool, before: bool, together: bool
) -> str:
    """Say why somebody was not written about a fact that their account shows."""
    rule = RULES.get(kind)
    if rule is None:
        return "only shown, nobody is written to about it"
    if rule.topic not in topics:
        return f"not asked for (« {rule.topic} »)"
    if {rule.topic, EVERYTHING} & set(stopped):
        return f"stopped (« {rule.topic} »)"
    if late:
        return "known too late to be news"
    if before:
        return "known before the link was made, so history"
    return TOGETHER if together else "nothing in the database says why"


def _counts(types: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in types.items())


def _written(one: Written) -> str:
    what = f"{one.channel}: « {one.subject} »" if one.subject is not None else f"{one.channel}: {one.type}"
    facts = f" ({one.facts} facts in one message)" if one.facts > 1 else ""
    if one.state != "sent":
        return f"{what}{facts} {STATES.get(one.state, one.state)}"
    sent = "" if one.milliseconds is None else f", sent {one.milliseconds} ms after the account knew"
    return what + facts + sent + ("" if one.subject is not None else ", not at the mail server")


def _counted(one: Counted) -> str:
    where = ", ".join(part or NOT_SAID for part in one.cell)
    told = f"{one.dataset}, {one.period}, {where}: {one.theirs} of theirs among {one.everybody}"
    if one.over and one.told:
        return f"{told}; a row of the file"
    if one.everybody < one.threshold:
        return f"{told}; kept inside, under the threshold of {one.threshold}"
    if not one.told:
        return f"{told}; kept inside: beside its sums it would give a smaller one away"
    return f"{told}; a row once the period is over, as it stands now"


# -- looking it up ----------------------------------------------------------------------------------


def look(
    about: Mapping[str, Any],
    journal: Iterable[Entry],
    mails: Iterable[Mapping[str, Any]],
    store: Store,
    settings: Settings,
    datasets: Iterable[Dataset],
    seen: Sequence[Seen],
    since: int,
    now: datetime,
) -> FamilyDay:
    """Look up what became of a family; `about` is the town's word of it, `journal` and `since` are of the day."""
    parents = [Parent(one["citizen"], one["name"]) for one in about["parents"]]
    today = now.astimezone(CITY).date()
    links = {parent: {link.subject: link for link in store.links_of(parent.citizen, today)} for parent in parents}
    who: dict[str, str] = {**about["subjects"]}
    for parent, mine in links.items():
        for subject in mine:
            who.setdefault(subject, parent.name.partition(" ")[0])
    rows = [row for row in store.stored() if row.recorded_at >= since and row.subject in who]
    written, unwritten = _messages(parents, links, rows, mails, store, since)
    return FamilyDay(
        about["name"],
        _heard(who, journal, rows),
        seen,
        written,
        unwritten,
        _manners(settings),
        _cells(rows, store, settings, datasets, today),
        _answered(parents, store, {row.id for row in rows}),
    )


def pending(about: Mapping[str, Any], store: Store) -> bool:
    """Tell whether a message to somebody of the family is on its way."""
    o = t.outbox.c
    citizens = [parent["citizen"] for parent in about["parents"]]
    with store.transaction(write=False) as connection:
        found = connection.execute(select(o.id).where(o.citizen.in_(citizens), o.state == "pending").limit(1))
        return found.first() is not None


def _heard(who: Mapping[str, str], journal: Iterable[Entry], rows: Sequence[Stored]) -> list[Heard]:
    watch = Stopwatch()
    watch.rows(rows)
    types: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    times: dict[tuple[str, str], list[Times]] = defaultdict(list)
    for said in journal:
        if said["kind"] == "said" and said["subject"] in who:
            of = who[said["subject"]], said["product"]
            types[of][said["type"]] += 1
            if (taken := watch.times(said)) is not None:
                times[of].append(taken)
    return [Heard(*of, counts, times[of]) for of, counts in sorted(types.items())]


def _messages(
    parents: Sequence[Parent],
    links: Mapping[Parent, Mapping[str, Any]],
    rows: Sequence[Stored],
    mails: Iterable[Mapping[str, Any]],
    store: Store,
    since: int,
) -> tuple[list[Written], list[Unwritten]]:
    subjects = {mail["message_id"].strip("<>").partition("@")[0]: str(mail["subject"]) for mail in mails}
    o, p, s = t.outbox.c, t.preferences.c, t.stopped.c
    written: list[Written] = []
    unwritten: list[Unwritten] = []
    kinds = {row.id: row.type for row in store.stored()}
    for parent in parents:
        with store.transaction(write=False) as connection:
            notices = connection.execute(
                select(o.id, o.channel, o.event_id, o.payload, o.state, o.created_at, o.done_at)
                .where(o.citizen == parent.citizen, o.created_at >= since)
                .order_by(o.position)
            ).all()
            topics = connection.execute(select(p.topics).where(p.citizen == parent.citizen)).scalar()
            stopped = set(connection.execute(select(s.topic).where(s.citizen == parent.citizen)).scalars())
        wishes = json.loads(topics) if topics else []
        for notice in notices:
            payload = json.loads(notice.payload)
            written.append(
                Written(
                    parent.name,
                    notice.channel,
                    kinds.get(notice.event_id, "?").rpartition(".")[2],
                    1 + len(payload.get("more", ())),
                    subjects.get(notice.id),
                    notice.state,
                    notice.done_at - notice.created_at if notice.done_at else None,
                )
            )
        told = {notice.event_id for notice in notices}
        more: Counter[str] = Counter()
        for one in written:
            if one.name == parent.name:
                more[one.type] += one.facts - 1
        silent: Counter[tuple[str, str]] = Counter()
        for row in rows:
            link = links[parent].get(row.subject)
            if link is not None and row.id not in told:
                rule = RULES.get(row.type)
                since_read = timedelta(milliseconds=row.recorded_at - row.read_at)
                since_then = timedelta(milliseconds=row.recorded_at - row.occurred_at)
                late = since_read > FRESH or (rule is not None and since_then > rule.news)
                allowed = [topic for topic in wishes if not link.scope or topic in link.scope]
                kind, before = row.type.rpartition(".")[2], row.recorded_at < link.since
                together = silent[kind, TOGETHER] < more[kind]
                silent[kind, why_not(row.type, allowed, stopped, late=late, before=before, together=together)] += 1
        unwritten += [Unwritten(parent.name, kind, count, why) for (kind, why), count in silent.items()]
    return written, unwritten


def _manners(settings: Settings) -> str:
    manners = settings.notifications
    quiet = (
        "no quiet hours in this town"
        if manners.quiet_from == manners.quiet_until
        else f"quiet from {manners.quiet_from} to {manners.quiet_until}"
    )
    rule = settings.canteen.cut_off()
    cut_off = f"cut-off {rule.days} school days before at {rule.at:%H:%M}" if rule else "no cut-off is told"
    return f"{quiet}; {cut_off}; {f'at most {manners.cap} a day' if manners.cap else 'no cap'}"


def _cells(
    rows: Sequence[Stored], store: Store, settings: Settings, datasets: Iterable[Dataset], today: date
) -> list[Counted]:
    f = t.facts.c
    theirs: Counter[tuple[str, str, str, str]] = Counter()
    with store.transaction(write=False) as connection:
        for row in rows:
            found = connection.execute(select(f.fact, f.period, f.place, f.kind).where(f.event_id == row.id)).first()
            if found is not None:
                theirs[tuple(found)] += 1

    def rows_of(dataset: Dataset) -> set[tuple[str, ...]]:
        path = settings.open_data.folder / files_of(dataset, settings.open_data.warehouse)[0].path
        return {tuple(row[name] for name in (dataset.period, *dataset.dimensions)) for row in read_rows(path)}

    counted: list[Counted] = []
    for members in families(datasets):
        finest = members[-1]
        everybody: dict[str, Counter[Cell]] = defaultdict(Counter)
        for period, place, kind, count in store.facts(finest.manifest.fact):
            everybody[period][(place, kind)[: len(finest.dimensions)]] += count
        own = settings.open_data.thresholds
        levels = [(len(m.dimensions), own[m.name].least if m.name in own else m.manifest.threshold) for m in members]
        for level, member in enumerate(members):
            depth, threshold = levels[level]
            cells: Counter[tuple[str, Cell]] = Counter()
            for (fact, period, place, kind), count in theirs.items():
                if fact == finest.manifest.fact:
                    cells[period, (place, kind)[:depth]] += count
            for (period, cell), count in sorted(cells.items()):
                over = is_over(period, today, member.manifest.settle_days)
                total = sum(n for other, n in everybody[period].items() if other[:depth] == cell)
                if over:
                    told = (period, *(part or NOT_SAID for part in cell)) in rows_of(member)
                else:
                    told = cell in gate(everybody[period], levels)[level]
                counted.append(Counted(member.name, period, cell, count, total, threshold, over, told))
    return counted


def _answered(parents: Sequence[Parent], store: Store, of_the_day: Collection[str]) -> int:
    entries = {entry.event_id: entry for parent in parents for entry in store.account(parent.citizen)}
    answered = {
        entry.subject
        for entry in entries.values()
        if entry.event_id in of_the_day and answers(entry.type, entry.payload)
    }
    f = t.facts.c
    with store.transaction(write=False) as connection:
        counted = set(connection.execute(select(f.event_id).where(f.fact == "request")).scalars())
    return sum(
        not any(entry.event_id in counted for entry in entries.values() if entry.subject == subject)
        for subject in answered
    )


def seen_of(name: str, milliseconds: int, account: Mapping[str, Any]) -> Seen:
    """Read what the API answered."""
    return Seen(
        name,
        milliseconds,
        [
            (block["title"], [", ".join(filter(None, (line["what"], line["state"]))) for line in block["lines"]])
            for block in account["blocks"]
        ],
    )
