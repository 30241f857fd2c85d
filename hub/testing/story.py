"""Measured times for the story: when a fact was said, read and on the account, from two clocks of one machine."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from hub.testing.town.journal import Entry

AFTERMATH_SECONDS = 5.0
"""So long after a failure a system may be left alone: it asked for that, or it is asked again more seldom."""


class Row(Protocol):
    """A row of the hub's SQL side."""

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
        """When it was read, ms."""

    @property
    def recorded_at(self) -> int:
        """When it was on the account, ms."""


class Times(NamedTuple):
    """How long a fact took, in milliseconds."""

    to_read: int
    """From said to read; 0 when the request was already under way."""
    to_account: int
    """From read to recorded."""


class Whole(NamedTuple):
    """A fact from the system that said it to the account, UTC milliseconds."""

    product: str
    said: int
    known: int

    @property
    def took(self) -> int:
        """How long, in milliseconds."""
        return self.known - self.said


class Stopwatch:
    """Finds the row that tells each fact."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
        self._known: set[str] = set()
        self._taken: set[str] = set()
        self.whole: list[Whole] = []
        """Each fact that was found."""

    def rows(self, rows: Iterable[Row]) -> None:
        """Learn of rows; known ones are passed over."""
        for row in rows:
            if row.id not in self._known:
                self._known.add(row.id)
                self._rows[row.type.rpartition(".")[2], row.subject].append(row)

    def times(self, said: Entry) -> Times | None:
        """Return how long a fact took, None while no row tells it; each row tells one fact."""
        moment = round(datetime.fromisoformat(said["at"]).timestamp() * 1000)
        for row in sorted(self._rows[said["type"], said["subject"]], key=lambda row: row.recorded_at):
            if row.recorded_at >= moment and row.id not in self._taken:
                self._taken.add(row.id)
                times = Times(max(row.read_at - moment, 0), max(row.recorded_at - row.read_at, 0))
                self.whole.append(Whole(said["product"], moment, moment + sum(times)))
                return times
        return None


def undisturbed(whole: Iterable[Whole], journal: Iterable[Entry]) -> list[Whole]:
    """Return the facts whose system had not just failed on purpose, and did not until they were known."""
    faults: dict[str, list[float]] = defaultdict(list)
    for entry in journal:
        if entry["kind"] == "fault":
            faults[entry["product"]].append(datetime.fromisoformat(entry["at"]).timestamp() * 1000)
    return [
        one
        for one in whole
        if not any(one.said - AFTERMATH_SECONDS * 1000 <= at <= one.known for at in faults[one.product])
    ]


def tell(times: Sequence[Times]) -> str:
    """Say the times of a step's facts in words."""
    if not times:
        return ""
    if len(times) == 1:
        read, account = times[0]
        return f"read {_span(read)} after it was said, on the account {_span(account)} after it was read"
    read = max(time.to_read for time in times)
    account = round(statistics.median(time.to_account for time in times))
    return f"{len(times)} facts: all read within {_span(read)}, on the account {_span(account)} after that (median)"


def percentile(values: Sequence[int], share: float) -> int:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0


def _span(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 500 else f"{milliseconds / 1000:.1f} s"
