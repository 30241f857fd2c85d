"""What the public may know: facts worth counting, and the gate before they are published.

A dataset is counted from facts that hold no subject.  Only months that have ended are published,
so that two publications cannot be told apart by a single loan; a cell below the threshold is
absent, never 0; and no total is published from which it could be computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

CITY = ZoneInfo("Europe/Paris")


class CountedFact(NamedTuple):
    """One countable thing, without anybody in it."""

    fact: str
    period: str
    """Month, `2026-03`."""
    place: str
    kind: str


class Cell(NamedTuple):
    """One row of the dataset of loans."""

    annee_mois: str
    bibliotheque: str
    type_document: str
    nb_prets: int


def countable(kind: str, moment: datetime, payload: Any) -> CountedFact | None:
    """Tell what an event adds to the statistics, if anything."""
    if kind == "hub.library.LoanStarted":
        period = moment.astimezone(CITY).strftime("%Y-%m")
        return CountedFact("loan", period, payload.branch, payload.document_kind)
    return None


def loan_cells(facts: Iterable[tuple[str, str, str, int]], today: date, threshold: int) -> list[Cell]:
    """Gate counts of (period, place, kind): ended months, and cells of at least `threshold`."""
    running = today.strftime("%Y-%m")
    counts: Counter[tuple[str, str, str]] = Counter()
    for period, place, kind, count in facts:
        counts[period, place, kind] += count
    return [Cell(*key, count) for key, count in sorted(counts.items()) if key[0] < running and count >= threshold]


def current_disruptions(events: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """Fold (type, subject, payload) in order of `hub_seq` into what is going on now, by subject."""
    current: dict[str, Mapping[str, Any]] = {}
    for kind, subject, payload in events:
        if kind == "hub.transport.DisruptionEnded":
            current.pop(subject, None)
        elif kind in ("hub.transport.DisruptionPublished", "hub.transport.DisruptionUpdated"):
            current[subject] = payload
    return dict(sorted(current.items()))
