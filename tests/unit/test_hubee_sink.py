"""HubEE is told what was decided, and never taken back to where others have moved on from."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sinks.hubee.simulator import Simulator
from connectors.sinks.hubee.sink import deliver
from hub.model.errors import Denied
from hub.model.intake import Answer, Get, Patch, Post
from hub.model.sink import Message, Outcome, Refused, Sent

NONE = Answer(404, {}, b"{}", 0)
OK = Answer(204, {}, b"", 0)


def decision(case: str = "9a1d", status: str = "DONE") -> Message:
    return Message("row", "hubee", "requests", "", "", "", payload={"case": case, "status": status, "message": ""})


def told(message: Message, *answers: Answer | Exception) -> tuple[list[Any], Outcome]:
    """Answer a delivery's wishes; return them, and what became of it."""
    delivery = deliver(message, Simulator.settings)
    wishes = [next(delivery)]
    try:
        for answer in answers:
            wish = delivery.throw(answer) if isinstance(answer, Exception) else delivery.send(answer)
            wishes.append(wish)
    except StopIteration as end:
        return wishes, end.value
    raise AssertionError(wishes[-1])


def case(text: bytes) -> Answer:
    return Answer(200, {}, text, 0)


def test_the_procedure_that_knows_the_case_is_used() -> None:
    """One whose credentials are refused does not hold up another's case."""
    wishes, outcome = told(decision(), Denied("no"), case(b'{"status": "SI_RECEIVED", "events": []}'), OK, OK)
    assert outcome == Sent()
    assert [(type(wish), wish.auth) for wish in wishes] == [
        (Get, "CERTDC"),
        (Get, "EtatCivil"),
        (Patch, "EtatCivil"),
        (Post, "EtatCivil"),
    ]


def test_a_case_that_was_closed_meanwhile_is_not_opened_again() -> None:
    """The clerk sees that the decision was refused."""
    _, outcome = told(decision(status="ADD_AWAITING"), case(b'{"status": "REFUSED", "events": []}'))
    assert outcome == Refused("closed")


def test_a_decision_that_stands_there_is_not_told_again() -> None:
    """Though somebody has moved the case on since."""
    stands = b'{"status": "IN_PROGRESS", "events": [{"partnerAttributes": "decision=row"}]}'
    wishes, outcome = told(decision(), case(stands))
    assert (len(wishes), outcome) == (1, Sent())


def test_a_case_that_nobody_knows_is_refused_but_not_while_somebody_is_not_let_in() -> None:
    """Wrong credentials are ours to mend: the decision waits."""
    assert told(decision(), NONE, NONE)[1] == Refused("no_case")
    with pytest.raises(Denied):
        told(decision(), NONE, Denied("no"))


def test_a_case_number_cannot_lead_elsewhere() -> None:
    """It stands in a path."""
    delivery = deliver(decision("../folders/1"), Simulator.settings)
    with pytest.raises(StopIteration) as end:
        next(delivery)
    assert end.value.value == Refused("no_case")
