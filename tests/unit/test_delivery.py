"""Mail says what happened in plain French; open-data files are valid, whole and named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from hub.delivery.mail import Refused, Server, compose, send
from hub.delivery.outbox import MailTurn, RelayTurn
from hub.model.errors import Transient
from hub.store import Row

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)


class Inbox:
    """An SMTP server that answers as told."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.received: list[Any] = []

    async def handle_RCPT(self, *args: Any) -> str:
        """Answer for the recipient."""
        if self.answer.startswith("250"):
            args[2].rcpt_tos.append(args[3])
        return self.answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Take the message."""
        self.received.append(envelope.content)
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, Server]]:
    """Run a server on a free port."""
    box = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, Server("127.0.0.1", port, "hub@grenoble.example")
    controller.stop()


def test_a_mail_keeps_its_message_id(inbox: tuple[Inbox, Server]) -> None:
    """The same row gives the same Message-ID, so that a repeated send is recognised."""
    box, server = inbox
    for _ in range(2):
        send(
            server,
            compose(
                "row-1",
                server.sender,
                "a@b.example",
                "meal_booked",
                {"meal_date": "mardi 10 mars", "activity": "déjeuner"},
            ),
        )
    assert len(box.received) == 2
    assert all(b"<row-1@grenoble.example>" in content for content in box.received)


@pytest.mark.parametrize(("answer", "error"), [("550 no such user", Refused), ("451 later", Transient)])
def test_refusals_are_told_apart(inbox: tuple[Inbox, Server], answer: str, error: type[Exception]) -> None:
    """5xx is for ever, 4xx is for now."""
    box, server = inbox
    box.answer = answer
    with pytest.raises(error):
        send(server, compose("row-1", server.sender, "a@b.example", "loan_overdue", {"due_date": "lundi 9 mars"}))


def test_a_missing_server_is_waited_for() -> None:
    """No connection is temporary."""
    with pytest.raises(Transient):
        send(Server("127.0.0.1", 9, "a@b.example"), compose("r", "a@b.example", "c@d.example", "hold_ready", {}))


def test_a_value_cannot_start_a_header() -> None:
    """A line break in a vendor's title stays within the subject."""
    message = compose(
        "r", "a@b.example", "c@d.example", "disruption_published", {"lines": "48\r\nBcc: x@y.example", "title": "t"}
    )
    assert "Bcc" not in message


class Rows:
    """An outbox in memory."""

    def __init__(self, *payloads: dict[str, Any]) -> None:
        self.rows = [Row(f"r{n}", "mail", "t", "s", payload, 0) for n, payload in enumerate(payloads)]
        self.marks: dict[str, str] = {}

    def due(self, channel: str, now: int, limit: int) -> list[Row]:
        return [row for row in self.rows if row.id not in self.marks]

    def sent(self, row_id: str, now: int) -> None:
        self.marks[row_id] = "sent"

    def later(self, row_id: str, at: int, code: str) -> None:
        self.marks[row_id] = f"later {code}"

    def refused(self, row_id: str, now: int, code: str) -> None:
        self.marks[row_id] = f"refused {code}"


def test_a_row_that_cannot_be_written_holds_up_nobody(inbox: tuple[Inbox, Server]) -> None:
    """It is refused, visibly, and the next goes out."""
    box, server = inbox
    good = {"address": "a@b.example", "template": "hold_ready", "values": {}}
    rows = Rows({"address": "a@b.example", "template": "nothing", "values": {}}, good)
    MailTurn(rows, server, lambda _result, _code: None)(threading.Event())
    assert rows.marks == {"r0": "refused unwritable", "r1": "sent"}
    assert len(box.received) == 1


def test_links_are_relayed_in_order_and_wait_behind_a_failure() -> None:
    """A version that cannot be told is not overtaken."""
    rows = Rows({"version": 1}, {"version": 2}, {"version": 3})
    told: list[int] = []

    def publish(payload: Any) -> None:
        if payload["version"] == 2 and len(told) == 1:
            raise Transient("Kafka away")
        told.append(payload["version"])

    turn = RelayTurn(rows, publish, lambda _result, _code: None)
    with pytest.raises(Transient):
        turn(threading.Event())
    assert (told, rows.marks) == ([1], {"r0": "sent"})
    told.append(0)
    turn(threading.Event())
    assert told == [1, 0, 2, 3]
