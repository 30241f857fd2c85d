"""Mail says what happened in plain French; open-data files are valid, whole and named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from hub.delivery.mail import Server, compose, send
from hub.delivery.outbox import RelayTurn, SinkTurn
from hub.delivery.words import compose as in_words
from hub.model.errors import Transient
from hub.model.notice import Urgency
from hub.model.sink import Later, Message, Outcome, Refused, Reply, Sent, Unsure
from hub.store.notices import Parcel

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


def message(**about: Any) -> Message:
    return Message(**{"id": "row-1", "channel": "mail", "topic": "t", "address": "a@b.example", "subject": "S",
                      "text": "Bonjour\n", **about})  # fmt: skip


def test_a_mail_keeps_its_message_id(inbox: tuple[Inbox, Server]) -> None:
    """The same row gives the same Message-ID, so that a repeated send is recognised."""
    box, server = inbox
    assert [send(server, message()) for _ in range(2)] == [Reply(250)] * 2
    assert len(box.received) == 2
    assert all(b"<row-1@grenoble.example>" in content for content in box.received)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("550 5.1.1 no such user", Reply(550, "5.1.1")),
        ("451 later", Reply(451)),
        ("552 5.2.2 full", Reply(552, "5.2.2")),
    ],
)
def test_what_the_server_answers_is_heard(inbox: tuple[Inbox, Server], answer: str, reply: Reply) -> None:
    """Status and, where it says one, the enhanced status."""
    box, server = inbox
    box.answer = answer
    assert send(server, message()) == reply


def test_a_missing_server_is_waited_for() -> None:
    """No connection is temporary."""
    with pytest.raises(Transient):
        send(Server("127.0.0.1", 9, "a@b.example"), message())


def test_a_value_cannot_start_a_header() -> None:
    """A line break in a vendor's title stays within the subject."""
    payload = {
        "address": "c@d.example",
        "template": "disruption_published",
        "values": {"lines": "48\r\nBcc: x@y.example", "title": "t"},
    }
    row = Parcel("r", "mail", "disruptions", None, "s", payload, 0, None, begun=False)
    assert "Bcc" not in compose(Server("", 25, "a@b.example"), in_words(row, None))


class Rows:
    """An outbox in memory."""

    def __init__(self, *payloads: dict[str, Any], until: int | None = None, begun: bool = False) -> None:
        self.rows = [
            Parcel(f"r{n}", "mail", "t", "c", "s", payload, 0, until, begun) for n, payload in enumerate(payloads)
        ]
        self.marks: dict[str, str] = {}

    def parcels(self, channel: str, urgency: Urgency, now: int, limit: int) -> list[Parcel]:
        return [row for row in self.rows if row.id not in self.marks]

    def due(self, channel: str, now: int, limit: int) -> list[Parcel]:
        return [row for row in self.rows if row.id not in self.marks]

    def begin(self, row_id: str, now: int) -> None:
        self.rows = [row._replace(begun=True) if row.id == row_id else row for row in self.rows]

    def sent(self, row_id: str, now: int) -> None:
        self.marks[row_id] = "sent"

    def later(self, row_id: str, at: int, code: str) -> None:
        self.marks[row_id] = f"later {code}"

    def postponed(self, row_id: str, at: int, code: str) -> None:
        self.marks[row_id] = f"postponed {code}"

    def refused(self, row_id: str, now: int, code: str) -> None:
        self.marks[row_id] = f"refused {code}"

    def ended(self, row_id: str, now: int, state: str, code: str) -> None:
        self.marks[row_id] = f"{state} {code}"


GOOD = {"address": "a@b.example", "template": "hold_ready", "values": {}}


def turn(rows: Rows, deliver: Callable[..., Outcome], bounced: Callable[..., None] = lambda _row: None) -> None:
    """Run one turn of a lane."""
    SinkTurn(
        rows,
        "mail",
        Urgency.NORMAL,
        lambda row: in_words(row, None),
        lambda what, _begin: deliver(what),
        bounced,
        lambda _result, _code: None,
        lambda: 1000,
    )(threading.Event())


def test_a_row_that_cannot_be_written_holds_up_nobody() -> None:
    """It is refused, visibly, and the next goes out."""
    rows = Rows({"address": "a@b.example", "template": "nothing", "values": {}}, GOOD)
    turn(rows, lambda _message: Sent())
    assert rows.marks == {"r0": "refused unwritable", "r1": "sent"}


def test_what_became_of_a_row_is_marked() -> None:
    """Each outcome has its state; only a dead address is told of."""
    outcomes = iter([Refused("smtp_550", bounced=True), Refused("smtp_552"), Later("smtp_451"), Unsure("lost")])
    rows, dead = Rows(GOOD, GOOD, GOOD, GOOD), list[str]()
    turn(rows, lambda _message: next(outcomes), lambda row: dead.append(row.id))
    assert rows.marks == {
        "r0": "refused smtp_550",
        "r1": "refused smtp_552",
        "r2": "postponed smtp_451",
        "r3": "unsure lost",
    }
    assert dead == ["r0"]


def test_what_is_of_no_use_any_more_is_not_sent() -> None:
    """It expires, unless it may have arrived: then the sink finds out."""
    rows = Rows(GOOD, until=1000)
    turn(rows, lambda _message: Sent())
    assert rows.marks == {"r0": "expired too_late"}
    begun = Rows(GOOD, until=1000, begun=True)
    turn(begun, lambda _message: Sent())
    assert begun.marks == {"r0": "sent"}


def test_a_provider_that_is_away_ends_the_turn() -> None:
    """The row is tried again, and those behind it are not tried in vain."""
    rows = Rows(GOOD, GOOD)

    def away(_message: Message) -> Outcome:
        raise Transient("away")

    with pytest.raises(Transient):
        turn(rows, away)
    assert rows.marks == {"r0": "later away"}


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
