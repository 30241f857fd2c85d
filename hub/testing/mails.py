"""Who is owed which mail, by the town's own reading of what its people asked for.

Written by other code than the hub's: of the hub's side it takes only which facts stand in SQL and
since when, which the other legs of the ledger prove against the town.  Whom a fact concerns, who wants
to hear of it and at which address, the town knows from what it said itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from hub.testing.town.journal import Account, Said
from hub.testing.town.mailbox import recipient

TOPICS = {
    "MealBooked": "canteen",
    "MealCancelled": "canteen",
    "AbsenceRecorded": "canteen",
    "LoanOverdue": "library",
    "HoldReady": "library",
    "RecordRequested": "requests",
    "RequestStatusChanged": "requests",
    "DisruptionPublished": "disruptions",
}
"""What the city has promised to tell, and under which wish of a resident."""
NO_NEWS_MS = 24 * 60 * 60 * 1000
"""What was read so long before it was recorded is told to nobody."""
LONG_AGO_MS = 7 * NO_NEWS_MS
"""What happened so long before it was recorded is history, whenever it was read; a request to the town hall is not."""
PARIS = ZoneInfo("Europe/Paris")


class Row(Protocol):
    """A row of the hub's SQL side."""

    @property
    def type(self) -> str:
        """Full record name."""

    @property
    def subject(self) -> str:
        """Whom or what it is about."""

    @property
    def read_at(self) -> int:
        """When it was read, ms."""

    @property
    def recorded_at(self) -> int:
        """When it was written, ms."""

    @property
    def occurred_at(self) -> int:
        """When it happened, ms."""


class Letter(NamedTuple):
    """A fact in a mail, as both sides can count it."""

    recipient: str
    """Digest of the address."""
    type: str
    """Record name of the fact that it tells."""


class Owed(NamedTuple):
    """How many facts of each kind everybody must have been told at least, and may have been told at most.

    One mail may tell several.

    They differ where a wish and a fact were recorded so close together that either may have been first.
    """

    least: Counter[Letter]
    most: Counter[Letter]


class Moment(NamedTuple):
    """A value that held from a moment on."""

    at: int
    value: Any


class Wishes:
    """What each citizen asked for, by the moment from which the hub knew it."""

    def __init__(self, account: Account, rows: Iterable[Row], overlap_ms: int) -> None:
        self._overlap = overlap_ms
        waiting: dict[tuple[str, str], list[Said]] = defaultdict(list)
        for said in account.facts.values():
            waiting[said.type, said.subject].append(said)
        self.links: dict[tuple[str, str], list[Moment]] = defaultdict(list)
        self.preferences: dict[str, list[Moment]] = defaultdict(list)
        self.lines: dict[str, set[str]] = defaultdict(set)
        for row in sorted(rows, key=lambda row: row.recorded_at):
            kind = _kind(row)
            if kind not in ("LinkRequested", "UnlinkRequested", "PreferencesChanged"):
                continue
            # One citizen's requests are ordered, from the portal to SQL.
            if not waiting[kind, row.subject]:
                continue
            said = waiting[kind, row.subject].pop(0)
            citizen = said.subject.partition(":")[2]
            if kind == "PreferencesChanged":
                self.preferences[citizen].append(Moment(row.recorded_at, said.about))
                for line in said.about["lines"]:
                    self.lines[line].add(citizen)
            else:
                until = said.about.get("until") or "9999-12-31" if kind == "LinkRequested" else ""
                self.links[said.entity, citizen].append(Moment(row.recorded_at, until))
        self._citizens: dict[str, set[str]] = defaultdict(set)
        for subject, citizen in self.links:
            self._citizens[subject].add(citizen)

    def concerned(self, subject: str, lines: Sequence[str]) -> set[str]:
        """Return whoever was ever linked to a subject or interested in one of the lines."""
        return self._citizens.get(subject, set()) | {c for line in lines for c in self.lines.get(line, ())}

    def owed(self, citizen: str, row: Row, lines: Sequence[str]) -> set[str | None]:
        """Return whose mailbox a fact is owed to; several answers where wishes were recorded about then."""
        wished = self._about(self.preferences.get(citizen, ()), row)
        links = self._about(self.links.get((row.subject, citizen), ()), row)
        day = datetime.fromtimestamp(row.recorded_at / 1000, UTC).astimezone(PARIS).date().isoformat()
        found: set[str | None] = set()
        for held, until in product(wished, links):
            wants = held is not None and held["email"] is not None and TOPICS[_kind(row)] in held["topics"]
            if lines:
                concerns = wants and bool(set(lines) & set(held["lines"]))
            else:
                concerns = wants and bool(until) and until >= day
            found.add(recipient([held["email"]]) if concerns else None)
        return found

    def _about(self, moments: Iterable[Moment], row: Row) -> list[Any]:
        """Return every value that may have held when a row was written, None before the first."""
        first, last = row.recorded_at - self._overlap, row.recorded_at + self._overlap
        before = None
        between = []
        for moment in moments:
            if moment.at < first:
                before = moment.value
            elif moment.at <= last:
                between.append(moment.value)
        return [before, *between]


def owed(account: Account, rows: Sequence[Row], arrived: Iterable[str], overlap_ms: int = 0) -> Owed:
    """Reckon what everybody is owed, from the town's wishes and the facts that stand in SQL.

    `overlap_ms`: how long a transaction may take beside that of another worker.  A row says when it was written,
    not when others could see it.
    """
    wishes = Wishes(account, rows, overlap_ms)
    lines_of = dict(_lines(account, account.shown(set(arrived))))
    found = Owed(Counter(), Counter())
    for row in rows:
        kind = _kind(row)
        if kind not in TOPICS or row.recorded_at - row.read_at > NO_NEWS_MS:
            continue
        if TOPICS[kind] != "requests" and row.recorded_at - row.occurred_at > LONG_AGO_MS:
            continue
        lines = lines_of.get(row.subject, ()) if kind == "DisruptionPublished" else ()
        for citizen in wishes.concerned(row.subject, lines):
            either = wishes.owed(citizen, row, lines)
            for address in either - {None}:
                letter = Letter(str(address), kind)
                found.most[letter] += 1
                if len(either) == 1:
                    found.least[letter] += 1
    return found


def _lines(account: Account, shown: Mapping[str, int]) -> Iterator[tuple[str, Sequence[str]]]:
    """Tell of each disruption the lines that its first answer named: it may have been changed before."""
    changes: dict[str, list[Said]] = defaultdict(list)
    for said in account.facts.values():
        if said.type in ("DisruptionPublished", "DisruptionUpdated"):
            changes[said.subject].append(said)
    for subject, told in changes.items():
        first = min((shown[said.fact] for said in told if said.fact in shown), default=0)
        before = [said.about["lines"] for said in sorted(told, key=lambda said: said.n) if said.n < first]
        if before:
            yield subject, before[-1]


def _kind(row: Row) -> str:
    return row.type.rpartition(".")[2]
