"""When the city works and when there is school: days of Metropolitan France, by zone of school holidays.

A year that the table of school holidays does not know yet has none: a day counts as a school day rather than
as a holiday, so that nobody is told too late what could still be done.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
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


def cut_off(day: date, at: time, days: int, zone: str) -> datetime:
    """Return the last moment to change what is for `day`: at a local time, so many school days before."""
    while days:
        day -= timedelta(days=1)
        days -= is_school_day(day, zone)
    return datetime.combine(day, at, CITY)
