"""When the city works and when there is school: days of Metropolitan France, by zone of school holidays.

A year that the table of school holidays does not know yet has none: a day counts as a school day rather than
as a holiday, so that nobody is told too late what could still be done.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from holidays import country_holidays
from vacances_scolaires_france import SchoolHolidayDates, UnsupportedYearException

CITY = ZoneInfo("Europe/Paris")
SCHOOL_WEEKDAYS = frozenset({0, 1, 3, 4})
"""Monday, Tuesday, Thursday, Friday."""

_PUBLIC = country_holidays("FR")
_SCHOOL = SchoolHolidayDates()


@cache
def is_working_day(day: date) -> bool:
    """Tell whether offices are open: Monday to Friday, public holidays apart."""
    return day.weekday() < 5 and day not in _PUBLIC


@cache
def is_school_day(day: date, zone: str) -> bool:
    """Tell whether there is school; `zone` is `A`, `B` or `C`."""
    if day.weekday() not in SCHOOL_WEEKDAYS or not is_working_day(day):
        return False
    try:
        return not _SCHOOL.is_holiday_for_zone(day, zone)
    except UnsupportedYearException:
        return True


class CutOff(NamedTuple):
    """Until when the canteen's desk takes a change for a day: the desk works on the days on which there is school."""

    days: int
    """So many of the desk's days before; 0: on the same day."""
    at: time
    """Local time in the city."""
    zone: str
    """Of school holidays: `A`, `B` or `C`."""

    def of(self, day: date) -> datetime:
        """Return the last moment, in the city's time, to change what is for `day`."""
        left = self.days
        # What is for a day on which nobody sits at the desk closes with the desk's last day before it.
        while left or not is_school_day(day, self.zone):
            day -= timedelta(days=1)
            left -= left > 0 and is_school_day(day, self.zone)
        return datetime.combine(day, self.at, CITY)
