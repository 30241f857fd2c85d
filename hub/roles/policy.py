"""What the city's streams make of events, as the store asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time

from hub import catalogue
from hub.config import Settings
from hub.model.event import StoredEvent
from hub.model.notice import Again, Concerned, Notice, Recipient, Waiting
from streams import notify
from streams.open_data.counting import countable
from streams.open_data.dataset import finest


class CityPolicy:
    """The streams, with the city's settings."""

    deaths = notify.DEATHS

    def __init__(self, settings: Settings) -> None:
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


def manners(settings: Settings) -> notify.Manners:
    """Read the settings as the stream takes them."""
    notifications = settings.notifications
    return notify.Manners(
        quiet_from=time.fromisoformat(notifications.quiet_from),
        quiet_until=time.fromisoformat(notifications.quiet_until),
        cap=notifications.cap,
        digest_at=time.fromisoformat(notifications.digest_at),
        working_days=notifications.working_days,
        cut_off=settings.canteen.cut_off(),
    )
