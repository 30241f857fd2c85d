"""What the city's streams make of events, as the store asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time

from hub import catalogue
from hub.config import Notifications
from hub.model.event import StoredEvent
from hub.model.notice import Again, Concerned, Notice, Recipient, Waiting
from streams import notify
from streams.open_data.counting import countable
from streams.open_data.dataset import finest


class CityPolicy:
    """The streams, with the city's settings."""

    deaths = notify.DEATHS

    def __init__(self, settings: Notifications) -> None:
        """Write to people when `settings` say so."""
        self._manners = manners(settings)
        self._counted = finest(list(catalogue.datasets().values()))

    def notices(self, concerned: Concerned, now: datetime) -> Iterable[Notice]:
        """Decide who is told, and when."""
        return notify.decide(concerned, now, self._manners)

    def again(self, now: datetime) -> Callable[[Sequence[Waiting], Mapping[str, Recipient]], Iterable[Again]]:
        """Return what decides about notices that are due now."""
        return lambda waiting, recipients: notify.again(waiting, recipients, now, self._manners)

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Decide what is counted."""
        return countable(self._counted, event.type, datetime.fromtimestamp(event.time / 1000, UTC), event.payload)


def manners(settings: Notifications) -> notify.Manners:
    """Read the settings as the stream takes them."""
    return notify.Manners(
        quiet_from=time.fromisoformat(settings.quiet_from),
        quiet_until=time.fromisoformat(settings.quiet_until),
        cap=settings.cap,
        digest_at=time.fromisoformat(settings.digest_at),
        working_days=settings.working_days,
        cut_off=time.fromisoformat(settings.cut_off) if settings.cut_off else None,
        cut_off_days=settings.cut_off_days,
        school_zone=settings.school_zone,
    )
