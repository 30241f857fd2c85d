"""Bookings of Civil Net Enfance: what is asked, what a day means, and that a day that is not listed says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from connectors.sources.school_catering.ciril.simulator import Simulator
from connectors.sources.school_catering.ciril.source import poll
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Checkpoint, Emit, Post, Subjects
from hub.testing.lane import Lane
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.clock import school_days
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

START = datetime(2026, 3, 10, 7, tzinfo=UTC)
AT = int(START.timestamp() * 1000)
SETTINGS = {"since": "2026-01-05", "path": "/services/ServicesEnfance"}
BOOKED, OPEN, BEGUN, MOVING = "ReservationValide", "Ouvert", "ReservationEnCours", "ReportEnCours"


# What is asked.


def asking(*subjects: str, cursor: dict[str, Any] | None = None) -> Any:
    source = poll(cursor or {}, SETTINGS)
    assert next(source) == Subjects("ciril")
    return source, source.send(list(subjects))


def test_each_linked_child_is_asked_for_by_its_folder() -> None:
    source, wish = asking("F12.E0001", "F12.E0002")
    assert isinstance(wish, Post)
    assert wish.path == "/services/ServicesEnfance"
    assert wish.content is not None
    for part in (
        b'xmlns:enf="Ciril:Enfance:ServicesEnfance"',
        b"<externalFolderId>F12</externalFolderId><externalChildId>E0001</externalChildId>",
        b"<startDate>2026-01-05</startDate><endDate>2027-01-06</endDate>",
    ):
        assert part in wish.content
    emit = source.send(Answer(200, {"x-request-id": "a"}, HTML_PAGE, AT))
    assert emit == Emit("planning", "ciril:F12.E0001", HTML_PAGE, AT, "application/xml", None, "a")
    assert isinstance(source.send(None), Post)
    source.send(Answer(200, {}, b"<x/>", AT + 5))
    assert source.send(None) == Checkpoint({"first": "2026-03-03"})


def test_the_next_question_begins_a_week_back() -> None:
    _, wish = asking("F1.E1", cursor={"first": "2026-03-03"})
    assert b"<startDate>2026-03-03</startDate>" in wish.content


def test_a_subject_that_names_no_child_is_passed_over() -> None:
    _, wish = asking("E0001", "<a>.b", "F1.E2")
    assert b"<externalChildId>E2<" in wish.content


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html></html>",
        b"<a><b>",
        b"<s:Envelope xmlns:s='x'><s:Body><s:Fault><faultcode>s:Server</faultcode></s:Fault></s:Body></s:Envelope>",
    ],
)
def test_what_is_no_answer_is_seen_and_moves_no_day(body: bytes) -> None:
    """A page, half an answer, a fault: set aside, and the same days are asked for again."""
    source, _ = asking("F1.E1")
    assert isinstance(source.send(Answer(200, {}, body, AT)), Emit)
    with pytest.raises(Transient):
        source.send(None)


def test_a_refused_child_does_not_hold_up_the_others_and_all_refused_is_an_outage() -> None:
    source, _ = asking("F1.E1", "F1.E2")
    assert isinstance(source.send(Answer(404, {}, b"no", AT)), Post)
    assert isinstance(source.send(Answer(200, {}, b"x", AT)), Emit)
    source, _ = asking("F1.E1")
    with pytest.raises(Transient):
        source.send(Answer(404, {}, b"no", AT))
    source, _ = asking("F1.E1")
    with pytest.raises(Transient):
        source.send(Answer(302, {}, b"", AT))


def test_a_first_day_that_is_none_ends_the_poll_and_says_so() -> None:
    source = poll({}, {**SETTINGS, "since": "soon"})
    next(source)
    with pytest.raises(Transient, match=r"settings\.since"):
        source.send(["F1.E1"])


# What is made of it.


class Hub(Lane):
    def __init__(self) -> None:
        super().__init__("ciril")

    def read(self, *days: tuple[str, str], label: str = "Repas", at: datetime = START) -> list[Event]:
        listed = "".join(f"<day><date>{day}</date><dayType>{kind}</dayType></day>" for day, kind in days)
        return self.take_body(
            "<e:reservationActivityPlanningResponse xmlns:e='x'><activityCode>P</activityCode>"
            "<activityServicesPlanning><activityServiceCode>S</activityServiceCode>"
            f"<activityServiceLabel>{label}</activityServiceLabel>{listed}</activityServicesPlanning>"
            "</e:reservationActivityPlanningResponse>",
            at,
        )

    def take_body(self, inner: str, at: datetime = START) -> list[Event]:
        body = f"<s:Envelope xmlns:s='y'><s:Body>{inner}</s:Body></s:Envelope>".encode()
        return self.take(Emit("planning", "ciril:F1.E1", body, int(at.timestamp() * 1000), "application/xml"))


def kinds(events: list[Event]) -> list[str]:
    return [event.type.rpartition(".")[2] for event in events]


def test_booked_cancelled_and_booked_again() -> None:
    hub = Hub()
    assert kinds(hub.read(("2026-03-12", BOOKED))) == ["MealBooked"]
    assert hub.read(("2026-03-12", BOOKED), at=START + timedelta(1)) == []
    assert kinds(hub.read(("2026-03-12", OPEN), at=START + timedelta(2))) == ["MealCancelled"]
    assert hub.read(("2026-03-12", OPEN), at=START + timedelta(2)) == []
    assert kinds(hub.read(("2026-03-12", BOOKED), at=START + timedelta(3))) == ["MealBooked"]
    assert len({event.id for event in hub.events}) == 3
    assert len({event.payload.booking_id for event in hub.events}) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("middle", [BEGUN, MOVING])
@pytest.mark.parametrize("before", [BOOKED, OPEN])
def test_in_the_middle_of_a_change_a_day_is_what_it_was(before: str, middle: str) -> None:
    hub = Hub()
    hub.read(("2026-03-12", before))
    assert hub.read(("2026-03-12", middle), at=START + timedelta(1)) == []
    assert hub.read(("2026-03-12", before), at=START + timedelta(2)) == []


def test_a_day_that_is_not_listed_any_more_was_not_cancelled() -> None:
    """Trap: snapshot without tombstones."""
    hub = Hub()
    hub.read(("2026-03-12", BOOKED))
    assert hub.read(at=START + timedelta(1)) == []
    assert kinds(hub.read(("2026-03-12", OPEN), at=START + timedelta(2))) == ["MealCancelled"]


def test_memory_of_days_ends() -> None:
    hub = Hub()
    hub.read(("2026-03-12", BOOKED))
    hub.read(at=START + timedelta(days=70))
    assert b"2026" not in (hub.state or b"")


def test_the_day_is_the_one_that_is_written_whatever_its_offset() -> None:
    (event,) = Hub().read(("2026-03-29+02:00", BOOKED))
    assert str(event.payload.meal_date) == "2026-03-29"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("label", "activity"),
    [
        ("Restauration scolaire", "LUNCH"),
        ("DÉJEUNER", "LUNCH"),
        ("Accueil du matin", "MORNING_CARE"),
        ("Étude du soir", "EVENING_CARE"),
        ("Centre de loisirs", "UNKNOWN"),
    ],
)
def test_activities_are_told_by_words_of_labels(label: str, activity: str) -> None:
    (event,) = Hub().read(("2026-03-12", BOOKED), label=label)
    assert event.payload.activity == activity  # type: ignore[attr-defined]
    assert event.payload.label == label  # type: ignore[attr-defined]


def test_a_fault_in_a_200_is_the_vendors_and_changes_nothing() -> None:
    """Trap: error in a 200 body."""
    hub = Hub()
    hub.read(("2026-03-12", BOOKED))
    state = hub.state
    assert hub.take_body("<s:Fault><faultstring>Dossier</faultstring></s:Fault>") == []
    assert (hub.code, hub.state) == (Code.VENDOR_ERROR, state)


@pytest.mark.parametrize("inner", ["", "<other/>", "<e:reservationActivityPlanningResponse xmlns:e='x' e:nil='true'/>"])
def test_an_answer_without_a_planning_is_no_empty_one(inner: str) -> None:
    hub = Hub()
    hub.read(("2026-03-12", BOOKED))
    assert hub.take_body(inner, START + timedelta(1)) == []
    assert hub.code is Code.INVALID


def test_an_older_answer_is_stale() -> None:
    hub = Hub()
    hub.read(("2026-03-12", BOOKED))
    assert hub.read(("2026-03-12", OPEN), at=START - timedelta(seconds=1)) == []
    assert hub.reason == "stale"


# Laws.

DAYS = st.dictionaries(st.sampled_from(["2026-03-12", "2026-03-13"]), st.sampled_from([BOOKED, OPEN, BEGUN, MOVING]))


@given(st.lists(DAYS, max_size=10))
def test_the_last_event_of_a_day_is_the_vendors_last_plain_word(plannings: list[dict[str, str]]) -> None:
    """Days in the middle of a change, and days that are not listed, change nothing."""
    hub = Hub()
    word: dict[str, str] = {}
    for hours, days in enumerate(plannings):
        hub.read(*days.items(), at=START + timedelta(hours=hours))
        assert hub.read(*days.items(), at=START + timedelta(hours=hours)) == []
        word.update({day: kind for day, kind in days.items() if kind in (BOOKED, OPEN)})
    last = {str(event.payload.meal_date): event.type for event in hub.events}  # type: ignore[attr-defined]
    for day, kind in word.items():
        assert last.get(day, "MealCancelled").endswith("MealBooked" if kind == BOOKED else "MealCancelled")
    assert last.keys() <= word.keys()


# The vendor in a box.


def test_simulator_says_what_the_mapping_finds(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    vendor = Simulator(Town.build(1, 10), journal, lambda: START, {})
    vendor.seed()
    family = vendor.families()[0]
    subject = vendor.subject(family, family.children[0])
    client = TestClient(vendor.app)
    lane = Lane("ciril")
    arrived: list[str] = []
    days = school_days(vendor.today + timedelta(days=10), 3)

    def ask() -> None:
        source: Any = poll({}, SETTINGS)
        next(source)
        wish = source.send([subject])
        told = client.post(wish.path, content=wish.content, headers=dict(wish.headers))
        emit = source.send(Answer(told.status_code, dict(told.headers), told.content, AT + len(arrived)))
        arrived.append(emit.answer)
        lane.take(emit)

    vendor.begin(subject, days[0])
    vendor.book(subject, days[1])
    ask()
    vendor.book(subject, days[0])
    vendor.postpone(subject, days[1])
    vendor.refuse(subject)
    ask()
    ask()
    vendor.cancel(subject, days[1])
    ask()
    found = sorted((event.type.rpartition(".")[2], event.subject) for event in lane.events)
    seen = Account.of(journal.entries()).seen(arrived)
    assert found == sorted((fact.type, fact.subject) for fact in seen.observable)
    assert {kind for kind, _ in found} == {"MealBooked", "MealCancelled"}
