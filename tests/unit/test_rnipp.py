"""Answers of the register: read where nothing has to be guessed, and nobody's name goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.civil_registry.rnipp.simulator import Simulator
from connectors.sources.civil_registry.rnipp.source import receive
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code
from hub.model.intake import Call, Emit, Refusal
from hub.model.record import Origin, Record
from hub.pipeline.process import process
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from schemas.models.civil_registry import Divergence

CONNECTOR = catalogue.connectors()["rnipp"]
SAMPLES = catalogue.folder(CONNECTOR) / "samples" / "answer"


def sample(name: str) -> bytes:
    (path,) = SAMPLES.glob(f"{name}.*")
    return path.read_bytes()


def taken(body: bytes) -> Emit:
    emit = receive(Call("answer", body, {}, 1_000))
    assert isinstance(emit, Emit)
    return emit


def decided(body: bytes) -> Any:
    emit = taken(body)
    assert emit.raw_id is not None
    origin = Origin("raw.rnipp", 1, 0, 1)
    record = Record("rnipp", emit.feed, emit.key.encode(), emit.value, emit.raw_id, emit.read_at, origin)
    (decision,) = process(record, CONNECTOR, catalogue.schemas()).decisions
    return decision


def test_a_second_declaration_within_the_root_is_passed_over() -> None:
    """Nothing has to be guessed: it says nothing about anybody."""
    payload = decided(sample("second_declaration_within_the_root")).event.payload
    assert (payload.answer_code, payload.individuals) == (4, 0)
    assert payload.divergences == (Divergence.BIRTH_DATE,)


def test_a_million_declarations_take_no_time() -> None:
    """What is passed over is looked for in one go, however long the answer."""
    assert decided(b"<?xml " * 600_000).code is Code.UNDECODABLE


def test_every_divergence_is_told() -> None:
    """Six booleans, and the order is always the same."""
    payload = decided(sample("all_six_divergences")).event.payload
    assert set(payload.divergences) == set(Divergence) - {Divergence.UNKNOWN}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("not_understood", Code.VENDOR_ERROR),
        ("some_other_text", Code.UNDECODABLE),
        ("error_page", Code.UNDECODABLE),
        ("cut", Code.UNDECODABLE),
        ("no_family_name", Code.UNMAPPABLE),
        ("empty_family_name", Code.UNMAPPABLE),
        ("divergences_missing", Code.UNMAPPABLE),
        ("one_divergence_missing", Code.INVALID),
        ("another_document", Code.INVALID),
        ("code_missing", Code.INVALID),
        ("divergence_that_is_neither", Code.INVALID),
    ],
)
def test_what_cannot_be_read_is_named(name: str, code: Code) -> None:
    """Plain text or HTML for XML, and nobody without a name; the detail quotes nothing."""
    decision = decided(sample(name))
    assert isinstance(decision, Quarantine)
    assert decision.code is code
    assert not {"ESSAI", "essai", "Ghjulia", "peut"} & set(decision.detail.split())


@pytest.mark.parametrize("name", ["found", "deceased", "second_declaration_within_the_root", "two_persons"])
def test_nobody_is_named(name: str) -> None:
    """Neither event nor key holds a name, a date of birth or a place; `uriDemande` quotes them all."""
    emit, event = taken(sample(name)), decided(sample(name)).event
    for found in (emit.key, str(emit.raw_id), event.subject, repr(event.payload)):
        for word in ("essai", "ghjulia", "1962", "2a004", "insee.net"):
            assert word not in found.lower()


def test_a_death_is_told_of_one_person_only() -> None:
    """Of two persons nobody knows which is meant."""
    assert decided(sample("deceased")).event.payload.deceased
    assert not decided(sample("two_persons")).event.payload.deceased
    assert not decided(sample("found")).event.payload.deceased


def test_answers_to_one_question_share_a_key_and_count_once() -> None:
    """The same bytes are the same fact, another answer is another."""
    one, again, other = taken(sample("found")), taken(sample("found")), taken(sample("deceased"))
    assert one.key == again.key == other.key
    assert one.raw_id == again.raw_id != other.raw_id
    assert taken(sample("no_question_quoted")).key != one.key


@pytest.mark.parametrize(
    ("feed", "body", "status"), [("other", b"x", 404), ("answer", b" ", 400), ("answer", b"x" * 5_000_000, 413)]
)
def test_what_is_no_answer_is_refused(feed: str, body: bytes, status: int) -> None:
    """Nothing at all, too much, or elsewhere."""
    refusal = receive(Call(feed, body, {}, 1))
    assert isinstance(refusal, Refusal)
    assert refusal.status == status


@given(st.binary() | st.text().map(str.encode) | st.just(HTML_PAGE))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    """What nobody can read is seen in quarantine."""
    assert isinstance(receive(Call("answer", body, {}, 1)), Emit | Refusal)


def test_what_the_simulator_says_is_what_comes_out(tmp_path: Path) -> None:
    """Each answer shows one fact, but for the one that is none."""
    simulator = Simulator(
        Town.build(1, 10),
        Journal(tmp_path / "j"),
        lambda: datetime(2026, 3, 10, 8, tzinfo=UTC),
        {"hook_secret_file": ""},
    )
    sent: list[bytes] = []
    simulator._enqueue = lambda callback, _times=1: sent.append(callback.body)  # type: ignore[method-assign, assignment]
    for kind in ("found", "differs", "deceased", "misunderstood"):
        for person in simulator.town.persons:
            simulator.ask(person, kind)
    decisions = [decided(body) for body in sent]
    told = [(d.event.type.rpartition(".")[2], d.event.subject) for d in decisions if isinstance(d, Deliver)]
    assert told == [(entry["type"], entry["subject"]) for entry in simulator.journal.entries("said")]
    assert {d.code for d in decisions if isinstance(d, Quarantine)} == {Code.VENDOR_ERROR}
