"""Loans and holds: what is asked, what a difference means, and that silence is never a return."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from connectors.sources.library.ils_di.simulator import ENCODINGS, TITLES, Simulator
from connectors.sources.library.ils_di.source import poll
from hub import catalogue
from hub.model.decision import Deliver, Quarantine, Skip
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Emit, Get, Subjects
from hub.pipeline.process import process
from hub.testing.lane import Lane
from hub.testing.samples import record
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

TOWN = Town.build(1, 10)
WHO = TOWN.cast.reader.borrowernumber or ""
OTHER = TOWN.cast.late.borrowernumber or ""
KEY = f"ils_di:{WHO}"
CONNECTOR = catalogue.connectors()["ils_di"]
START = datetime(2026, 3, 10, 6, tzinfo=UTC)


# What is asked.


def asking(*patrons: str) -> Any:
    source = poll({}, {})
    assert next(source) == Subjects("ils_di")
    return source, source.send(list(patrons))


def test_only_linked_patrons_are_asked_about_and_answers_go_on_as_they_came() -> None:
    source, wish = asking("7", "8")
    assert isinstance(wish, Get)
    assert wish.path == "/cgi-bin/koha/ilsdi.pl"
    assert wish.params == {
        "service": "GetPatronInfo",
        "patron_id": "7",
        "show_contact": "0",
        "show_loans": "1",
        "show_holds": "1",
    }
    page = source.send(Answer(200, {"x-request-id": "a1"}, HTML_PAGE, 1_000))
    assert page == Emit("patron", "ils_di:7", HTML_PAGE, 1_000, "application/xml", None, "a1")
    assert source.send(None).params["patron_id"] == "8"


def test_nobody_linked_is_nobody_asked() -> None:
    source = poll({}, {})
    next(source)
    with pytest.raises(StopIteration):
        source.send([])


def test_a_refused_patron_does_not_hold_up_the_others() -> None:
    source, _ = asking("7", "8", "9")
    wish = source.send(Answer(404, {}, b"no", 1))
    assert isinstance(wish, Get)
    assert isinstance(source.send(Answer(200, {}, b"<x/>", 2)), Emit)
    assert isinstance(source.send(None), Get)
    with pytest.raises(StopIteration):
        source.send(Answer(404, {}, b"no", 3))


def test_a_vendor_who_refuses_everybody_is_away() -> None:
    source, _ = asking("7", "8")
    source.send(Answer(404, {}, b"no", 1))
    with pytest.raises(Transient):
        source.send(Answer(404, {}, b"no", 2))


def test_a_login_page_is_no_answer() -> None:
    source, _ = asking("7")
    with pytest.raises(Transient):
        source.send(Answer(302, {"location": "/login"}, b"", 1))


# What is made of it.


class Hub(Lane):
    """One patron, and what the library answers about them."""

    def __init__(self) -> None:
        super().__init__("ils_di")

    def read(self, body: str | bytes, at: datetime = START) -> list[Event]:
        value = body if isinstance(body, bytes) else body.encode()
        return self.take(Emit("patron", KEY, value, int(at.timestamp() * 1000), "application/xml"))

    @property
    def has(self) -> dict[str, Any]:
        return json.loads(self.state or b'{"loans": {}, "holds": {}}')


def kinds(events: list[Event]) -> list[str]:
    return [event.type.rpartition(".")[2] for event in events]


def loan(
    item: int = 11, *, issued: str = "2026-03-03", due: str = "2026-03-24", record: int = 1, renewed: str = ""
) -> str:
    return (
        f"<loan><itemnumber>{item}</itemnumber><biblionumber>{record}</biblionumber><issuedate>{issued}</issuedate>"
        f"<date_due>{due}</date_due><lastreneweddate>{renewed}</lastreneweddate></loan>"
    )


def hold(number: int = 5, *, priority: str = "2", record: int = 1, more: str = "") -> str:
    return (
        f"<hold><reservenumber>{number}</reservenumber><biblionumber>{record}</biblionumber>"
        f"<reservedate>2026-03-02</reservedate><priority>{priority}</priority>{more}</hold>"
    )


def answer(loans: str = "", holds: str = "", who: str = WHO) -> str:
    return (
        f"<GetPatronInfo><borrowernumber>{who}</borrowernumber>"
        f"{f'<holds>{holds}</holds>' if holds else ''}<loans>{loans} \n </loans></GetPatronInfo>"
    )


def test_loan_renewal_return() -> None:
    hub = Hub()
    assert kinds(hub.read(answer(loan()))) == ["LoanStarted"]
    assert hub.read(answer(loan())) == []
    (renewed,) = hub.read(answer(loan(due="2026-04-14 23:59:00", renewed="2026-03-09")))
    assert renewed.payload.due_date == date(2026, 4, 14)  # type: ignore[attr-defined]
    assert renewed.payload.previous_due_date == date(2026, 3, 24)  # type: ignore[attr-defined]
    assert renewed.time == datetime(2026, 3, 9, 22, 59, 59, tzinfo=UTC)
    (returned,) = hub.read(answer())
    assert returned.payload.started_on == date(2026, 3, 3)  # type: ignore[attr-defined]
    assert returned.time == START


def test_due_date_that_moves_without_a_renewal_moved_when_it_was_read() -> None:
    hub = Hub()
    hub.read(answer(loan(renewed="2026-03-05")))
    (renewed,) = hub.read(answer(loan(due="2026-04-14", renewed="2026-03-05")))
    assert renewed.time == START


def test_earlier_due_date_is_no_renewal() -> None:
    hub = Hub()
    hub.read(answer(loan()))
    assert hub.read(answer(loan(due="2026-03-20"))) == []
    assert kinds(hub.read(answer(loan(due="2026-03-21")))) == ["LoanRenewed"]


def test_overdue_is_told_once_from_the_day_after_and_again_after_a_renewal() -> None:
    hub = Hub()
    body = answer(loan(due="2026-03-10"))
    before_midnight = datetime(2026, 3, 10, 22, 59, 59, tzinfo=UTC)
    assert kinds(hub.read(body, before_midnight)) == ["LoanStarted"]
    (overdue,) = hub.read(body, before_midnight + timedelta(seconds=1))
    assert overdue.type == "hub.library.LoanOverdue"
    assert overdue.time == before_midnight + timedelta(seconds=1)
    assert hub.read(body, before_midnight + timedelta(days=3)) == []
    assert kinds(hub.read(answer(loan(due="2026-03-20")), before_midnight + timedelta(days=4))) == ["LoanRenewed"]
    assert kinds(hub.read(answer(loan(due="2026-03-20")), before_midnight + timedelta(days=11))) == ["LoanOverdue"]


@pytest.mark.parametrize(
    ("due", "midnight"),
    [
        ("2026-03-28", "2026-03-28T23:00:00+00:00"),
        ("2026-03-29", "2026-03-29T22:00:00+00:00"),
        ("2026-10-24", "2026-10-24T22:00:00+00:00"),
        ("2026-10-25", "2026-10-25T23:00:00+00:00"),
    ],
)
def test_day_ends_at_local_midnight_when_clocks_change(due: str, midnight: str) -> None:
    moment = datetime.fromisoformat(midnight)
    for early in (True, False):
        hub = Hub()
        told = hub.read(answer(loan(due=due)), moment - timedelta(milliseconds=early))
        assert kinds(told) == ["LoanStarted"] if early else ["LoanStarted", "LoanOverdue"]
        assert early or told[-1].time == moment


@pytest.mark.parametrize(
    ("issued", "occurred"),
    [
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59+00:00"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00+00:00"),
        ("2026-10-25 01:30", "2026-10-24T23:30:00+00:00"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25", "2026-10-25T22:59:59+00:00"),
        ("2030-01-01", "2026-12-01T06:00:00+00:00"),
    ],
)
def test_naive_times_are_local_and_never_later_than_their_reading(issued: str, occurred: str) -> None:
    (event, *_) = Hub().read(answer(loan(issued=issued, due="2031-01-01")), datetime(2026, 12, 1, 6, tzinfo=UTC))
    assert event.time == datetime.fromisoformat(occurred)


def test_item_that_was_lent_again_is_a_return_and_a_loan_and_no_renewal() -> None:
    hub = Hub()
    hub.read(answer(loan()))
    again = hub.read(answer(loan(issued="2026-03-10", due="2026-03-31")))
    assert kinds(again) == ["LoanReturned", "LoanStarted"]
    assert len({event.id for event in hub.events}) == 3


def test_version_that_says_the_time_beside_the_day_lends_nothing_again() -> None:
    hub = Hub()
    hub.read(answer(loan(issued="2026-03-03")))
    assert hub.read(answer(loan(issued="2026-03-03 16:20:05"))) == []
    assert kinds(hub.read(answer(loan(issued="2026-03-03 17:00:00")))) == ["LoanReturned", "LoanStarted"]


@pytest.mark.parametrize(
    ("priority", "more", "ready"),
    [
        ("0", "", True),
        ("1", "", False),
        ("", "", False),
        ("1", "<itemnumber>88</itemnumber>", False),
        ("1", "<waitingdate>2026-03-09</waitingdate>", True),
        ("0", "<found>W</found>", True),
        ("0", "<found>T</found>", False),
        ("0", "<found/>", True),
    ],
)
def test_hold_is_ready_when_an_item_waits(priority: str, more: str, ready: bool) -> None:
    hub = Hub()
    told = hub.read(answer(holds=hold(priority=priority, more=more)))
    assert kinds(told) == (["HoldPlaced", "HoldReady"] if ready else ["HoldPlaced"])
    assert hub.read(answer(holds=hold(priority=priority, more=more))) == []


def test_hold_that_becomes_a_loan_is_fulfilled_and_one_that_does_not_is_cancelled() -> None:
    hub = Hub()
    hub.read(answer(holds=hold(5, record=1) + hold(6, record=2)))
    assert kinds(hub.read(answer(loan(record=1)))) == ["LoanStarted", "HoldCancelled"]
    assert hub.events[-1].payload.hold_id == "6"  # type: ignore[attr-defined]


def test_loan_from_before_fulfils_no_hold() -> None:
    hub = Hub()
    hub.read(answer(loan(record=1), holds=hold(5, record=1)))
    assert kinds(hub.read(answer(loan(record=1)))) == ["HoldCancelled"]


def test_answer_older_than_the_last_is_no_news() -> None:
    hub = Hub()
    hub.read(answer(loan()), START)
    assert hub.read(answer(), START - timedelta(milliseconds=1)) == []
    assert [decision.reason for decision in hub.decisions[-1]] == ["stale"]
    assert kinds(hub.read(answer(), START)) == ["LoanReturned"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (HTML_PAGE, Code.UNDECODABLE),
        (b"", Code.UNDECODABLE),
        (b"Software error: Can't connect to local MySQL server", Code.UNDECODABLE),
        (b"<GetPatronInfo><code>PatronNotFound</code></GetPatronInfo>", Code.VENDOR_ERROR),
        (b"<GetPatronInfo><error>PatronNotFound</error></GetPatronInfo>", Code.VENDOR_ERROR),
        (b"<error>NotAllowed</error>", Code.VENDOR_ERROR),
        (b"<GetPatronInfo/>", Code.INVALID),
        (b"<LookupPatron><id>1</id></LookupPatron>", Code.INVALID),
        (answer().replace("<loans> \n </loans>", "").encode(), Code.INVALID),
        (answer("<loan/>").encode(), Code.INVALID),
        (answer("none").encode(), Code.INVALID),
        (answer(loan(issued="2026-02-30")).encode(), Code.INVALID),
        (answer(loan() + loan()).encode(), Code.UNMAPPABLE),
        (answer(holds=hold() + hold()).encode(), Code.UNMAPPABLE),
        (answer(who=OTHER).encode(), Code.UNMAPPABLE),
    ],
)
def test_failed_answer_changes_nothing(body: bytes, code: Code) -> None:
    hub = Hub()
    hub.read(answer(loan(), hold()))
    before = hub.state
    assert hub.read(body) == []
    assert hub.code == code
    assert hub.state == before
    assert hub.read(answer(loan(), hold())) == []


@given(st.integers(0, 400))
def test_answer_that_breaks_off_returns_nothing(length: int) -> None:
    whole = answer(loan(11) + loan(12, record=2), hold())
    hub = Hub()
    hub.read(whole)
    assert hub.read(whole[: min(length, len(whole) - 1)]) == []


@pytest.mark.parametrize(("declared", "real"), ENCODINGS)
def test_declared_encoding_is_not_believed_blindly(declared: str, real: str) -> None:
    body = f'<?xml version="1.0" encoding="{declared}" ?>' + answer(loan()).replace(
        "<loans>", "<surname>Lefèvre</surname><loans>"
    )
    assert kinds(Hub().read(body.encode(real))) == ["LoanStarted"]


# Laws.

ITEMS = st.dictionaries(
    st.integers(1, 5),
    st.tuples(st.sampled_from(["2026-02-01", "2026-02-20", "2026-03-09"]), st.integers(1, 28), st.integers(1, 3)),
    max_size=5,
)
HOLDS = st.dictionaries(st.integers(1, 4), st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=4)


@given(st.lists(st.tuples(ITEMS, HOLDS, st.booleans()), max_size=8))
def test_what_started_less_what_was_returned_is_what_the_patron_has(snapshots: list[Any]) -> None:
    """Whatever answers come, and whichever of them fail."""
    hub = Hub()
    has: Counter[str] = Counter()
    overdue: dict[str, bool] = {}
    for number, (items, holds, fails) in enumerate(snapshots):
        body = answer(
            "".join(
                loan(item, issued=issued, due=f"2026-03-{due:02d}", record=record)
                for item, (issued, due, record) in items.items()
            ),
            "".join(hold(item, priority=str(priority), record=record) for item, (priority, record) in holds.items()),
        )
        events = hub.read(body[:-9] if fails else body, START + timedelta(minutes=number))
        for event in events:
            entity: Any = event.payload
            match event.type.rpartition(".")[2]:
                case "LoanStarted":
                    has[entity.item_id] += 1
                    overdue[entity.item_id] = False
                case "LoanReturned":
                    has[entity.item_id] -= 1
                case "LoanRenewed":
                    assert entity.due_date > entity.previous_due_date
                    overdue[entity.item_id] = False
                case "LoanOverdue":
                    assert not overdue[entity.item_id]
                    overdue[entity.item_id] = True
        if fails:
            assert events == []
        else:
            assert {item for item, count in has.items() if count} == {str(item) for item in items}
            assert set(hub.has["holds"]) == {str(number) for number in holds}
        assert set(has.values()) <= {0, 1}


class World:
    """A library whose answers arrive when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.hub = Hub()
        self.vendor = Simulator(TOWN, Journal(folder / "journal.jsonl"), lambda: self.now, {})
        self.arrived: set[str] = set()

    def asked(self) -> Emit:
        """Ask, and keep the answer back."""
        self.now += timedelta(seconds=1)
        query = f"service=GetPatronInfo&patron_id={WHO}&show_contact=0&show_loans=1&show_holds=1"
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/cgi-bin/koha/ilsdi.pl",
            "query_string": query.encode(),
            "headers": [(b"user-agent", b"municipal-hub/1 (t)")],
        }
        reply = self.vendor.ask(Request(scope))
        started = int(self.now.timestamp() * 1000)
        return Emit("patron", KEY, bytes(reply.body), started, "application/xml", None, reply.headers["x-request-id"])

    def take(self, emit: Emit) -> list[Event]:
        assert emit.answer is not None
        self.arrived.add(emit.answer)
        return self.hub.take(emit)

    def poll(self) -> list[Event]:
        return self.take(self.asked())

    def said(self) -> Counter[tuple[str, str]]:
        seen = Account.of(self.vendor.journal.entries()).seen(self.arrived)
        return Counter((fact.type, fact.entity) for fact in seen.observable if fact.subject == KEY)

    def found(self) -> Counter[tuple[str, str]]:
        return Counter(
            (kind, getattr(event.payload, "item_id", "") or event.payload.hold_id)  # type: ignore[attr-defined]
            for event, kind in zip(self.hub.events, kinds(self.hub.events), strict=True)
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_seeded_town_is_read_without_a_title_and_without_rejects(world: World) -> None:
    world.vendor.seed()
    item = world.vendor.items(WHO)[0]
    for _ in ENCODINGS:
        emit = world.asked()
        assert b"<title>" in emit.value
        assert b"<email>" not in emit.value
        world.take(emit)
    assert {"LoanStarted", "HoldPlaced"} <= set(kinds(world.hub.events))
    assert not [d for ds in world.hub.decisions for d in ds if isinstance(d, Quarantine)]
    assert world.found() == world.said()
    kept = (world.hub.state or b"").decode() + str([event.payload for event in world.hub.events])
    assert item in kept
    assert not [title for title in TITLES if title in kept]
    assert TOWN.cast.reader.family_name not in kept


def test_item_lent_again_unseen_is_said_to_be_hidden(world: World) -> None:
    item = world.vendor.lend(WHO)
    world.poll()
    world.vendor.relend_unseen(WHO, item)
    assert world.poll() == []
    assert isinstance(world.hub.decisions[-1][0], Skip)
    hidden = Account.of(world.vendor.journal.entries()).seen(world.arrived).hidden
    assert Counter((fact.type, why) for fact, why in hidden) == {
        ("LoanReturned", "returned and lent again between two answers"): 1,
        ("LoanStarted", "returned and lent again between two answers"): 1,
    }


def test_answer_about_somebody_else_is_set_aside(world: World) -> None:
    world.vendor.lend(WHO)
    world.vendor.mix_up(WHO, OTHER)
    assert world.poll() == []
    assert world.hub.code is Code.UNMAPPABLE
    assert kinds(world.poll()) == ["LoanStarted"]


def test_state_survives_saving(world: World) -> None:
    world.vendor.seed()
    again = Simulator(TOWN, world.vendor.journal, lambda: world.now, {})
    again.restore(world.vendor.save())
    assert again.items(WHO) == world.vendor.items(WHO)
    assert again.reserved(WHO) == world.vendor.reserved(WHO)


STEPS = st.sampled_from(
    [
        *("lend", "renew", "back", "overdue", "relend", "unseen"),
        *("hold", "ready", "cancel", "collect"),
        *("poll", "poll", "lost", "error", "mixed", "day"),
    ]
)


def play(world: World, step: str, pick: int) -> None:
    vendor = world.vendor
    items, holds = vendor.items(WHO), vendor.reserved(WHO)
    item = items[pick % len(items)] if items else ""
    number = holds[pick % len(holds)] if holds else ""

    def again() -> None:
        before = sorted(vendor.last_lent)
        vendor.lend(WHO, before[pick % len(before)][1])

    def later() -> None:
        world.now += timedelta(days=pick)

    actions: dict[str, Any] = {
        "lend": lambda: vendor.lend(WHO) if pick % 2 or not world.vendor.last_lent else again(),
        "renew": lambda: vendor.renew(WHO, item),
        "back": lambda: vendor.give_back(WHO, item),
        "overdue": lambda: vendor.make_overdue(WHO, item),
        "relend": lambda: vendor.relend(WHO, item),
        "unseen": lambda: vendor.relend_unseen(WHO, item),
        "hold": lambda: vendor.place_hold(WHO, priority=pick),
        "ready": lambda: vendor.hold_ready(WHO, number),
        "cancel": lambda: vendor.cancel_hold(WHO, number),
        "collect": lambda: vendor.collect(WHO, number),
        "poll": world.poll,
        "lost": world.asked,
        "error": lambda: vendor.refuse(WHO),
        "mixed": lambda: vendor.mix_up(WHO, OTHER),
        "day": later,
    }

    with contextlib.suppress(ValueError):  # a library refuses what makes no sense
        actions[step]()


@settings(deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=30))
def test_hub_knows_exactly_what_the_town_says_can_be_known(steps: list[tuple[str, int]]) -> None:
    """Answers that arrive, that get lost, that are errors: one event per change that anybody could see."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step, pick in steps:
            play(world, step, pick)
        world.vendor.failing.clear()
        world.vendor.mixed.clear()
        world.poll()
        assert world.found() == world.said()
        assert set(world.hub.has["loans"]) == set(world.vendor.items(WHO))


# Four dialects.


def koha(loans: dict[int, date], holds: dict[int, bool]) -> str:
    return (
        "<GetPatronInfo><borrowernumber>sample</borrowernumber><loans> "
        + "".join(
            f"<loan><itemnumber>{n}</itemnumber><biblionumber>{n}</biblionumber><issuedate>2026-01-02</issuedate>"
            f"<date_due>{due}</date_due></loan>"
            for n, due in loans.items()
        )
        + "</loans><holds> "
        + "".join(
            f"<hold><reservenumber>{n}</reservenumber><biblionumber>{n}</biblionumber><priority>{0 if there else 3}"
            f"</priority><found>{'W' if there else ''}</found></hold>"
            for n, there in holds.items()
        )
        + "</holds></GetPatronInfo>"
    )


def nanook(loans: dict[int, date], holds: dict[int, bool]) -> str:
    return (
        "<GetPatronInfo><patronId>sample</patronId><mail>null</mail><loans>"
        + "".join(
            f"<loan><bibId>{n}</bibId><itemId>{n}</itemId><title>null</title><dueDate>{due}</dueDate></loan>"
            for n, due in loans.items()
        )
        + "</loans><holds>"
        + "".join(
            f"<hold><bibId>{n}</bibId><itemId>null</itemId><priority>3</priority>"
            + ("<available>1</available>" if there else "<availabilityDate>28/03/2026</availabilityDate>")
            + "</hold>"
            for n, there in holds.items()
        )
        + "</holds></GetPatronInfo>"
    )


def biblixnet(loans: dict[int, date], holds: dict[int, bool]) -> str:
    return (
        "<GetPatronInfo><patronId>sample</patronId><loans>"
        + "".join(f"<loan><itemId>{n}</itemId><dueDate>{due}</dueDate></loan>" for n, due in loans.items())
        + "</loans><holds>"
        + "".join(
            f"<hold><itemId>{n}</itemId><state>{'Disponible' if there else 'En attente'}</state></hold>"
            for n, there in holds.items()
        )
        + "</holds></GetPatronInfo>"
    )


def orphee(loans: dict[int, date], holds: dict[int, bool]) -> str:
    lent = "".join(
        f"<pret><ntc>{n}</ntc><no>1</no><cb> {n}</cb><date_ret>{due:%d/%m/%Y}</date_ret></pret>"
        for n, due in loans.items()
    )
    reserved = "".join(
        f"<rsv><no_ntc>{n}</no_ntc><no_dmt>{n}</no_dmt><cb>{n if there else ''}</cb><rang>3</rang></rsv>"
        for n, there in holds.items()
    )
    return (
        "<r><![CDATA[<lecteur><no>sample</no><nom>Essai</nom><cb>1</cb>"
        f"<nb_prets>{len(loans)}</nb_prets><p>{lent}</p><v>{reserved}</v></lecteur>]]></r>"
    )


NUMBERS = st.integers(1, 5)
HAS = st.tuples(
    st.dictionaries(NUMBERS, st.dates(date(2026, 2, 20), date(2026, 4, 1)), max_size=4),
    st.dictionaries(NUMBERS, st.booleans(), max_size=4),
)


@given(st.lists(HAS, max_size=6))
def test_four_dialects_tell_the_same_story(story: list[tuple[dict[int, date], dict[int, bool]]]) -> None:
    """Whichever a library speaks: the text `null`, French days and states, and answers wrapped in CDATA are no news."""
    heard = []
    for dialect in (koha, nanook, biblixnet, orphee):
        state: bytes | None = None
        told = []
        for number, (loans, holds) in enumerate(story):
            said = record(CONNECTOR, "patron", dialect(loans, holds).encode())
            outcome = process(said._replace(read_at=said.read_at + number), CONNECTOR, catalogue.schemas(), state)
            state = outcome.state
            for decision in outcome.decisions:
                if isinstance(decision, Deliver):
                    payload = decision.event.payload
                    what = getattr(payload, "item_id", None) or payload.hold_id
                    told.append((number, decision.event.type, what, getattr(payload, "due_date", None)))
                else:
                    told.append((number, str(decision), "", None) if isinstance(decision, Quarantine) else (number,))
        heard.append(told)
    assert heard[0] == heard[1] == heard[2] == heard[3]


def test_another_service_is_asked_as_the_settings_say() -> None:
    source = poll({}, {"path": "/lecteur", "query": "no={patron}&vide="})
    next(source)
    wish = source.send(["7"])
    assert isinstance(wish, Get)
    assert (wish.path, wish.params) == ("/lecteur", {"no": "7", "vide": ""})
