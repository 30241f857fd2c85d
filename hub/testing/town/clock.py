"""The town's clock: the wall clock, moved back by whole days until it is a school day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
SCHOOL_WEEKDAYS = (0, 1, 3, 4)
"""Monday, Tuesday, Thursday, Friday: there is no school on Wednesdays."""


def school_day(day: date) -> bool:
    """Tell whether the canteen is open, holidays apart: they are decreed anew each year."""
    return day.weekday() in SCHOOL_WEEKDAYS


def school_days(start: date, count: int) -> list[date]:
    """List school days from `start` on."""
    found: list[date] = []
    while len(found) < count:
        if school_day(start):
            found.append(start)
        start += timedelta(days=1)
    return found


class TownClock:
    """Tells the town's time; a day that is no school day is lived as the last one before it."""

    def __init__(self, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._wall = wall
        self._shift = timedelta()
        while not school_day((wall() - self._shift).astimezone(PARIS).date()):
            self._shift += timedelta(days=1)

    def __call__(self) -> datetime:
        """Tell the moment, aware UTC."""
        return self._wall() - self._shift

    @property
    def today(self) -> date:
        """The date in Grenoble."""
        return self().astimezone(PARIS).date()
