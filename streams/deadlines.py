"""What will be too late before it is: a pure look at what has not gone out yet.

Every notice carries the moment until which it is of use, and some a cut-off before it; which these are, its event's
rule and the city's calendar say.  A notice misses its moment if it does not even wait for an earlier one, or if its
lane is behind and does not get to it in time at the pace of the last minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

HORIZON = timedelta(hours=3)
"""How far ahead is looked."""
PACE = timedelta(minutes=5)
"""Time over which a lane's pace is measured."""
BEHIND = timedelta(seconds=60)
"""A lane whose next row waits for so long is behind; one that is not gets to everything in time."""


class Queued(NamedTuple):
    """A row of the outbox that has not gone out."""

    channel: str
    urgency: str
    topic: str
    until: int
    """UTC milliseconds."""
    starts: int
    """When it may go out at the earliest."""
    rank: int
    """How many rows of its lane go out up to it."""


class Lane(NamedTuple):
    """How a lane of a channel gets on."""

    oldest: int | None
    """Since when its next row waits, UTC milliseconds."""
    sent: int
    """Rows that went out in the last minutes, `PACE`."""


class Miss(NamedTuple):
    """Notices of one topic that will be too late for one moment."""

    channel: str
    topic: str
    at: datetime
    notices: int


def misses(queued: Iterable[Queued], lanes: Mapping[tuple[str, str], Lane], now: datetime) -> tuple[Miss, ...]:
    """Return what will be too late, the next first."""
    moment = int(now.timestamp() * 1000)
    found: Counter[tuple[int, str, str]] = Counter()
    for row in queued:
        lane = lanes.get((row.channel, row.urgency), Lane(None, 0))
        behind = lane.oldest is not None and moment - lane.oldest > BEHIND / timedelta(milliseconds=1)
        left = lane.sent * (row.until - moment) / (PACE / timedelta(milliseconds=1))
        if row.starts >= row.until or (behind and row.rank > left):
            found[row.until, row.channel, row.topic] += 1
    return tuple(
        Miss(channel, topic, datetime.fromtimestamp(until / 1000, UTC), count)
        for (until, channel, topic), count in sorted(found.items())
    )
