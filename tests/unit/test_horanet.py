"""Uses of cards, balances and bills: what is asked, what is new, and that a sentence is never an empty account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from connectors.sources.school_catering.horanet.simulator import NAMESPACE, Simulator
from connectors.sources.school_catering.horanet.source import poll
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Checkpoint, Emit, Post, Subjects
from hub.testing.lane import Lane
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

START = datetime(2026, 3, 10, 7, tzinfo=UTC)
AT = int(START.timestamp() * 1000)
SETTINGS = {"zip_code": "38000", "namespace": NAMESPACE, "since": "2026-01-01", "path": "/SmartTransac.asmx"}


# What is asked.


def asking(*subjects: str, cursor: dict[str, Any] | None = None) -> Any:
    source = poll(cursor or {}, SETTINGS)
    assert next(source) == Subjects("horanet")
    return source, source.send(list(subjects))


def test_children_are_asked_for_uses_and_families_for_accounts() -> None:
    source, wish = asking("E0001", "family-12")
    assert isinstance(wish, Post)
    assert wish.path == "/SmartTransac.asmx"
    assert wish.headers["SOAPAction"] == f'"{NAMESPACE}GetChildTransactions2"'
    assert wish.content is not None
    assert b"<ProcID>E0001</ProcID><start_search>2026-01-01T00:00:00</start_search>" in wish.content
    emit = source.send(Answer(200, {"x-request-id": "a"}, HTML_PAGE, AT))
    assert emit == Emit("transactions", "horanet:E0001", HTML_PAGE, AT, "application/xml", None, "a")
    wish = source.send(None)
    assert b"GetFamilyAccounts" in wish.content
    assert b"<ProcID>12</ProcID>" in wish.content
    assert b"start_search" not in wish.content
    assert source.send(Answer(200, {}, b"x", AT + 9)).feed == "accounts"


def test_search_begins_a_month_before_the_last_poll_and_never_before_the_first_day() -> None:
    source, _ = asking("E0001")
    source.send(Answer(200, {}, b"<x/>", AT))
    assert source.send(None) == Checkpoint({"first": "2026-02-07"})
    source, wish = asking("E0001", cursor={"first": "2026-02-07"})
    assert b"<start_search>2026-02-07T" in wish.content
    source.send(Answer(200, {}, b"<x/>", int(datetime(2026, 1, 3, tzinfo=UTC).timestamp() * 1000)))
    assert source.send(None) == Checkpoint({"first": "2026-01-01"})


def test_a_name_of_another_kind_is_not_put_into_xml() -> None:
    _, wish = asking("<x/>", "E0002")
    assert b"<ProcID>E0002</ProcID>" in wish.content


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
    source, _ = asking("E0001")
    assert isinstance(source.send(Answer(200, {}, body, AT)), Emit)
    with pytest.raises(Transient):
        source.send(None)


def test_a_refused_child_does_not_hold_up_the_others_and_all_refused_is_an_outage() -> None:
    source, _ = asking("E0001", "E0002")
    assert isinstance(source.send(Answer(404, {}, b"no", AT)), Post)
    assert isinstance(source.send(Answer(200, {}, b"x", AT)), Emit)
    source, _ = asking("E0001", "E0002")
    source.send(Answer(404, {}, b"no", AT))
    with pytest.raises(Transient):
        source.send(Answer(413, {}, b"", AT))


def test_a_login_page_is_no_answer_and_nobody_linked_is_nobody_asked() -> None:
    source, _ = asking("E0001")
    with pytest.raises(Transient):
        source.send(Answer(302, {}, b"", AT))
    source = poll({}, SETTINGS)
    next(source)
    with pytest.raises(StopIteration):
        source.send([])


def test_a_first_day_that_is_none_ends_the_poll_and_says_so() -> None:
    source = poll({}, {**SETTINGS, "since": "soon"})
    next(source)
    with pytest.raises(Transient, match=r"settings\.since"):
        source.send(["F1.E1"])


# What is made of it.


class Hub(Lane):
    """One raw key."""

    def __init__(self, feed: str) -> None:
        super().__init__("horanet")
        self.feed = feed

    def read(self, document: str, at: datetime = START) -> list[Event]:
        body = f"<s:Envelope xmlns:s='x'><s:Body><R><A>{escape(document)}</A></R></s:Body></s:Envelope>"
        key = "horanet:family-12" if self.feed == "accounts" else "horanet:E0001"
        return self.take(Emit(self.feed, key, body.encode(), int(at.timestamp() * 1000), "application/xml"))


def use(number: int = 1, at: str = "2026-03-09T11:40:00", kind: str = "Meal") -> str:
    return f'<event event-id="{number}" event-date="{at}" event-label3="Repas" event-label4="{kind}"/>'


def money(balance: str = "100", *bills: str) -> str:
    return (
        f'<family><accounts><account account-id="A" value="{balance}"/></accounts>'
        f"<bills>{''.join(bills)}</bills></family>"
    )


def bill(payed: str = "0", value: str = "4600", paid_on: str = "") -> str:
    return f'<bill bill-id="B" value="{value}" date="2026-03-01" date-payment="{paid_on}" payed="{payed}"/>'


def kinds(events: list[Event]) -> list[str]:
    return [event.type.rpartition(".")[2] for event in events]


def test_the_same_number_at_another_hour_or_for_another_activity_is_another_use() -> None:
    """Trap: id unstable, repeated (Horanet event-id)."""
    hub = Hub("transactions")
    first = hub.read(f"<events>{use()}{use(at='2026-03-09T16:35:00')}{use(kind='EveningNursery')}{use()}</events>")
    assert kinds(first) == ["MealEaten"] * 3
    assert len({event.id for event in first}) == 3
    assert len({event.payload.booking_id for event in first}) == 3  # type: ignore[attr-defined]
    assert hub.read(f"<events>{use()}</events>", START + timedelta(minutes=5)) == []
    assert hub.reason == "unchanged"


def test_a_use_keeps_its_id_when_memory_is_lost() -> None:
    events = [Hub("transactions").read(f"<events>{use()}</events>", START + timedelta(hours=n))[0] for n in (0, 5)]
    assert events[0].id == events[1].id


def test_a_use_that_comes_late_is_told_and_one_that_is_missing_is_not_taken_back() -> None:
    hub = Hub("transactions")
    hub.read(f"<events>{use(2, '2026-03-09T11:50:00')}</events>")
    assert kinds(hub.read(f"<events>{use(1)}</events>", START + timedelta(1))) == ["MealEaten"]
    assert hub.read(f"<events>{use(2, '2026-03-09T11:50:00')}</events>", START + timedelta(2)) == []


def test_memory_of_uses_ends() -> None:
    hub = Hub("transactions")
    hub.read(f"<events>{use()}</events>")
    hub.read("<events/>", START + timedelta(days=70))
    assert hub.state is not None
    assert b"Meal" not in hub.state


@pytest.mark.parametrize(
    ("local", "moment"),
    [
        ("2026-03-09T11:40:00", "2026-03-09T10:40:00+00:00"),
        ("2025-10-26T02:30:00", "2025-10-26T00:30:00+00:00"),
        ("2025-10-26T03:00:00", "2025-10-26T02:00:00+00:00"),
        ("2025-07-01 11:40", "2025-07-01T09:40:00+00:00"),
        ("2026-03-11T00:00:00", "2026-03-10T07:00:00+00:00"),
    ],
)
def test_naive_times_are_local_and_never_later_than_their_reading(local: str, moment: str) -> None:
    """Trap: naive local time (Horanet)."""
    (event,) = Hub("transactions").read(f"<events>{use(at=local)}</events>")
    assert event.time == datetime.fromisoformat(moment)
    assert str(event.payload.meal_date) == local[:10]  # type: ignore[attr-defined]


def test_an_unpaid_bill_with_a_payment_date_is_unpaid() -> None:
    hub = Hub("accounts")
    assert kinds(hub.read(money("100", bill("0", paid_on="2026-03-05")))) == ["AccountBalanceChanged", "BillIssued"]


def test_a_bill_is_issued_then_paid_then_open_again_and_each_is_told_once() -> None:
    hub = Hub("accounts")
    hub.read(money("100", bill()))
    (paid,) = hub.read(money("100", bill("1", paid_on="2026-03-09")), START + timedelta(1))
    assert paid.time == datetime(2026, 3, 9, 22, 59, 59, tzinfo=UTC)
    assert hub.read(money("100", bill("1")), START + timedelta(2)) == []
    assert kinds(hub.read(money("100", bill("0")), START + timedelta(3))) == ["BillIssued"]
    assert kinds(hub.read(money("100", bill("1")), START + timedelta(4))) == ["BillPaid"]
    assert len({event.id for event in hub.events}) == len(hub.events)


def test_a_corrected_paid_bill_is_issued_and_paid_again_in_this_order() -> None:
    hub = Hub("accounts")
    hub.read(money("100", bill("1", paid_on="2026-03-05")))
    corrected = hub.read(money("100", bill("1", value="4300", paid_on="2026-03-05")), START + timedelta(1))
    assert kinds(corrected) == ["BillIssued", "BillPaid"]
    assert corrected[0].time <= corrected[1].time


def test_what_disappears_is_neither_undone_nor_told_again_when_it_comes_back() -> None:
    """Trap: snapshot without tombstones."""
    hub = Hub("accounts")
    hub.read(money("100", bill("1")))
    assert hub.read("<family/>", START + timedelta(1)) == []
    assert hub.read(money("100", bill("1")), START + timedelta(2)) == []


@pytest.mark.parametrize(("text", "cents"), [("1250", 1250), ("-35", -35), (" 007 ", 7), ("+0", 0)])
def test_amounts_are_whole_cents_in_text(text: str, cents: int) -> None:
    """Trap: money (cents text)."""
    (changed,) = Hub("accounts").read(money(text))
    assert changed.payload.balance_cents == cents  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["12,50", "12.5", "", "1e3", "٣"])
def test_what_is_no_cents_is_invalid(text: str) -> None:
    hub = Hub("accounts")
    assert hub.read(money(text)) == []
    assert hub.code is Code.INVALID


@pytest.mark.parametrize(
    "body",
    [
        "The citizen could not be found.",
        "<events>No child</events>",
        "<error>Bad town</error>",
    ],
)
def test_an_error_in_a_200_is_the_vendors_and_changes_nothing(body: str) -> None:
    """Trap: error in a 200 body, plain text for XML."""
    hub = Hub("transactions")
    hub.read(f"<events>{use()}</events>")
    state = hub.state
    assert hub.read(body) == []
    assert hub.code is Code.VENDOR_ERROR
    assert hub.state == state


@pytest.mark.parametrize(
    "result",
    [
        "<R><A xmlns:i='i' i:type='x:string'>{escaped}</A></R>",
        "<R xmlns:i='i' i:encodingStyle='e'><return i:type='string'>{escaped}</return></R>",
        "<R><A><![CDATA[\ufeff<?xml version='1.0' encoding='ISO-8859-1'?>{plain}]]></A></R>",
        "<R><A>{plain}</A></R>",
        "{plain}",
    ],
)
def test_the_document_is_found_however_it_is_wrapped(result: str) -> None:
    """Trap: encoding declared is not the real one; text in XML."""
    plain = f"<events>{use(kind='Meal')}</events>".replace("Repas", "Goûter")
    body = f"<s:Envelope xmlns:s='x'><s:Body>{result.format(plain=plain, escaped=escape(plain))}</s:Body></s:Envelope>"
    lane = Lane("horanet")
    (event,) = lane.take(Emit("transactions", "horanet:E0001", body.encode(), AT, "application/xml"))
    assert event.payload.label == "Goûter"  # type: ignore[attr-defined]


def test_an_older_answer_is_stale() -> None:
    for feed, document in (("transactions", f"<events>{use()}</events>"), ("accounts", money("7"))):
        hub = Hub(feed)
        hub.read(document)
        assert hub.read(document.replace("7", "8"), START - timedelta(seconds=1)) == []
        assert hub.reason == "stale"


# Laws.

STATES = st.tuples(
    st.sampled_from(["100", "-35", "7"]), st.sampled_from(["", "0", "1"]), st.sampled_from(["4600", "43"])
)


@given(st.lists(STATES, max_size=12))
def test_the_last_event_is_the_vendors_last_word(states: list[tuple[str, str, str]]) -> None:
    """Whatever a balance and a bill go through, listed or not: the last of each says how it is, and once."""
    hub = Hub("accounts")
    balance = payed = value = None
    for hours, (cents, flag, amount) in enumerate(states):
        document = money(cents, bill(flag, amount)) if flag else money(cents)
        hub.read(document, START + timedelta(hours=hours))
        assert hub.read(document, START + timedelta(hours=hours)) == []
        balance = cents
        payed, value = (flag, amount) if flag else (payed, value)
    last = {
        "Account" if "Account" in kind else "Bill": e for kind, e in zip(kinds(hub.events), hub.events, strict=True)
    }
    assert ("Account" in last) == (balance is not None)
    assert ("Bill" in last) == (payed is not None)
    if "Account" in last:
        assert str(last["Account"].payload.balance_cents) == balance  # type: ignore[attr-defined]
    if "Bill" in last:
        assert last["Bill"].type.endswith("BillPaid" if payed == "1" else "BillIssued")
        assert str(last["Bill"].payload.amount_cents) == value  # type: ignore[attr-defined]
    assert len({event.id for event in hub.events}) == len(hub.events)


USES = st.tuples(
    st.integers(1, 2),
    st.sampled_from(["2026-03-09T11:40:00", "2026-03-09T16:40:00"]),
    st.sampled_from(["Meal", "EveningNursery"]),
)


@given(st.lists(st.lists(USES, max_size=5), max_size=6))
def test_each_use_is_told_once_in_whatever_answers_it_comes(answers: list[list[tuple[int, str, str]]]) -> None:
    hub = Hub("transactions")
    for hours, listed in enumerate(answers):
        hub.read(f"<events>{''.join(use(*one) for one in listed)}</events>", START + timedelta(hours=hours))
    assert len(hub.events) == len({one for listed in answers for one in listed})


# The vendor in a box.


def test_simulator_says_what_the_mapping_finds(tmp_path: Path) -> None:
    town = Town.build(1, 10)
    journal = Journal(tmp_path / "journal.jsonl")
    vendor = Simulator(town, journal, lambda: START, {})
    vendor.seed()
    family = vendor.families()[0]
    vendor.badge(family.children[0])
    vendor.pay(vendor.bill(family))
    client = TestClient(vendor.app)
    lanes: dict[str, Lane] = {}
    subjects = [f"family-{family.number}", *(child.external_id for child in family.children)]
    arrived = []
    for _ in range(2):
        source = poll({}, SETTINGS)
        next(source)
        wish = source.send(subjects)
        while True:
            try:
                if isinstance(wish, Post):
                    told = client.post(wish.path, content=wish.content, headers=dict(wish.headers))
                    wish = source.send(Answer(told.status_code, dict(told.headers), told.content, AT))
                elif isinstance(wish, Emit):
                    arrived.append(wish.answer)
                    lanes.setdefault(wish.key, Lane("horanet")).take(wish)
                    wish = source.send(None)
                else:
                    wish = source.send(None)
            except StopIteration:
                break
    found = sorted((e.type.rpartition(".")[2], e.subject) for lane in lanes.values() for e in lane.events)
    seen = Account.of(journal.entries()).seen([answer for answer in arrived if answer])
    assert found == sorted((fact.type, fact.subject) for fact in seen.observable)
    assert {kind for kind, _ in found} == {"MealEaten", "AccountBalanceChanged", "BillIssued", "BillPaid"}
