"""What will be too late is known before it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams.deadlines import PACE, Lane, Miss, Queued, misses

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def queue(count: int, starts: datetime = NOW) -> list[Queued]:
    return [Queued("mail", "normal", "canteen", milliseconds(AT), milliseconds(starts), n + 1) for n in range(count)]


def lane(minutes_behind: float, sent: int) -> dict[tuple[str, str], Lane]:
    return {("mail", "normal"): Lane(milliseconds(NOW - timedelta(minutes=minutes_behind)), sent)}


def test_what_a_slow_lane_does_not_reach_will_miss_the_cut_off() -> None:
    """At a hundred in five minutes, 437 rows are 37 too many for twenty minutes."""
    assert misses(queue(437), lane(2, 100), NOW) == (Miss("mail", "canteen", AT, 37),)


def test_a_provider_that_is_away_lets_everything_miss() -> None:
    """Nothing went out for minutes."""
    assert misses(queue(3), lane(10, 0), NOW) == (Miss("mail", "canteen", AT, 3),)


def test_a_lane_that_keeps_up_misses_nothing() -> None:
    """Little went out because there was little."""
    assert misses(queue(3), lane(0.5, 0), NOW) == ()
    assert misses(queue(3), {}, NOW) == ()


def test_what_waits_for_a_later_moment_misses_it_for_certain() -> None:
    """A retry that comes after the cut-off is none."""
    assert misses(queue(2, starts=AT), {}, NOW) == (Miss("mail", "canteen", AT, 2),)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50))
def test_more_pace_never_makes_more_late(rows: int, sent: int, more: int) -> None:
    """And no more is late than there is."""
    slow = sum(miss.notices for miss in misses(queue(rows), lane(5, sent), NOW))
    fast = sum(miss.notices for miss in misses(queue(rows), lane(5, sent + more), NOW))
    assert fast <= slow <= rows
    assert misses(queue(rows), lane(5, int(rows * PACE / (AT - NOW)) + 1), NOW) == ()
