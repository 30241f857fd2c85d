"""Koha by REST: lists that are compared, and notices that come before the next list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.sources.library.koha import source
from hub import catalogue
from hub.model.decision import Deliver
from hub.model.errors import Transient
from hub.model.intake import Answer, Call, Emit, Get, Refusal, Subjects
from hub.pipeline.process import process
from hub.testing.samples import READ_AT, record

CONNECTOR = catalogue.connectors()["koha"]
AT = int(READ_AT.timestamp() * 1000)


def ask(patrons: list[str], answers: list[Answer]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Poll; return what was asked, and what was written."""
    asked: list[tuple[str, str]] = []
    written: list[tuple[str, str]] = []
    work = source.poll({}, {})
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Subjects):
                answer = patrons
            elif isinstance(wish, Get):
                asked.append((wish.path, wish.params["patron_id"]))
                answer = answers.pop(0)
            elif isinstance(wish, Emit):
                written.append((wish.feed, wish.key))
    except StopIteration:
        return asked, written


def test_linked_patrons_are_asked_about_and_nobody_else() -> None:
    """A refusal about one list says nothing of it, and keeps nobody else from being asked about."""
    good, gone = Answer(200, {}, b"[]", 1), Answer(404, {}, b"{}", 1)
    asked, written = ask(["1", "2"], [good, gone, good, good])
    assert [path for path, _ in asked] == ["/api/v1/checkouts", "/api/v1/holds"] * 2
    assert written == [("checkouts", "koha:1"), ("checkouts", "koha:2"), ("holds", "koha:2")]
    assert ask([], []) == ([], [])
    with pytest.raises(Transient, match="every patron"):
        ask(["1"], [gone, gone])
    with pytest.raises(Transient, match="login"):
        ask(["1"], [Answer(302, {}, b"", 1)])


def call(body: Any, feed: str = "notice") -> Emit | Refusal:
    """Call the hub."""
    return source.receive(Call(feed, body if isinstance(body, bytes) else json.dumps(body).encode(), {}, AT))


def test_a_notice_counts_once_under_its_message_and_stands_in_its_patrons_order() -> None:
    """What cannot be placed is refused by name."""
    taken = call({"notice_type": "HOLD", "message_id": 7, "patron_id": 12})
    assert isinstance(taken, Emit)
    assert (taken.key, taken.raw_id) == ("koha:12", "7")
    refused = [
        call({"message_id": 7}),
        call({"message_id": "x", "patron_id": 1}),
        call([]),
        call(b"{"),
        call({}, "other"),
    ]
    assert [one.detail for one in refused if isinstance(one, Refusal)] == [
        "patron_id: missing, or not an id",
        "message_id: missing, or not an id",
        "body: not an object",
        "body: not JSON",
        "no such feed",
    ]


def test_a_hold_is_ready_once_whether_the_notice_or_the_list_comes_first() -> None:
    """And a list that was written before the notice does not take it back."""

    def hold(status: str | None) -> list[dict[str, Any]]:
        return [{"hold_id": 1, "patron_id": 12, "biblio_id": 3, "pickup_library_id": "BD", "status": status}]

    told = {"notice_type": "HOLD", "message_id": 9, "patron_id": 12, "hold_id": 1}
    for order in (
        [("holds", hold(None)), ("notice", told), ("holds", hold(None)), ("holds", hold("W"))],
        [("holds", hold(None)), ("holds", hold("W")), ("notice", told)],
        [("notice", told), ("holds", hold("W")), ("notice", told)],
    ):
        state, heard = None, []
        for number, (feed, body) in enumerate(order):
            said = record(CONNECTOR, feed, json.dumps(body).encode(), offset=number, key="koha:12")
            outcome = process(said._replace(read_at=AT + number), CONNECTOR, catalogue.schemas(), state)
            state = outcome.state
            heard += [type(one.event.payload).__name__ for one in outcome.decisions if isinstance(one, Deliver)]
        assert heard == ["HoldPlaced", "HoldReady"]
