"""One family's day is told from what the hub has of it: nothing is made up, and what was not done has a reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from web_town import ANNE, NOW, Town, live

from hub import catalogue
from hub.config import OpenData, Settings
from hub.delivery.open_data import OpenDataTurn
from hub.model.notice import Urgency
from hub.testing.family import Counted, FamilyDay, Heard, Unwritten, Written, look, pending, seen_of, tell, why_not
from hub.testing.story import Times
from schemas.models.citizen_portal import LinkRequested, Role
from schemas.models.library import LoanStarted

MARC = "9c2a6d10-7b1e-4f6c-8a0e-2d5b7c9e1f22"
ABOUT = {
    "name": "Anne, Marc, Lou",
    "parents": [{"citizen": ANNE, "name": "Anne Roy"}, {"citizen": MARC, "name": "Marc Roy"}],
    "subjects": {"chrono:E1": "Lou"},
}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Let a family live, whose father asked for nothing."""
    made = Town(tmp_path)
    live(made)
    link = LinkRequested(citizen=MARC, subject="chrono:E1", role=Role.PARENT)
    made.happens(link, f"publik:{MARC}", "publik")
    yield made
    made.store.close()


def said(kind: str, subject: str, product: str) -> dict[str, Any]:
    at = (NOW - timedelta(seconds=1)).isoformat(timespec="milliseconds")
    return {"kind": "said", "at": at, "type": kind, "subject": subject, "product": product}


def looked(town: Town, mails: list[dict[str, Any]], now: datetime = NOW) -> FamilyDay:
    """Look the family up."""
    journal = [said("MealBooked", "chrono:E1", "chrono"), said("MealBooked", "chrono:E9", "chrono")]
    account = town.client.get(f"/api/v1/accounts/{ANNE}", headers={"Authorization": "Bearer good"}).json()
    settings = Settings(open_data=OpenData(folder=town.folder / "opendata"))
    datasets = catalogue.datasets().values()
    shown = [seen_of("Anne Roy", 12, account), seen_of("Marc Roy", 9, {"blocks": []})]
    return look(ABOUT, journal, mails, town.store, settings, datasets, shown, 0, now)


def test_each_parent_is_told_of_by_what_they_asked_for(town: Town) -> None:
    """The mother's messages are those of the outbox and of the mail server; the father has a reason for none."""
    assert pending(ABOUT, town.store)
    row = town.store.parcels("mail", Urgency.NORMAL, 2**60, 1)[0]
    town.store.sent(row.id, int(NOW.timestamp() * 1000) + 250)
    day = looked(town, [{"message_id": f"<{row.id}@ville.example>", "subject": "Cantine : réservation"}])
    assert day.heard == [Heard("Lou", "chrono", {"MealBooked": 1}, [Times(1000, 0)])]
    first, *others = (one for one in day.written if one.name == "Anne Roy")
    assert (first.subject, first.state, first.milliseconds) == ("Cantine : réservation", "sent", 250)
    assert {one.state for one in others} == {"pending"}
    assert [one for one in day.written if one.name == "Marc Roy"] == []
    reasons = {(one.name, one.type): one.why for one in day.unwritten}
    assert reasons["Marc Roy", "MealBooked"] == "not asked for (« canteen »)"
    assert reasons["Anne Roy", "LoanStarted"] == "only shown, nobody is written to about it"
    lines = tell(day)
    assert any("Cantine cette semaine: Mardi 10 mars, Réservé, and 1 more" in line for line in lines)
    assert any("sent 250 ms after the account knew" in line for line in lines)
    assert "      got nothing" in lines


def test_a_small_cell_stays_inside_and_a_large_one_is_a_row(town: Town) -> None:
    """As the gate would have it now, and as the file has it once the month is over."""
    (small,) = [one for one in looked(town, []).counted if one.dataset == "prets"]
    assert (small.period, small.theirs, small.everybody, small.over, small.told) == ("2026-03", 1, 1, False, False)
    for number in range(8):
        loan = LoanStarted(item_id=f"o{number}", record_id="9", branch="BMA", document_kind="LIV")
        town.happens(loan, "ils_di:8", "ils_di")
    (grown,) = [one for one in looked(town, []).counted if one.dataset == "prets"]
    assert (grown.theirs, grown.everybody, grown.told) == (1, 9, True)
    april = datetime(2026, 4, 20, tzinfo=UTC)
    (unwritten,) = [one for one in looked(town, [], april).counted if one.dataset == "prets"]
    assert (unwritten.over, unwritten.told) == (True, False)
    folder = OpenData(folder=town.folder / "opendata", supplied=town.folder / "supplied")
    turn = OpenDataTurn(town.store, folder, catalogue.datasets(), "https://x.example", Silent(), lambda: april)
    turn(threading.Event())
    (row,) = [one for one in looked(town, [], april).counted if one.dataset == "prets"]
    assert (row.over, row.told) == (True, True)


class Silent:
    """Takes what a turn of open data tells about itself."""

    def written(self, dataset: str, rows: int, at: float) -> None: ...
    def sound(self, dataset: str, withdrawn: int) -> None: ...
    def refused(self, dataset: str, problem: str) -> None:
        raise AssertionError(problem)


@pytest.mark.parametrize(
    ("kind", "topics", "stopped", "late", "before", "why"),
    [
        ("hub.library.LoanStarted", ["library"], [], False, False, "only shown, nobody is written to about it"),
        ("hub.library.HoldReady", ["canteen"], [], False, False, "not asked for (« library »)"),
        ("hub.library.HoldReady", ["library"], ["library"], False, False, "stopped (« library »)"),
        ("hub.library.HoldReady", ["library"], ["*"], False, False, "stopped (« library »)"),
        ("hub.library.HoldReady", ["library"], [], True, False, "known too late to be news"),
        ("hub.library.HoldReady", ["library"], [], False, True, "known before the link was made, so history"),
        ("hub.library.HoldReady", ["library"], [], False, False, "told in the message of another, known at once"),
    ],
)
def test_what_nobody_was_written_about_has_its_reason(
    kind: str, topics: list[str], stopped: list[str], late: bool, before: bool, why: str
) -> None:
    assert why_not(kind, topics, stopped, late=late, before=before, together=True) == why


def test_a_message_that_is_missing_is_not_explained_away() -> None:
    """No other message has room for the fact: the telling says that it does not know."""
    why = why_not("hub.library.HoldReady", ["library"], [], late=False, before=False, together=False)
    assert why == "nothing in the database says why"


def test_the_telling_says_what_became_of_each_message_and_cell() -> None:
    """In words, with what was measured and nothing else."""
    day = FamilyDay(
        "Anne Roy, Lou",
        [Heard("Lou", "chrono", {"MealBooked": 2, "MealEaten": 1}, [Times(600, 84)])],
        [seen_of("Anne Roy", 12, {"blocks": [{"title": "Cantine", "lines": []}]})],
        [
            Written("Anne Roy", "mail", "MealBooked", 3, "Cantine : réservations", "sent", 40),
            Written("Anne Roy", "sms", "HoldReady", 1, None, "waiting", None),
        ],
        [Unwritten("Anne Roy", "MealEaten", 1, "only shown"), Unwritten("Anne Roy", "LoanStarted", 4, "only shown")],
        "no quiet hours in this town",
        [
            Counted("prets", "2026-03", ("BMA", ""), 1, 3, 5, over=False, told=False),
            Counted("prets", "2026-03", ("BMA", "CD"), 1, 7, 5, over=False, told=False),
            Counted("prets", "2026-03", ("BMA", "LIV"), 1, 9, 5, over=False, told=True),
            Counted("prets", "2026-02", ("BMA", "LIV"), 1, 9, 5, over=True, told=True),
        ],
        2,
    )
    assert tell(day) == [
        "One family through all three outputs: Anne Roy, Lou",
        "  What was said about them today",
        (
            "    Lou, chrono: 2 MealBooked, 1 MealEaten; read 0.6 s after it was said, "
            "on the account 84 ms after it was read; 2 of 3 not on the account: the ledger says why"
        ),
        "  Account: what stands there now, by the API",
        "    Anne Roy, answered in 12 ms",
        "  Messages (no quiet hours in this town)",
        "    Anne Roy",
        "      mail: « Cantine : réservations » (3 facts in one message), sent 40 ms after the account knew",
        "      sms: HoldReady waits for its moment: quiet hours, a digest or a working day",
        "      no message of its own for 1 MealEaten, 4 LoanStarted: only shown",
        "  Open data: where they are counted, without being in it",
        "    prets, 2026-03, BMA, non précisé: 1 of theirs among 3; kept inside, under the threshold of 5",
        (
            "    prets, 2026-03, BMA, CD: 1 of theirs among 7; kept inside: "
            "beside its sums it would give a smaller one away"
        ),
        "    prets, 2026-03, BMA, LIV: 1 of theirs among 9; a row once the period is over, as it stands now",
        "    prets, 2026-02, BMA, LIV: 1 of theirs among 9; a row of the file",
        "    demandes: 2 answered requests of theirs, found at the next hourly count",
    ]
