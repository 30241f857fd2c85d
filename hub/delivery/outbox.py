"""Take what is due in the outbox to its sink, one row after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, Protocol

from hub.delivery.mail import Refused, Server, compose, send
from hub.model.errors import Transient
from hub.repeating import back_off

BUSY_REST, IDLE_REST = 0.0, 0.2
AT_ONCE = 100


class Row(Protocol):
    """A row of the outbox that is due."""

    @property
    def id(self) -> str:
        """Stable id; also the sink's idempotency key."""

    @property
    def attempts(self) -> int:
        """How often it was tried before."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """What to deliver."""


class Outbox(Protocol):
    """The table, as delivery sees it; times are UTC milliseconds."""

    def due(self, channel: str, now: int, limit: int) -> Sequence[Row]:
        """Return rows to deliver, oldest first."""
        ...

    def sent(self, row_id: str, now: int) -> None:
        """Mark a row as done."""
        ...

    def later(self, row_id: str, at: int, code: str) -> None:
        """Try again at a later moment."""
        ...

    def refused(self, row_id: str, now: int, code: str) -> None:
        """Mark a row as refused for ever: visible, with its way back."""
        ...


Told = Callable[[str, str], None]
"""`(what became of it, code)`."""


def _now() -> int:
    return time.time_ns() // 1_000_000


class MailTurn:
    """A turn for `Repeating`: send the mails that are due."""

    def __init__(self, outbox: Outbox, server: Server, told: Told) -> None:
        """`told` is called for each row with `sent`, `later` or `refused`, and a code."""
        self._outbox = outbox
        self._server = server
        self._told = told

    def __call__(self, halt: threading.Event) -> float:
        """Send what is due; a server that is away ends the turn, a single bad address does not."""
        rows = self._outbox.due("mail", _now(), AT_ONCE)
        for row in rows:
            if halt.is_set():
                break
            try:
                message = self._message(row)
            except Exception:
                # A row that cannot be written must not hold up those behind it.
                self._outbox.refused(row.id, _now(), "unwritable")
                self._told("refused", "unwritable")
                continue
            try:
                send(self._server, message)
            except Refused as error:
                self._outbox.refused(row.id, _now(), error.code)
                self._told("refused", error.code)
            except Transient as error:
                wait = back_off(row.attempts + 1, error.retry_after)
                self._outbox.later(row.id, _now() + int(wait * 1000), "smtp_away")
                self._told("later", "smtp_away")
                raise
            else:
                self._outbox.sent(row.id, _now())
                self._told("sent", "")
        return BUSY_REST if len(rows) == AT_ONCE else IDLE_REST

    def _message(self, row: Row) -> EmailMessage:
        payload = row.payload
        return compose(row.id, self._server.sender, payload["address"], payload["template"], payload["values"])


class RelayTurn:
    """A turn for `Repeating`: tell Kafka what SQL decided about links, in the order of decision."""

    def __init__(self, outbox: Outbox, publish: Callable[[Mapping[str, Any]], None], told: Told) -> None:
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
