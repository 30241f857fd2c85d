"""Demands to CityWeb and its answers: one number, one key, in order, and nobody's name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.sources.civil_registry.cityweb.simulator import Simulator
from connectors.sources.civil_registry.cityweb.source import receive
from hub import catalogue
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code
from hub.model.intake import Call, Emit, Refusal
from hub.model.record import Origin, Record
from hub.pipeline.process import process
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from schemas.models.civil_registry import RecordRequested, RequestStatusChanged, Status

CONNECTOR = catalogue.connectors()["cityweb"]
SAMPLES = catalogue.folder(CONNECTOR) / "samples" / "message"
NUMBER = "6f0d2a34-0000-4000-8000-000000000001"


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.xml").read_bytes()


def call(body: bytes, feed: str = "message", **headers: str) -> Call:
    return Call(feed, body, {name.replace("_", "-"): value for name, value in headers.items()}, 1_000)


def taken(body: bytes) -> Emit:
    emit = receive(call(body))
    assert isinstance(emit, Emit)
    return emit


def decided(emit: Emit) -> Any:
    origin = Origin("raw.cityweb", 1, 0, 1)
    assert emit.raw_id is not None
    record = Record("cityweb", emit.feed, emit.key.encode(), emit.value, emit.raw_id, emit.read_at, origin)
    (decision,) = process(record, CONNECTOR, catalogue.schemas()).decisions
    return decision


def test_a_demand_and_its_answer_share_a_key() -> None:
    """Kafka keeps their order, and an answer waits behind a demand that was not understood."""
    assert taken(sample("birth")).key == taken(sample("refused")).key == f"cityweb:{NUMBER}"


def test_a_message_goes_on_as_it_came() -> None:
    """Byte by byte, in whatever encoding it is."""
    body = sample("birth_with_parents_in_latin1")
    assert taken(body).value == body
    assert isinstance(decided(taken(body)), Deliver)


def test_a_message_that_is_handed_on_twice_counts_once() -> None:
    """The same bytes have one raw id, and one event id."""
    one, other = taken(sample("taken")), taken(sample("taken"))
    assert one.raw_id == other.raw_id
    assert decided(one).event.id == decided(other).event.id


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (HTML_PAGE, 400),
        (b"<a>", 400),
        (b"<a/>", 422),
        (sample("without_a_body"), 422),
        (sample("birth").replace(NUMBER.encode(), b"x" * 65), 422),
        (sample("birth").replace(NUMBER.encode(), b"a b"), 422),
        (sample("bare_demand_without_an_envelope"), 422),
        (b"<a>" + b"x" * 5_000_000 + b"</a>", 413),
    ],
)
def test_what_names_no_demand_is_refused(body: bytes, status: int) -> None:
    """A page, a cut message, one without a number; the detail tells no value."""
    refusal = receive(call(body))
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert "Essai" not in refusal.detail


def test_another_feed_is_refused() -> None:
    assert receive(call(sample("birth"), "other")) == Refusal(404, "no such feed")


def test_a_body_that_is_not_understood_is_taken_and_set_aside() -> None:
    """It can be seen in quarantine, and a 4xx is read by nobody."""
    assert decided(taken(sample("echo"))).code is Code.UNSUPPORTED
    assert decided(taken(sample("hundred_copies"))).fields == ("BirthDetailsRequest.Copies",)


def test_prefixes_do_not_matter() -> None:
    """One and the same demand, whatever the sender calls its namespaces."""
    ids = {decided(taken(sample(name))).event.id for name in ("birth", "default_prefix", "number_with_attributes")}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("taken", Status.RECEIVED),
        ("taken_with_a_warning", Status.RECEIVED),
        ("taken_with_an_empty_code", Status.RECEIVED),
        ("refused", Status.INTEGRATION_ERROR),
        ("well_and_fatal_at_once", Status.INTEGRATION_ERROR),
    ],
)
def test_code_and_severity_must_both_be_well(name: str, status: Status) -> None:
    """An error in a 200: the code is 0, or it is not."""
    payload = decided(taken(sample(name))).event.payload
    assert isinstance(payload, RequestStatusChanged)
    assert payload.status is status


def test_a_fault_in_a_200_is_a_vendor_error_and_tells_nobody() -> None:
    """Its text quotes the demand."""
    decision = decided(taken(sample("fault")))
    assert isinstance(decision, Quarantine)
    assert decision.code is Code.VENDOR_ERROR
    assert "Essai" not in decision.detail


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("local_time", "2026-03-10T07:40:00+00:00"),
        ("local_time_in_the_hour_that_comes_twice", "2026-10-25T00:30:00+00:00"),
        ("local_time_that_does_not_exist", "2026-03-29T01:30:00+00:00"),
    ],
)
def test_naive_times_are_local(name: str, moment: str) -> None:
    """Both clock changes: the first of two hours, and the hour after one that does not exist."""
    assert decided(taken(sample(name))).event.time.isoformat() == moment


def test_a_departement_is_told_as_no_place() -> None:
    """`BirthPostalCode` holds 2A: neither a post code nor an INSEE code; a zone does not move a birthday."""
    payload = decided(taken(sample("birth_day_with_a_zone"))).event.payload
    assert isinstance(payload, RecordRequested)
    assert payload.place_insee is None
    assert str(payload.record_date) == "1962-08-24"


def test_what_the_simulator_says_is_what_comes_out(tmp_path: Path) -> None:
    """Each message shows one fact."""
    simulator = Simulator(
        Town.build(1, 10),
        Journal(tmp_path / "j"),
        lambda: datetime(2026, 3, 10, 8, tzinfo=UTC),
        {"hook_secret_file": ""},
    )
    sent: list[bytes] = []
    simulator._enqueue = lambda callback, _times=1: sent.append(callback.body)  # type: ignore[method-assign, assignment]
    for kind in ("birth", "marriage", "death"):
        for person in (simulator.town.cast.unknown_day, simulator.town.cast.corsican):
            simulator.ask(person, kind, 0 if kind == "birth" else 7)
    events = [decided(taken(body)).event for body in sent]
    expected = [(entry["type"], entry["subject"]) for entry in simulator.journal.entries("said")]
    assert [(event.type.rpartition(".")[2], event.subject) for event in events] == expected
