"""FOLIO: lists that are compared, if they are whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.sources.library.folio import source
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Transient
from hub.model.intake import Answer, Emit, Get, Subjects
from hub.pipeline.process import process
from hub.testing.samples import record

CONNECTOR = catalogue.connectors()["folio"]
PATRON = "4f0e711c-d583-41e0-9555-b62f1725023f"


def ask(patrons: list[str], answers: list[Answer]) -> tuple[list[Get], list[tuple[str, str]]]:
    """Poll; return what was asked, and what was written."""
    asked: list[Get] = []
    written: list[tuple[str, str]] = []
    work = source.poll({}, {"tenant": "essai"})
    answer: Any = None
    try:
        while True:
            wish = work.send(answer)
            answer = None
            if isinstance(wish, Subjects):
                answer = patrons
            elif isinstance(wish, Get):
                asked.append(wish)
                answer = answers.pop(0)
            elif isinstance(wish, Emit):
                written.append((wish.feed, wish.key))
    except StopIteration:
        return asked, written


def test_linked_patrons_are_asked_about_and_nobody_else() -> None:
    """A refusal about one list says nothing of it; what could break out of the query is asked about by nobody."""
    good, gone = Answer(200, {}, b"{}", 1), Answer(404, {}, b"{}", 1)
    asked, written = ask([PATRON, "2", '" or cql.allRecords=1 or id=="'], [good, gone, good, good])
    assert [wish.params["query"] for wish in asked] == [
        f'userId=="{PATRON}" and status.name=="Open"',
        f'requesterId=="{PATRON}"',
        'userId=="2" and status.name=="Open"',
        'requesterId=="2"',
    ]
    assert {wish.headers["X-Okapi-Tenant"] for wish in asked} == {"essai"}
    assert written == [("loans", f"folio:{PATRON}"), ("loans", "folio:2"), ("requests", "folio:2")]
    assert ask([], []) == ([], [])
    with pytest.raises(Transient, match="every patron"):
        ask(["1"], [gone, gone])
    with pytest.raises(Transient, match="login"):
        ask(["1"], [Answer(302, {}, b"", 1)])


def told(feed: str, document: Any, state: bytes | None = None) -> tuple[list[str], bytes | None]:
    """Decide an answer; return the kinds of events or the code, and the memory."""
    found = process(record(CONNECTOR, feed, json.dumps(document).encode()), CONNECTOR, catalogue.schemas(), state)
    kinds = []
    for decision in found.decisions:
        if isinstance(decision, Deliver):
            kinds.append(decision.event.type.rpartition(".")[2])
        elif isinstance(decision, Quarantine):
            kinds.append(decision.code)
    return kinds, found.state


def loan(name: str, due: str) -> dict[str, Any]:
    """Return a loan as FOLIO writes it."""
    return {"id": name, "userId": "sample", "itemId": "i", "status": {"name": "Open"}, "dueDate": due}


def test_a_page_of_a_longer_list_returns_nothing() -> None:
    """What is not on a page is not gone: a list counts if it holds as many entries as it says."""
    both = [loan("a", "2026-04-01T21:59:59Z"), loan("b", "2026-04-01T21:59:59Z")]
    kinds, state = told("loans", {"loans": both, "totalRecords": 2})
    assert kinds == ["LoanStarted"] * 2
    assert told("loans", {"loans": both[:1], "totalRecords": 2}, state)[0] == ["unmappable"]
    assert told("loans", {"loans": both[:1], "totalRecords": 1}, state)[0] == ["LoanReturned"]


def test_an_offset_is_read_however_it_is_written() -> None:
    """`Z`, `+00:00` and `+0000` are one moment, whose day is the city's: 22:30 UTC is the day after."""
    days = set()
    for written in ("2026-07-01T22:30:00Z", "2026-07-01T22:30:00.000+0000", "2026-07-01T22:30:00.000+00:00"):
        state = told("loans", {"loans": [loan("a", written)], "totalRecords": 1})[1]
        assert state is not None
        days.add(json.loads(state)["loans"]["a"]["due"])
    assert days == {"2026-07-02"}
    assert told("loans", {"loans": [loan("a", "2026-07-01")], "totalRecords": 1})[0] == ["invalid"]


def test_a_request_that_was_filled_is_not_cancelled() -> None:
    """Closed requests stay in the list, each with how it ended."""

    def wish(status: str) -> dict[str, Any]:
        return {"requests": [{"id": "r", "requesterId": "sample", "status": status}], "totalRecords": 1}

    kinds, placed = told("requests", wish("Open - Not yet filled"))
    assert kinds == ["HoldPlaced"]
    kinds, ready = told("requests", wish("Open - Awaiting pickup"), placed)
    assert kinds == ["HoldReady"]
    assert told("requests", wish("Closed - Filled"), ready)[0] == []
    assert told("requests", wish("Closed - Pickup expired"), ready)[0] == ["HoldCancelled"]
    assert told("requests", {"requests": [], "totalRecords": 0}, ready)[0] == []
    assert told("requests", {"requests": [], "totalRecords": 0}, placed)[0] == ["HoldCancelled"]
