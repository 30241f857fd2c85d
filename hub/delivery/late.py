"""What of the outbox will be too late, for who watches over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from streams import deadlines


class Queue(Protocol):
    """The outbox, as this look sees it."""

    def queued(self, now: int, by: int) -> Sequence[tuple[str, str, str, int, int, int]]:
        """Return what has not gone out and has to by a moment."""
        ...

    def lanes(self, now: int, over: int) -> Mapping[tuple[str, str], tuple[int | None, int]]:
        """Return how each lane gets on."""
        ...


def too_late(queue: Queue, now: datetime) -> tuple[deadlines.Miss, ...]:
    """Hold what has not gone out against the moments by which it has to."""
    moment = int(now.timestamp() * 1000)
    queued = queue.queued(moment, int((now + deadlines.HORIZON).timestamp() * 1000))
    lanes = queue.lanes(moment, deadlines.PACE // timedelta(milliseconds=1))
    return deadlines.misses(
        (deadlines.Queued(*row) for row in queued),
        {name: deadlines.Lane(*lane) for name, lane in lanes.items()},
        now,
    )
