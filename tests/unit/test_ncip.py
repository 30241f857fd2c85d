"""NCIP: one order per item, whoever has it, with a namespace or without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.sources.library.ncip import source
from hub import catalogue
from hub.model.decision import Deliver, Quarantine, Skip
from hub.model.errors import Code
from hub.model.intake import Call, Emit, Refusal
from hub.pipeline.process import process
from hub.testing.samples import golden, record, samples

CONNECTOR = catalogue.connectors()["ncip"]
SAMPLES = {sample.name: sample for sample in samples(CONNECTOR)}


def call(body: bytes, feed: str = "message") -> Emit | Refusal:
    return source.receive(Call(feed, body, {}, 1))


def test_the_messages_of_an_item_stand_in_one_order() -> None:
    """Whatever says them, and though only one of them names who has it."""
    lent, back = (call(SAMPLES[name].record.value or b"") for name in ("checked_out", "returned"))
    assert isinstance(lent, Emit)
    assert isinstance(back, Emit)
    assert (lent.key, back.key) == ("ncip:relais/tl-a11", "ncip:/peb-1")


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "body: not XML"),
        (b"<NCIPMessage><LookupUser/></NCIPMessage>", 422, "NCIPMessage.*.ItemId: missing, or not an identifier"),
        (b"<a/>", 422, "NCIPMessage.*.ItemId: missing, or not an identifier"),
    ],
)
def test_what_cannot_be_placed_is_refused_by_name(body: bytes, status: int, detail: str) -> None:
    """Without the value."""
    assert call(body) == Refusal(status, detail)
    assert call(body, "other") == Refusal(404, "no such feed")


def test_a_loan_that_is_told_again_is_the_same_and_the_next_is_another() -> None:
    """Its request tells them apart; a return by its copy alone would look like the return before."""
    memory: bytes | None = None
    ids: list[str] = []
    told: list[str] = []
    lent = (SAMPLES["without_namespace"].record.value or b"").replace(b"demande-2", b"demande-%d")
    back = SAMPLES["returned"].record.value or b""
    for number, body in enumerate([lent % 1, lent % 1, back, back, lent % 1, lent % 2, back]):
        said = record(CONNECTOR, "message", body, offset=number, key="ncip:ESSAI/peb-1")
        outcome = process(said, CONNECTOR, catalogue.schemas(), memory)
        memory = outcome.state
        for decision in outcome.decisions:
            if isinstance(decision, Deliver):
                ids.append(decision.event.id)
                told.append(decision.event.type.rpartition(".")[2])
            else:
                assert isinstance(decision, Skip)
                told.append(decision.reason)
    assert told == [
        "LoanStarted",
        "told before",
        "LoanReturned",
        "not lent",
        "told before",
        "LoanStarted",
        "LoanReturned",
    ]
    assert len(set(ids)) == 4


def test_names_and_titles_end_at_the_edge() -> None:
    """Though messages hold them."""
    assert b"Belledonne" in (SAMPLES["without_namespace"].record.value or b"")
    told: Any = "".join(golden(CONNECTOR, sample) for sample in SAMPLES.values())
    assert not [word for word in ("Belledonne", "Essai<", "glaciers", "Surname") if word in told]


@pytest.mark.parametrize("user", [["x"], "", None, 7])
def test_memory_that_was_tampered_with_names_no_subject(user: Any) -> None:
    """An event about nobody would be nobody's to put right."""
    memory = json.dumps({"user": user, "request": "demande-1", "lent": True}).encode()
    said = record(CONNECTOR, "message", SAMPLES["returned"].record.value or b"", offset=1, key="ncip:ESSAI/peb-1")
    (found,) = process(said, CONNECTOR, catalogue.schemas(), memory).decisions
    assert isinstance(found, Quarantine)
    assert found.code is Code.BUG
