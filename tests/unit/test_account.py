"""The account page folds whatever happened into what stands now, in a resident's words."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.config import Canteen, Settings
from hub.kafka.project import as_json
from hub.model.event import StoredEvent
from hub.model.notice import Recipient
from hub.model.record import Seq
from hub.roles.policy import manners
from hub.testing.avro import payloads
from schemas.models.citizen_portal import FormFiled, FormStatusChanged
from schemas.models.civil_registry import (
    CensusDeclared,
    ElectorRegistered,
    ElectorRemoved,
    HolidayWatchRequested,
    PartnershipFiled,
)
from schemas.models.library import HoldPlaced, HoldReady, LoanOverdue, LoanRenewed, LoanReturned, LoanStarted
from schemas.models.school_catering import (
    AbsenceRecorded,
    AccountBalanceChanged,
    Activity,
    BillIssued,
    BillPaid,
    MealBooked,
    MealCancelled,
    MealEaten,
    TariffBandGranted,
)
from schemas.models.transport import (
    DisruptionEnded,
    DisruptionPublished,
    DisruptionUpdated,
    PermitKind,
    PermitRequested,
    PermitStatus,
    PermitStatusChanged,
)
from streams.account import Block, blocks
from streams.notify import decide

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
SHOWN = [
    name
    for name in catalogue.schemas().names()
    if name.split(".")[1] in ("school_catering", "library", "civil_registry", "transport")
]


class Entry(NamedTuple):
    """An entry as the store hands it in."""

    type: str
    subject: str
    product: str
    seq: Seq
    occurred_at: int
    payload: dict[str, Any]


def entry(number: int, payload: Any, subject: str = "s:1") -> Entry:
    """Make an entry."""
    return Entry(payload.TYPE, subject, "p", Seq(1, number, 0), number, json.loads(as_json(payload)))


def fold(*said: Any, lines: tuple[str, ...] = ("SEM:48",), now: datetime = NOW) -> dict[str, Block]:
    """Fold events of one subject; public ones too."""
    entries = [entry(number, payload) for number, payload in enumerate(said)]
    return {block.name: block for block in blocks(entries, entries, lines, now, {}, {"p": SHOWN}, {})}


def test_the_page_and_the_message_tell_the_same_cut_off() -> None:
    """One day before the meal of Monday 4 May 2026 is Thursday: the Friday between them is a holiday."""
    settings = Settings(canteen=Canteen(cut_off_days=1))
    thursday, friday = (datetime(2026, *day, 7, 59, tzinfo=UTC) for day in ((4, 30), (5, 1)))
    meal = MealBooked(booking_id="b", meal_date=date(2026, 5, 4), activity=Activity.LUNCH)

    def page(now: datetime) -> str:
        (line,) = blocks([entry(1, meal)], [], [], now, {}, {}, {}, settings.canteen.cut_off())[0].lines
        return line.until

    def message(now: datetime) -> str | None:
        at = int(now.timestamp() * 1000)
        event = StoredEvent("e", meal.TYPE, "s:1", "p", "person", at, at, Seq(1, 1, 0), 1, meal, "{}")
        anne = Recipient("a", "anne@example.org", frozenset({"canteen"}))
        (notice,) = decide([(event, [anne])], now, manners(settings))
        said: str | None = notice.payload["values"].get("cancel_until")
        return said

    assert message(thursday) == "jeudi 30 avril à 10:00"
    assert message(friday) is None
    assert page(friday) == "Ne peut plus être modifié"


@given(st.lists(st.sampled_from(SHOWN).flatmap(lambda name: payloads(catalogue.schemas(), name)), max_size=12))
def test_whatever_happened_can_be_shown(said: list[Any]) -> None:
    """No event that the schemas allow breaks the page, and no code of a field is shown for a word."""
    for block in fold(*said).values():
        for line in block.lines:
            assert line.what
            assert line.tone in ("", "good", "warn")
            assert "UNKNOWN" not in line.what + line.state


@pytest.mark.parametrize(
    ("last", "state"),
    [(MealCancelled, "Annulé"), (MealEaten, "Présent"), (AbsenceRecorded, "Absent")],
)
def test_the_last_word_on_a_meal_stands(last: Any, state: str) -> None:
    """Booked first, then what became of it; booked again counts again."""
    named: dict[str, Any] = {"booking_id": "b", "meal_date": date(2026, 3, 10), "activity": Activity.LUNCH}
    (line,) = fold(MealBooked(**named), last(**named))["canteen"].lines
    assert (line.what, line.detail, line.state) == ("Mardi 10 mars", "Déjeuner", state)
    assert fold(MealBooked(**named), last(**named), MealBooked(**named))["canteen"].lines[0].state == "Réservé"


@pytest.mark.parametrize(("today", "days"), [(11, [9, 15]), (13, [9, 15, 16, 22])])
def test_the_week_is_the_family_s(today: int, days: list[int]) -> None:
    """Monday to Sunday; from Friday on, the next week too."""
    meals = [MealBooked(booking_id=str(day), meal_date=date(2026, 3, day)) for day in (8, 9, 15, 16, 22, 23)]
    shown = fold(*meals, now=datetime(2026, 3, today, 9, tzinfo=UTC))["canteen"].lines
    assert [int(line.what.split()[1]) for line in shown] == days


def test_the_day_is_the_city_s() -> None:
    """At 23:30 UTC it is tomorrow in Grenoble: a loan due today is late."""
    loan = LoanStarted(item_id="i", due_date=date(2026, 3, 10))
    assert fold(loan)["library"].lines[0].state == "À rendre le mardi 10 mars"
    late = fold(loan, now=datetime(2026, 3, 10, 23, 30, tzinfo=UTC))["library"].lines[0]
    assert (late.state, late.tone) == ("En retard depuis le mardi 10 mars", "warn")


def test_loans_and_holds_end() -> None:
    """Returned is gone, lent again is there, and a hold ends when its document is lent."""
    lent = LoanStarted(item_id="i", record_id="42", due_date=date(2026, 3, 20))
    later = LoanRenewed(item_id="i", record_id="42", due_date=date(2026, 4, 3))
    assert [line.state for line in fold(lent, later)["library"].lines] == ["À rendre le vendredi 3 avril"]
    assert fold(lent, LoanOverdue(item_id="i"), LoanReturned(item_id="i"))["library"].lines == []
    held = [HoldPlaced(hold_id="h", record_id="42"), HoldReady(hold_id="h", record_id="42", until=date(2026, 3, 12))]
    assert [line.state for line in fold(*held)["library"].lines] == ["Disponible jusqu'au jeudi 12 mars"]
    assert [line.what for line in fold(*held, lent)["library"].lines] == ["Document emprunté"]


def test_a_library_that_names_no_work_and_no_day_is_shown_all_the_same() -> None:
    """Its reservation is the item's, so another loan ends none; what it calls overdue is."""
    lines = fold(HoldReady(hold_id="h"), HoldReady(hold_id="i"), LoanStarted(item_id="i"))["library"].lines
    assert [line.what for line in lines] == ["Document emprunté", "Réservation"]
    (line,) = fold(LoanStarted(item_id="i"), LoanOverdue(item_id="i"))["library"].lines
    assert (line.state, line.tone) == ("En retard", "warn")


def test_bills_are_there_until_they_are_paid_and_the_tariff_until_it_ends() -> None:
    """In euros; a block that nothing is in is not there."""
    bill = BillIssued(bill_id="b", label="Mars", amount_cents=4605, due_on=date(2026, 3, 9))
    (line,) = fold(bill)["bills"].lines
    assert (line.what, line.detail, line.state, line.tone) == (
        "Mars",
        "46,05 €",
        "En retard depuis le lundi 9 mars",
        "warn",
    )
    assert fold(bill, BillPaid(bill_id="b", label="Mars", amount_cents=4605))["bills"].lines[0].state == "Payée"
    (line,) = fold(AccountBalanceChanged(account_id="a", label="Famille", balance_cents=-5))["bills"].lines
    assert (line.detail, line.state) == ("-0,05 €", "Débiteur")
    (line,) = fold(TariffBandGranted(band="C", valid_until=date(2026, 8, 31)))["bills"].lines
    assert (line.detail, line.state) == ("Tranche C", "Jusqu'au lundi 31 août")
    assert "bills" not in fold(TariffBandGranted(band="C", valid_until=date(2026, 3, 9)))
    assert "bills" not in fold()


def test_a_permit_stands_where_its_last_message_says() -> None:
    """With its zone and its last day; a refusal has neither."""
    asked = PermitRequested(permit="P-1", kind=PermitKind.PARKING)
    granted = PermitStatusChanged(
        permit="P-1", kind=PermitKind.PARKING, status=PermitStatus.GRANTED, zone="Z4", valid_until=date(2027, 3, 9)
    )
    assert [line.state for line in fold(asked)["permits"].lines] == ["Demandé"]
    (line,) = fold(asked, granted)["permits"].lines
    assert (line.what, line.detail, line.state) == (
        "Stationnement résident",
        "n° P-1, zone Z4, jusqu'au mardi 9 mars",
        "Accordé",
    )
    refused = PermitStatusChanged(permit="P-1", kind=PermitKind.PARKING, status=PermitStatus.REFUSED)
    assert fold(asked, refused)["permits"].lines[0].state == "Refusé"


def test_every_kind_of_request_has_a_name() -> None:
    """And whoever is struck off a roll is not on it."""
    for payload, what in (
        (CensusDeclared(case_id="c", external_id="7"), "Recensement citoyen"),
        (PartnershipFiled(case_id="c", external_id="7"), "Dossier de PACS"),
        (HolidayWatchRequested(case_id="c", external_id="7"), "Surveillance du domicile pendant les vacances"),
    ):
        (line,) = fold(payload)["requests"].lines
        assert (line.what, line.detail, line.state) == (what, "n° 7", "Envoyée")
    filed = FormFiled(form="inscription-sport", form_id="inscription-sport/17", status="new", status_name="Reçue")
    (line,) = fold(filed)["requests"].lines
    assert (line.what, line.detail, line.state) == ("Inscription sport", "n° 17", "Reçue")
    moved = FormStatusChanged(form_id="inscription-sport/17", status="2", status_name="Acceptée", previous_status="new")
    assert fold(filed, moved)["requests"].lines[0].state == "Acceptée"
    on = ElectorRegistered(elector="e", roll="LP", station="4", station_name="École")
    assert fold(on)["requests"].lines[0].detail == "bureau de vote n° 4, École"
    assert fold(on, ElectorRemoved(elector="e", roll="LP"))["requests"].lines == []


def test_disruptions_of_my_lines_only_while_they_last() -> None:
    """Published, updated to other lines, ended."""
    here = DisruptionPublished(
        disruption_id="d",
        lines=("SEM:48", "SEM:A"),
        title="Travaux",
        starts_at=datetime(2026, 3, 11, 23, 30, tzinfo=UTC),
        ends_at=datetime(2026, 4, 1, 10, tzinfo=UTC),
    )
    (line,) = fold(here)["disruptions"].lines
    assert line.state == "Ligne 48, à partir du jeudi 12 mars, jusqu'au mercredi 1er avril"
    assert fold(here, lines=("SEM:48", "SEM:A"))["disruptions"].lines[0].state.startswith("Lignes 48, A")
    assert fold(here, DisruptionUpdated(disruption_id="d", lines=("SEM:A",)))["disruptions"].lines == []
    assert fold(here, DisruptionEnded(disruption_id="d"))["disruptions"].lines == []
    assert "choisissez" in fold(here, lines=())["disruptions"].empty


def test_a_block_is_as_old_as_its_oldest_source() -> None:
    """And says nothing of when, where nothing is linked."""
    at = int(NOW.timestamp() * 1000)
    fresh = {"ils_di": at, "other": at - 60_000, "chrono": at}
    library = ["hub.library.LoanStarted", "hub.library.HoldPlaced"]
    sources = {"ils_di": library, "other": library, "chrono": ["hub.school_catering.CanteenDescribed"]}
    found = {block.name: block for block in blocks([], [], [], NOW, fresh, sources, {})}
    moment = found["library"].as_of
    assert moment is not None
    assert moment.isoformat() == "2026-03-10T08:39:00+01:00"
    assert (found["canteen"].as_of, found["canteen"].empty) == (None, "Aucun enfant n'est relié à votre compte.")
