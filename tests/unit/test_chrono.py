"""Bookings: what is asked, what is taken, and that the vendor has the last word in whatever order it comes."""

from __future__ import annotations

import base64
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from connectors.sources.school_catering.chrono.simulator import Simulator
from connectors.sources.school_catering.chrono.source import poll, receive
from hub.model.decision import Quarantine, Skip
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Call, Emit, Get, Refusal, Subjects
from hub.testing.lane import Lane
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

TOWN = Town.build(1, 10)
CHILD = TOWN.children[0].external_id
KEY = f"chrono:{CHILD}"
START = datetime(2026, 3, 10, 6, tzinfo=UTC)
CALL = {
    "id": "6f0e1d2c-5b4a-4938-8271-000000000001",
    "event": "presence",
    "at": "2026-03-10T12:05:00+01:00",
    "booking": {
        "id": 4711,
        "user_external_id": CHILD,
        "event": {"slug": "cantine-2026-03-10", "label": "Cantine", "datetime": "2026-03-10 11:30:00"},
    },
}


# What is asked.


def test_only_linked_children_are_asked_about() -> None:
    asking = poll({}, {})
    assert next(asking) == Subjects("chrono")
    assert asking.send(["E0001", "E0002"]) == Get("/api/bookings/", params={"user_external_id": "E0001"})
    wish = asking.send(Answer(200, {"x-request-id": "a1"}, b'{"err":  0, "data": []}', 1_000))
    assert wish == Emit("bookings", "chrono:E0001", b'{"err":  0, "data": []}', 1_000, "application/json", None, "a1")
    assert asking.send(None) == Get("/api/bookings/", params={"user_external_id": "E0002"})
    with pytest.raises(StopIteration):
        asking.send(Answer(200, {}, b"", 2_000)) and asking.send(None)


def test_nobody_linked_is_nobody_asked() -> None:
    asking = poll({}, {})
    next(asking)
    with pytest.raises(StopIteration):
        asking.send([])


def test_a_refused_child_does_not_hold_up_the_others() -> None:
    asking = poll({}, {})
    next(asking)
    asking.send(["E0001", "E0002"])
    wish = asking.send(Answer(404, {}, b'{"err": 1}', 1))
    assert isinstance(wish, Emit)
    assert wish.value == b'{"err": 1}'
    assert isinstance(asking.send(None), Get)


def test_a_login_page_is_no_answer() -> None:
    asking = poll({}, {})
    next(asking)
    asking.send(["E0001"])
    with pytest.raises(Transient):
        asking.send(Answer(302, {"location": "/login"}, b"", 1))


# What is taken.


def test_callback_is_kept_as_it_came_under_its_child_and_its_id() -> None:
    body = json.dumps(CALL, indent=1).encode()
    assert receive(Call("callback", body, {"X-Request-ID": "c1"}, 5)) == Emit(
        "callback", KEY, body, 5, "application/json", "6f0e1d2c-5b4a-4938-8271-000000000001", "c1"
    )


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "body"),
        (b"<html>", 400, "body"),
        (b"null", 422, "body"),
        (b"{}", 422, "id"),
        (b'{"id": "m"}', 422, "booking.user_external_id"),
        (b'{"id": "m", "booking": []}', 422, "booking.user_external_id"),
        (b'{"id": "m", "booking": {"user_external_id": 7}}', 422, "booking.user_external_id"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "body"),
    ],
)
def test_what_names_no_record_is_refused_by_the_field(body: bytes, status: int, named: str) -> None:
    refusal = receive(Call("callback", body, {}, 1))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.detail.partition(":")[0]) == (status, named)


def test_polled_feed_takes_no_calls() -> None:
    assert receive(Call("bookings", b"{}", {}, 1)) == Refusal(404, "no such feed")


# What is made of it.


class Hub(Lane):
    """One child, and what the canteen says about them."""

    def __init__(self) -> None:
        super().__init__("chrono")

    def kinds(self) -> list[str]:
        return [event.type.rpartition(".")[2] for event in self.events]

    def places(self) -> list[str]:
        return [event.payload.booking_id for event in self.events]  # type: ignore[attr-defined]

    def last(self) -> dict[str, str]:
        """Last kind of event of each booking."""
        return dict(zip(self.places(), self.kinds(), strict=True))


class World:
    """A vendor whose answers and callbacks arrive when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.hub = Hub()
        self.journal = Journal(folder / "journal.jsonl")
        self.vendor = Simulator(TOWN, self.journal, lambda: self.now, {})
        self.arrived: set[str] = set()

    def asked(self) -> Emit:
        """Ask, and keep the answer back."""
        self.later()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/bookings/",
            "query_string": f"user_external_id={CHILD}".encode(),
            "headers": [(b"user-agent", b"municipal-hub/1 (t)")],
        }
        started = self.ms()
        self.later()
        answer = self.vendor.listing(Request(scope))
        return Emit(
            "bookings", KEY, bytes(answer.body), started, "application/json", None, answer.headers["x-request-id"]
        )

    def called(self) -> Iterator[Emit]:
        """Yield callbacks that have been sent, in order, received now."""
        while not self.vendor._calls.empty():
            callback = self.vendor._calls.get_nowait()
            assert callback is not None
            emit = receive(Call("callback", callback.body, {"x-request-id": callback.answer}, self.ms()))
            assert isinstance(emit, Emit)
            yield emit

    def take(self, emit: Emit) -> list[Event]:
        self.later()
        assert emit.answer is not None
        self.arrived.add(emit.answer)
        return self.hub.take(emit)

    def poll(self) -> list[Event]:
        return self.take(self.asked())

    def later(self, seconds: float = 0.01) -> None:
        self.now += timedelta(seconds=seconds)

    def ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def said(self) -> Counter[tuple[str, str]]:
        seen = Account.of(self.journal.entries()).seen(self.arrived)
        return Counter((fact.type, fact.entity) for fact in seen.observable)

    def found(self) -> Counter[tuple[str, str]]:
        return Counter(zip(self.hub.kinds(), self.hub.places(), strict=True))


@pytest.fixture(autouse=True)
def _no_posting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulator, "_deliver", lambda _self: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


DAY = date(2026, 3, 10)


def test_callback_then_poll_is_one_fact(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    world.vendor.attend(meal)
    for emit in world.called():
        world.take(emit)
    assert world.poll() == []
    assert world.hub.kinds() == ["MealBooked", "MealEaten"]


def test_poll_then_callback_is_one_fact(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    world.vendor.attend(meal, twice=True)
    world.poll()
    assert [world.take(emit) for emit in world.called()] == [[], []]
    assert world.hub.kinds() == ["MealBooked", "MealEaten"]


def test_eaten_absent_eaten_again_are_three_facts(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    for change in (world.vendor.attend, world.vendor.absent, world.vendor.attend):
        world.later()
        change(meal)
        for emit in world.called():
            world.take(emit)
        world.poll()
    assert world.hub.kinds() == ["MealBooked", "MealEaten", "AbsenceRecorded", "MealEaten"]
    assert len({event.id for event in world.hub.events}) == 4
    assert world.found() == world.said()


def test_callback_that_another_overtook_is_no_news(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.vendor.attend(meal)
    world.later()
    world.vendor.absent(meal)
    first, second = world.called()
    world.take(second)
    assert world.take(first) == []
    assert world.hub.kinds() == ["MealBooked", "AbsenceRecorded"]


def test_repeated_callback_does_not_undo_what_a_poll_told_since(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.vendor.attend(meal, twice=True)
    first, again = world.called()
    world.take(first)
    world.vendor.absent(meal, callback=False)
    world.poll()
    assert world.take(again) == []
    assert world.hub.kinds() == ["MealBooked", "MealEaten", "AbsenceRecorded"]


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_change_back_is_seen_only_by_those_who_saw_the_change(world: World, arrives: bool, asked: bool) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.vendor.attend(meal)
    for emit in world.called():
        world.take(emit)
    world.vendor.absent(meal, callback=False)
    if asked:
        emit = world.asked()
        if arrives:
            world.take(emit)
    world.vendor.attend(meal, callback=False)
    world.poll()
    assert world.found() == world.said()
    assert world.found()["MealEaten", str(meal)] == (2 if asked and arrives else 1)


def test_poll_that_a_callback_overtook_is_no_news(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    held = world.asked()
    world.later()
    world.vendor.cancel(meal)
    for emit in world.called():
        world.take(emit)
    assert world.take(held) == []
    assert [decision.reason for decision in world.hub.decisions[-1]] == ["stale"]
    assert world.poll() == []
    assert world.hub.kinds() == ["MealBooked", "MealCancelled"]


def test_polls_of_two_owners_of_the_lease_keep_their_order(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    old = world.asked()
    world.vendor.attend(meal, callback=False)
    world.poll()
    assert world.take(old) == []
    assert world.hub.kinds() == ["MealBooked", "MealEaten"]


def test_booking_that_disappears_was_cancelled(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    world.vendor.cancel(meal, callback=False)
    (event,) = world.poll()
    assert event.type == "hub.school_catering.MealCancelled"
    assert event.time == datetime.fromtimestamp(event.read_at / 1000, UTC)
    assert world.poll() == []


def test_meal_that_was_eaten_and_disappears_was_filed_away(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.vendor.attend(meal, callback=False)
    world.poll()
    place = world.vendor.bookings.pop(meal)
    assert world.poll() == []
    world.vendor.bookings[meal] = place
    assert world.poll() == []


def test_what_is_gone_is_forgotten_after_events_are(world: World) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    world.vendor.cancel(meal, callback=False)
    world.poll()
    world.later(89 * 86400)
    world.poll()
    assert str(meal) in json.loads(world.hub.state or b"")["bookings"]
    world.later(2 * 86400)
    world.poll()
    assert json.loads(world.hub.state or b"")["bookings"] == {}


def test_memory_of_a_child_whom_nobody_linked_does_not_grow_for_ever(world: World) -> None:
    for day in (DAY, DAY + timedelta(days=120)):
        world.vendor.attend(world.vendor.book(CHILD, day))
        for emit in world.called():
            world.take(emit)
        world.later(120 * 86400)
    assert len(json.loads(world.hub.state or b"")["bookings"]) == 1


def test_place_after_waiting_is_told(world: World) -> None:
    place = world.vendor.book(CHILD, DAY, "EVENING_CARE", waiting=True)
    world.poll()
    world.vendor.promote(place)
    world.poll()
    assert [event.payload.waiting_list for event in world.hub.events] == [True, False]  # type: ignore[attr-defined]
    assert world.found() == world.said()


def listing(*items: tuple[int, str, bool | None, bool]) -> bytes:
    """Write an answer: number, day, presence, waiting."""
    data = [
        {
            "id": number,
            "in_waiting_list": waiting,
            "user_was_present": present,
            "event": {"slug": f"cantine-{day}", "label": "Cantine", "datetime": f"{day} 11:30:00"},
        }
        for number, day, present, waiting in items
    ]
    return json.dumps({"err": 0, "data": data}).encode()


def polled(hub: Hub, body: bytes, at: datetime) -> list[Event]:
    return hub.take(Emit("bookings", KEY, body, int(at.timestamp() * 1000), "application/json"))


def test_moves_on_the_waiting_list_are_told_each_and_once() -> None:
    hub = Hub()
    for hour, waiting in enumerate((True, True, False, False, True, False)):
        polled(hub, listing((1, "2026-03-12", None, waiting)), START + timedelta(hours=hour))
    assert hub.kinds() == ["MealBooked"] * 4
    assert [event.payload.waiting_list for event in hub.events] == [True, False, True, False]  # type: ignore[attr-defined]
    assert len({event.id for event in hub.events}) == 4


def test_who_only_waited_and_leaves_the_list_has_cancelled() -> None:
    hub = Hub()
    polled(hub, listing((1, "2026-03-12", None, True)), START)
    polled(hub, listing(), START + timedelta(hours=1))
    assert hub.kinds() == ["MealBooked", "MealCancelled"]


@pytest.mark.parametrize("days", [1, 8, 31])
def test_presence_after_the_fact_is_told_for_its_day_and_can_be_corrected(days: int) -> None:
    """Trap: late and corrected data."""
    hub = Hub()
    polled(hub, listing((1, "2026-03-10", None, False)), START)
    late = START + timedelta(days=days)
    for hour, present in enumerate((True, False, False, True, None)):
        polled(hub, listing((1, "2026-03-10", present, False)), late + timedelta(hours=hour))
    assert hub.kinds() == ["MealBooked", "MealEaten", "AbsenceRecorded", "MealEaten", "MealBooked"]
    assert {event.payload.meal_date for event in hub.events} == {date(2026, 3, 10)}  # type: ignore[attr-defined]
    assert len({event.id for event in hub.events}) == 5


def test_a_callback_a_week_late_is_told_for_its_day_unless_a_poll_knew_more() -> None:
    hub = Hub()
    polled(hub, listing((4711, "2026-03-10", None, False)), START)
    week = START + timedelta(days=7)
    body = json.dumps(CALL | {"at": "2026-03-17T12:05:00+01:00"}).encode()
    hub.take(Emit("callback", KEY, body, int(week.timestamp() * 1000), "application/json", "late"))
    assert hub.kinds() == ["MealBooked", "MealEaten"]
    assert hub.events[-1].payload.meal_date == date(2026, 3, 10)  # type: ignore[attr-defined]
    assert polled(hub, listing((4711, "2026-03-10", True, False)), week + timedelta(hours=6)) == []


def test_a_meal_that_was_moved_to_another_day_is_booked_there() -> None:
    hub = Hub()
    polled(hub, listing((1, "2026-03-12", None, False)), START)
    (moved,) = polled(hub, listing((1, "2026-03-13", None, False)), START + timedelta(hours=1))
    assert moved.payload.meal_date == date(2026, 3, 13)  # type: ignore[attr-defined]
    assert moved.payload.booking_id == "1"  # type: ignore[attr-defined]


def test_error_in_a_200_changes_nothing(world: World) -> None:
    world.vendor.book(CHILD, DAY)
    world.poll()
    before = world.hub.state
    world.vendor.refuse(CHILD)
    assert world.poll() == []
    (rejected,) = world.hub.decisions[-1]
    assert isinstance(rejected, Quarantine)
    assert rejected.code is Code.VENDOR_ERROR
    assert world.hub.state == before
    assert world.poll() == []


def test_reason_of_an_absence_goes_nowhere(world: World) -> None:
    for day in range(10, 18):
        world.vendor.absent(world.vendor.book(CHILD, date(2026, 3, day)), callback=False)
    emit = world.asked()
    assert b"angine" in emit.value
    assert b"porc" in emit.value
    world.take(emit)
    kept = (world.hub.state or b"") + b"".join(event.value for event in world.hub.events)
    assert b"angine" not in kept
    assert b"porc" not in kept


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
@pytest.mark.parametrize("time", ["00:30:00", "02:00:00", "02:30:00", "02:59:59", "23:59:59"])
def test_business_day_is_the_local_date_when_clocks_change(day: date, time: str) -> None:
    hub = Hub()
    item = {
        "id": 1,
        "in_waiting_list": False,
        "user_was_present": None,
        "event": {"slug": "cantine", "label": "", "datetime": f"{day} {time}"},
    }
    body = json.dumps({"err": 0, "data": [item]}).encode()
    (event,) = hub.take(Emit("bookings", KEY, body, 1, "application/json", None, "a"))
    assert event.payload.meal_date == day  # type: ignore[attr-defined]


def test_both_second_hours_of_the_autumn_night_keep_their_order() -> None:
    hub = Hub()
    for number, (event, at) in enumerate(
        [("presence", "2026-10-25T02:30:00+02:00"), ("absence", "2026-10-25T02:10:00+01:00")]
    ):
        body = json.dumps({**CALL, "id": f"m{number}", "event": event, "at": at}).encode()
        hub.take(Emit("callback", KEY, body, 10 + number, "application/json", f"m{number}", "a"))
    assert hub.kinds() == ["MealBooked", "MealEaten", "AbsenceRecorded"]
    assert [event.time.isoformat() for event in hub.events[1:]] == [
        "2026-10-25T00:30:00+00:00",
        "2026-10-25T01:10:00+00:00",
    ]


@pytest.mark.parametrize(
    ("slug", "activity"),
    [
        ("cantine-2026-03-10", "LUNCH"),
        ("dejeuner", "LUNCH"),
        ("Accueil_Matin", "MORNING_CARE"),
        ("periscolaire-soir-2", "EVENING_CARE"),
        ("bonsoir", "UNKNOWN"),
        ("atelier", "UNKNOWN"),
    ],
)
def test_activity_is_told_by_a_word_of_the_slug(slug: str, activity: str) -> None:
    hub = Hub()
    call = {**CALL, "booking": {**CALL["booking"], "event": {**CALL["booking"]["event"], "slug": slug}}}  # type: ignore[dict-item, index]
    events = hub.take(Emit("callback", KEY, json.dumps(call).encode(), 1, "application/json", "m", "a"))
    assert {event.payload.activity for event in events} == {activity}  # type: ignore[attr-defined]


# Laws.

STEPS = st.sampled_from(
    [
        "book",
        "wait",
        "promote",
        "attend",
        "absent",
        "cancel",
        "lose attend",
        "lose absent",
        "lose cancel",
        "poll",
        "error",
    ]
)


def play(world: World, step: str, pick: int) -> bool:
    """Let a step happen, if it can; tell whether it did."""
    vendor = world.vendor
    world.later()
    places = [place for place in vendor.bookings.values() if place.status != "cancelled"]
    if step in ("book", "wait"):
        if len(vendor.bookings) < 4:
            vendor.book(CHILD, DAY + timedelta(days=pick % 3), waiting=step == "wait")
        return True
    if step == "poll":
        world.poll()
        return True
    if step == "error":
        vendor.refuse(CHILD)
        return True
    if not places:
        return False
    place = places[pick % len(places)]
    verb = step.rpartition(" ")[2]
    try:
        if verb == "promote":
            vendor.promote(place.id)
        else:
            getattr(vendor, verb)(place.id, callback=not step.startswith("lose"))
    except ValueError:
        return False
    return True


LAST = {"booked": "MealBooked", "eaten": "MealEaten", "absent": "AbsenceRecorded", "cancelled": "MealCancelled"}


def vendor_has_the_last_word(world: World) -> None:
    last = world.hub.last()
    for place in world.vendor.bookings.values():
        known = last.get(str(place.id))
        assert known == LAST[place.status] or (known is None and place.status == "cancelled")


@settings(deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 5)), max_size=25))
def test_hub_knows_exactly_what_the_town_says_can_be_known(steps: list[tuple[str, int]]) -> None:
    """Callbacks taken as they are sent, some lost, polls in between: one fact per change that anybody could see."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step, pick in steps:
            play(world, step, pick)
            for emit in world.called():
                world.take(emit)
        assert world.found() == world.said()
        world.vendor.failing.clear()
        world.poll()
        assert world.found() == world.said()
        vendor_has_the_last_word(world)
        assert not [d for ds in world.hub.decisions for d in ds if isinstance(d, Quarantine) and d.code is Code.BUG]


@settings(deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 5)), max_size=20), st.data())
def test_last_word_is_the_vendors_in_whatever_order_records_arrive(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Answers and callbacks are held back, overtaken and doubled; the next undisturbed poll puts all right."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        waiting: list[Emit] = []
        for step, pick in steps:
            if step == "poll":
                waiting.append(world.asked())
            else:
                play(world, step, pick)
            waiting += list(world.called())
            while data.draw(st.booleans()) and waiting:
                emit = waiting[data.draw(st.integers(0, len(waiting) - 1))]
                world.take(emit)
                if data.draw(st.integers(0, 3)):
                    waiting.remove(emit)
        order: list[Emit] = data.draw(st.permutations(waiting))
        for emit in order:
            world.take(emit)
        world.vendor.failing.clear()
        world.poll()
        vendor_has_the_last_word(world)
        assert world.poll() == []
        told: set[str] = set()
        for kind, place in zip(world.hub.kinds(), world.hub.places(), strict=True):
            # Whatever became of a booking is told after the booking itself.
            assert kind == "MealBooked" or place in told
            told.add(place)


@settings(deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 5)), max_size=20))
def test_records_taken_again_change_nothing(steps: list[tuple[str, int]]) -> None:
    """A redelivery of everything, in order, gives no event that was not there."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        taken: list[Emit] = []
        for step, pick in steps:
            if step == "poll":
                taken.append(world.asked())
                world.take(taken[-1])
            else:
                play(world, step, pick)
            for emit in world.called():
                taken.append(emit)
                world.take(emit)
        known = {event.id for event in world.hub.events}
        for emit in taken:
            world.take(emit)
        assert {event.id for event in world.hub.events} == known
        replay = Hub()
        for emit in taken:
            replay.take(emit)
        assert {event.id for event in replay.events} == known


# The vendor in its box.


def test_vendor_asks_for_its_password(tmp_path: Path) -> None:
    vendor = Simulator(TOWN, Journal(tmp_path / "j"), lambda: START, {"secrets_dir": str(tmp_path)})
    password = (tmp_path / "default").read_text("utf-8").strip()

    def status(header: str | None) -> int:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        if header is not None:
            scope["headers"] = [(b"authorization", header.encode())]
        return vendor.listing(Request(scope)).status_code

    right = base64.b64encode(f"hub:{password}".encode()).decode()
    wrong = base64.b64encode(b"hub:guess").decode()
    assert [status(header) for header in (None, "Basic !", f"Basic {wrong}", f"Basic {right}")] == [401, 401, 401, 200]
    assert [entry["kind"] for entry in vendor.journal.entries()] == ["served"]


def test_seeded_week_is_seen_by_the_first_poll(world: World) -> None:
    world.now = datetime(2026, 3, 12, 6, tzinfo=UTC)
    world.vendor.seed()
    world.poll()
    said = {entity for _, entity in world.said()}
    mine = {str(place.id) for place in world.vendor.bookings.values() if place.child == CHILD}
    assert said == mine
    assert world.found() == world.said()
    assert {"MealBooked", "MealEaten"} <= set(world.hub.kinds())
    assert not world.journal.entries("fault")


def test_vendor_lives_on(world: World, tmp_path: Path) -> None:
    meal = world.vendor.book(CHILD, DAY)
    world.poll()
    saved = world.vendor.save()
    again = Simulator(TOWN, Journal(tmp_path / "journal.jsonl"), lambda: world.now, {})
    again.restore(saved)
    assert again.find(CHILD, DAY.isoformat(), "LUNCH") == meal
    again.cancel(meal)
    assert again.find(CHILD) is None


def test_skip_reasons_are_words(world: World) -> None:
    world.vendor.book(CHILD, DAY)
    world.poll()
    world.poll()
    assert [d.reason for ds in world.hub.decisions for d in ds if isinstance(d, Skip)] == ["unchanged"]
