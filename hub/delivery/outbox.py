"""Take what is due in the outbox to its sink: one lane, one row after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hub.model.errors import Transient
from hub.model.notice import Urgency
from hub.model.sink import Later, Message, Outcome, Refused, Sent, Unsure
from hub.repeating import back_off

BUSY_REST, IDLE_REST = 0.0, 0.2
AT_ONCE = 100


class Row(Protocol):
    """A row of the outbox that is due."""

    @property
    def id(self) -> str:
        """Stable id; also the sink's reference."""

    @property
    def channel(self) -> str:
        """How it goes out."""

    @property
    def topic(self) -> str:
        """What it is about."""

    @property
    def citizen(self) -> str | None:
        """To whom it goes."""

    @property
    def attempts(self) -> int:
        """How often it was tried before."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """What to deliver."""

    @property
    def until(self) -> int | None:
        """When it stops being of use."""

    @property
    def begun(self) -> bool:
        """Whether a former try may have reached the provider."""


class Links(Protocol):
    """The table, as the relay of links sees it; times are UTC milliseconds."""

    def due(self, channel: str, now: int, limit: int) -> Sequence[Any]:
        """Return rows to deliver, oldest first."""
        ...

    def sent(self, row_id: str, now: int) -> None:
        """Mark a row as done."""
        ...


class Outbox(Protocol):
    """The table, as a sink sees it; times are UTC milliseconds."""

    def parcels(self, channel: str, urgency: Urgency, now: int, limit: int) -> Sequence[Row]:
        """Return rows of one lane to deliver, oldest first."""
        ...

    def begin(self, row_id: str, now: int) -> None:
        """Remember that the provider may have a row from now on."""
        ...

    def sent(self, row_id: str, now: int) -> None:
        """Mark a row as done."""
        ...

    def later(self, row_id: str, at: int, code: str) -> None:
        """Try again at a later moment what may have arrived."""
        ...

    def postponed(self, row_id: str, at: int, code: str) -> None:
        """Try again at a later moment what has certainly not arrived."""
        ...

    def refused(self, row_id: str, now: int, code: str) -> None:
        """Mark a row as refused for ever: visible, with its way back."""
        ...

    def ended(self, row_id: str, now: int, state: str, code: str) -> None:
        """Mark a row as done in another way."""
        ...


Told = Callable[[str, str], None]
"""`(what became of it, code)`."""


def _now() -> int:
    return time.time_ns() // 1_000_000


class SinkTurn:
    """A turn for `Repeating`: take what is due in one lane of a channel to its sink."""

    def __init__(
        self,
        outbox: Outbox,
        channel: str,
        urgency: Urgency,
        compose: Callable[[Row], Message],
        deliver: Callable[[Message, Callable[[], None]], Outcome],
        bounced: Callable[[Row], None],
        told: Told,
        clock: Callable[[], int] = _now,
    ) -> None:
        """`deliver` runs a sink for a message; `bounced` hears of addresses that nothing will ever reach.

        `told` is called for each row with what became of it, and a code.
        """
        self._outbox = outbox
        self._channel = channel
        self._urgency = urgency
        self._compose = compose
        self._deliver = deliver
        self._bounced = bounced
        self._told = told
        self._clock = clock

    def __call__(self, halt: threading.Event) -> float:
        """Deliver what is due; a provider that is away ends the turn, a single bad address does not."""
        rows = self._outbox.parcels(self._channel, self._urgency, self._clock(), AT_ONCE)
        for row in rows:
            if halt.is_set():
                break
            self._take(row)
        return BUSY_REST if len(rows) == AT_ONCE else IDLE_REST

    def _take(self, row: Row) -> None:
        now = self._clock()
        # Who may have it already is asked all the same: what arrived is not called expired.
        if row.until is not None and row.until <= now and not row.begun:
            self._outbox.ended(row.id, now, "expired", "too_late")
            self._told("expired", "too_late")
            return
        try:
            message = self._compose(row)
        except Exception:
            # A row that cannot be written must not hold up those behind it.
            self._outbox.refused(row.id, self._clock(), "unwritable")
            self._told("refused", "unwritable")
            return
        try:
            outcome = self._deliver(message, lambda: self._outbox.begin(row.id, self._clock()))
        except Transient as error:
            self._outbox.later(row.id, self._at(row, error.retry_after), "away")
            self._told("later", "away")
            raise
        self._settle(row, outcome)

    def _settle(self, row: Row, outcome: Outcome) -> None:
        match outcome:
            case Sent():
                self._outbox.sent(row.id, self._clock())
                self._told("sent", "")
            case Refused(code, bounced):
                self._outbox.refused(row.id, self._clock(), code)
                if bounced:
                    self._bounced(row)
                self._told("refused", code)
            case Later(code, retry_after):
                self._outbox.postponed(row.id, self._at(row, retry_after), code)
                self._told("later", code)
            case Unsure(code):
                self._outbox.ended(row.id, self._clock(), "unsure", code)
                self._told("unsure", code)

    def _at(self, row: Row, retry_after: float | None) -> int:
        return self._clock() + int(back_off(row.attempts + 1, retry_after) * 1000)


class RelayTurn:
    """A turn for `Repeating`: tell Kafka what SQL decided about links, in the order of decision."""

    def __init__(self, outbox: Links, publish: Callable[[Mapping[str, Any]], None], told: Told) -> None:
        """`publish` writes one link set and returns once the broker has it."""
        self._outbox = outbox
        self._publish = publish
        self._told = told

    def __call__(self, halt: threading.Event) -> float:
        """Relay what is due; the first that fails ends the turn, so that no version overtakes another."""
        rows = self._outbox.due("identity", _now(), AT_ONCE)
        for row in rows:
            if halt.is_set():
                break
            self._publish(row.payload)
            self._outbox.sent(row.id, _now())
            self._told("sent", "")
        return BUSY_REST if len(rows) == AT_ONCE else IDLE_REST / 4
