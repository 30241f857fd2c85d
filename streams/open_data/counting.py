"""What an event adds to the counts, and which days and months are over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from streams.open_data.dataset import Dataset

CITY = ZoneInfo("Europe/Paris")

ANSWERED = {
    "hub.civil_registry.RequestStatusChanged": frozenset({"DONE", "REFUSED"}),
    "hub.transport.PermitStatusChanged": frozenset({"GRANTED", "REFUSED"}),
}
"""Events that may answer a request, and the states that do."""

DELAYS = ((2, "moins de 2 jours"), (8, "2 à 7 jours"), (31, "8 à 30 jours"))


class CountedFact(NamedTuple):
    """One countable thing, without anybody in it."""

    fact: str
    period: str
    """`2026-03-10`, `2026-03` or `2026`."""
    place: str
    kind: str


def countable(counted: Mapping[str, Dataset], kind: str, moment: datetime, payload: Any) -> CountedFact | None:
    """Tell what an event adds to the counts, if anything; `counted` is what `finest` found.

    Only fields that a dataset names are read, and those are public.
    """
    dataset = counted.get(kind)
    if dataset is None:
        return None
    period = period_of(dataset.manifest.columns[dataset.period], moment)
    values = [str(getattr(payload, origin.rpartition(".")[2])) for origin in dataset.origins]
    place, kind_of = (*values, "", "")[:2]
    return CountedFact(dataset.manifest.fact, period, place, kind_of)


def period_of(span: str, moment: datetime) -> str:
    """Name the day, month or year of a moment, as clocks in the city show it."""
    return moment.astimezone(CITY).date().isoformat()[: {"day": 10, "month": 7, "year": 4}[span]]


def is_over(period: str, today: date, settle_days: int) -> bool:
    """Tell whether a period ended so many days ago that it may be told."""
    before = today - timedelta(days=settle_days)
    return period < before.isoformat()[: len(period)]


def answers(kind: str, payload: Mapping[str, Any]) -> bool:
    """Tell whether an event answers the request that it is about."""
    return payload.get("status") in ANSWERED.get(kind, frozenset[str]())


def delay_words(asked: datetime, answered: datetime) -> str:
    """Say in words how long an answer took, in days of the city's calendar."""
    days = (answered.astimezone(CITY).date() - asked.astimezone(CITY).date()).days
    return next((words for limit, words in DELAYS if days < limit), "plus de 30 jours")
