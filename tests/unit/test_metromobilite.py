"""Disruptions: what is asked, what a difference means, and that a bad snapshot ends nothing."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from connectors.sources.transport.metromobilite.simulator import Simulator
from connectors.sources.transport.metromobilite.source import poll
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Emit, Get
from hub.testing.lane import Lane
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

KEY = "metromobilite:evtTC"
START = datetime(2026, 3, 10, 6, tzinfo=UTC)
NEVER = "31/12/2050 23:59"


# What is asked.


def test_snapshot_goes_on_as_it_came() -> None:
    source = poll({}, {"origin": "https://ville.exemple"})
    assert next(source) == Get("/dyn/evtTC/json", headers={"Origin": "https://ville.exemple"})
    wish = source.send(Answer(200, {"x-request-id": "a1"}, HTML_PAGE, 1_000))
    assert wish == Emit("evtTC", KEY, HTML_PAGE, 1_000, "application/json", None, "a1")
    with pytest.raises(StopIteration):
        source.send(None)


def test_an_origin_is_always_sent() -> None:
    assert next(poll({}, {})).headers["Origin"].startswith("https://")  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [302, 400, 404])
def test_refused_question_waits(status: int) -> None:
    source = poll({}, {})
    next(source)
    with pytest.raises(Transient):
        source.send(Answer(status, {}, b"", 1))


# What is made of it.


class Hub(Lane):
    """The feed, and its snapshots."""

    def __init__(self) -> None:
        super().__init__("metromobilite")

    def read(self, body: Any, at: datetime = START) -> list[Event]:
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.take(Emit("evtTC", KEY, value, int(at.timestamp() * 1000), "application/json"))

    @property
    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self.state or b'{"disruptions": {}}')["disruptions"]
        return known


def kinds(events: list[Event]) -> list[str]:
    return [event.type.rpartition(".")[2].removeprefix("Disruption") for event in events]


def item(**fields: Any) -> dict[str, Any]:
    return {
        "type": "chantier",
        "id": "7",
        "dateDebut": "02/03/2026 05:20",
        "dateFin": NEVER,
        "latitude": "-1",
        "longitude": "-1",
        "listeLigneArret": "SEM_48",
        "texte": "48 : Rue fermée|Du 02/03/2026 05:20|Jusqu'à nouvel ordre|  Détour.|Arrêt reporté.",
        **fields,
    }


def told(**fields: Any) -> Any:
    (event,) = Hub().read({"SEM_1": item(**fields)})
    return event.payload


def test_published_updated_ended() -> None:
    hub = Hub()
    (published,) = hub.read({"SEM_1": item()})
    assert published.subject == "metromobilite:SEM_1"
    assert published.time == START
    assert published.payload == told()
    assert hub.read({"SEM_1": item(id=8, heureDebut="06:00:00")}) == []
    (updated,) = hub.read({"SEM_1": item(dateFin="20/03/2026 10:00")})
    assert updated.payload.ends_at == datetime(2026, 3, 20, 9, tzinfo=UTC)  # type: ignore[attr-defined]
    (ended,) = hub.read({})
    assert kinds(hub.events) == ["Published", "Updated", "Ended"]
    assert ended.payload.lines == ("SEM:48",)  # type: ignore[attr-defined]
    assert ended.payload.title == "48 : Rue fermée"  # type: ignore[attr-defined]
    assert kinds(hub.read({"SEM_1": item()})) == ["Published"]
    assert len({event.id for event in hub.events}) == 4


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"listeLigneArret": "SEM_48, SEM_C5,"}, ("SEM:48", "SEM:C5")),
        ({"listeLigneArret": ""}, ()),
        ({"listeLigneArret": None, "listeLigne": "C38_T_62"}, ("C38:T_62",)),
        ({"listeLigne": "SEM_A,SEM_48"}, ("SEM:48", "SEM:A")),
        ({"listeLigneArret": "SEM:48"}, ("SEM:48",)),
    ],
)
def test_lines_become_routes(fields: Any, lines: tuple[str, ...]) -> None:
    assert told(**fields).lines == lines


@pytest.mark.parametrize(
    ("fields", "title", "description"),
    [
        ({}, "48 : Rue fermée", "Du 02/03/2026 05:20\nJusqu'à nouvel ordre\nDétour.\nArrêt reporté."),
        ({"titre": "Autre", "description": "Rien."}, "Autre", "Rien."),
        ({"titre": "Autre", "description": "", "texte": "Autre|Détour."}, "Autre", "Détour."),
        ({"titre": "Autre", "texte": "Détour."}, "Autre", "Détour."),
        ({"texte": ""}, "", ""),
        ({"texte": "x" * 501}, "x" * 499 + "…", ""),
        ({"titre": "t", "description": "x" * 9000}, "t", "x" * 7999 + "…"),
    ],
)
def test_title_and_text_of_both_programs(fields: Any, title: str, description: str) -> None:
    assert (told(**fields).title, told(**fields).description) == (title, description)


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("-1", "-1", (None, None)),
        (-1, -1.0, (None, None)),
        ("45.18", 5.72, (45.18, 5.72)),
        (45, "5", (45.0, 5.0)),
        ("", "5", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_place(latitude: Any, longitude: Any, place: Any) -> None:
    payload = told(latitude=latitude, longitude=longitude)
    assert (payload.latitude, payload.longitude) == place


@pytest.mark.parametrize("plan", ["javascript:alert(1)", "http://a b", "", None, 3, "https://" + "x" * 2000])
def test_what_is_no_web_address_is_none(plan: Any) -> None:
    assert told(plan=plan).url is None


@pytest.mark.parametrize(
    ("local", "start", "end"),
    [
        ("29/03/2026 01:59", "2026-03-29T00:59:00+00:00", "2026-03-29T00:59:00+00:00"),
        ("29/03/2026 02:30", "2026-03-29T01:30:00+00:00", "2026-03-29T01:30:00+00:00"),
        ("29/03/2026 03:00", "2026-03-29T01:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        ("25/10/2026 01:59", "2026-10-24T23:59:00+00:00", "2026-10-24T23:59:00+00:00"),
        ("25/10/2026 02:30", "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"),
        ("25/10/2026 03:00", "2026-10-25T02:00:00+00:00", "2026-10-25T02:00:00+00:00"),
    ],
)
def test_local_times_when_clocks_change(local: str, start: str, end: str) -> None:
    payload = told(dateDebut=local, dateFin=local)
    assert payload.starts_at == datetime.fromisoformat(start)
    assert payload.ends_at == datetime.fromisoformat(end)


def test_no_known_end_stays_unknown_whatever_the_text_says() -> None:
    payload = told(dateFin=NEVER, texte="Arrêt reporté|Du 01/06/2026 08:00|Au 30/06/2026 17:00")
    assert payload.ends_at is None
    assert "Au 30/06/2026 17:00" in payload.description


BAD: list[Any] = [
    None,
    "x",
    [],
    {},
    item(dateFin="bientôt"),
    item(dateFin="31/02/2026 10:00"),
    item(dateDebut=20260302),
    item(latitude="nord"),
    item(latitude=10**400),
    item(latitude=91),
    item(longitude=True),
    item(listeLigneArret=["SEM_48"]),
    item(listeLigneArret="toutes"),
    item(type="x" * 81),
    item(titre="\ud83d"),
    item(texte=3),
]


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_read_has_not_ended_and_holds_nothing_up(bad: Any) -> None:
    hub = Hub()
    hub.read({"SEM_1": item(), "SEM_2": item(), "SEM_3": item()})
    assert hub.read({"SEM_1": bad, "SEM_2": item(), "SEM_3": item()}) == []
    assert hub.reason == "unreadable_item"
    assert kinds(hub.read({"SEM_1": bad, "SEM_3": item(listeLigneArret="SEM_47")})) == [] or hub.code is Code.INVALID
    assert kinds(hub.read({"SEM_1": bad, "SEM_2": item(listeLigneArret="SEM_47"), "SEM_3": item()})) == ["Updated"]
    assert kinds(hub.read({"SEM_1": item(), "SEM_2": item(listeLigneArret="SEM_47"), "SEM_3": item()})) == []
    assert kinds(hub.read({"SEM_2": item(listeLigneArret="SEM_47"), "SEM_3": item()})) == ["Ended"]


@pytest.mark.parametrize("code", ["", "SEM 1", "é", "x" * 81, "\ud83d"])
def test_code_that_is_none_is_not_told(code: str) -> None:
    hub = Hub()
    assert kinds(hub.read({code: item(), "SEM_1": item()})) in (["Published"], [])
    assert set(hub.known) <= {"SEM_1"}
    assert hub.code in (None, Code.INVALID)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (HTML_PAGE, Code.UNDECODABLE),
        (b"", Code.UNDECODABLE),
        (b'{"SEM_1": {"type": "chantier", "id', Code.UNDECODABLE),
        (b"[]", Code.INVALID),
        (b"null", Code.INVALID),
        (b'{"error": "quota"}', Code.INVALID),
        (json.dumps({"SEM_1": item(dateFin="bientôt"), "SEM_2": item()}).encode(), Code.INVALID),
    ],
)
def test_failed_answer_changes_nothing(body: bytes, code: Code) -> None:
    hub = Hub()
    hub.read({"SEM_1": item()})
    before = hub.state
    assert hub.read(body) == []
    assert hub.code is code
    assert hub.state == before


def test_snapshot_older_than_the_last_is_no_news() -> None:
    hub = Hub()
    hub.read({"SEM_1": item()})
    assert hub.read({}, START - timedelta(milliseconds=1)) == []
    assert hub.reason == "stale"


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [(1, 0, False), (2, 0, False), (3, 0, True), (5, 2, False), (5, 1, True), (10, 4, False), (10, 3, True)],
)
def test_snapshot_that_shrinks_too_much_is_held(before: int, after: int, held: bool) -> None:
    hub = Hub()
    hub.read({f"SEM_{number}": item() for number in range(before)})
    small = {f"SEM_{number}": item() for number in range(after)}
    events = hub.read(small, START + timedelta(seconds=20))
    assert (hub.code is Code.HELD) == held
    assert len(events) == (0 if held else before - after)
    assert len(hub.known) == (before if held else after)


def test_what_ended_in_time_may_all_end_at_once() -> None:
    hub = Hub()
    hub.read({f"SEM_{number}": item(dateFin="10/03/2026 07:30") for number in range(9)})
    assert len(hub.read({}, START + timedelta(minutes=31))) == 9


def test_held_snapshot_is_believed_after_an_hour() -> None:
    hub = Hub()
    hub.read({f"SEM_{number}": item() for number in range(9)})
    assert hub.read({}, START + timedelta(minutes=59)) == []
    assert hub.code is Code.HELD
    assert kinds(hub.read({}, START + timedelta(minutes=60))) == ["Ended"] * 9


# Laws.

SNAPSHOTS = st.lists(st.dictionaries(st.integers(1, 6), st.integers(0, 3), max_size=6), max_size=10)


@given(SNAPSHOTS)
def test_what_was_published_less_what_ended_is_what_goes_on(snapshots: list[dict[int, int]]) -> None:
    """Whatever comes, and whatever of it cannot be read (0)."""
    hub = Hub()
    open_now: Counter[str] = Counter()
    for number, codes in enumerate(snapshots):
        body = {
            f"SEM_{code}": item(listeLigneArret=f"SEM_{line}") if line else item(dateFin="?")
            for code, line in codes.items()
        }
        for event in hub.read(body, START + timedelta(seconds=number)):
            kind = event.type.rpartition(".")[2]
            code = event.payload.disruption_id  # type: ignore[attr-defined]
            open_now[code] += {"DisruptionPublished": 1, "DisruptionUpdated": 0, "DisruptionEnded": -1}[kind]
            assert open_now[code] in (0, 1)
            assert kind != "DisruptionUpdated" or open_now[code] == 1
        assert {code for code, count in open_now.items() if count} == set(hub.known)
        if hub.code is None:
            assert set(hub.known) <= set(body)
            assert {code for code, entry in body.items() if entry["dateFin"] == NEVER} <= set(hub.known)


class World:
    """A platform whose answers arrive when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.hub = Hub()
        self.vendor = Simulator(Town.build(1, 10), Journal(folder / "journal.jsonl"), lambda: self.now, {})
        self.arrived: set[str] = set()

    def asked(self) -> Emit:
        """Ask, and keep the answer back."""
        self.now += timedelta(seconds=20)
        agent = [(b"user-agent", b"municipal-hub/1 (t)")]
        scope = {"type": "http", "method": "GET", "path": "/dyn/evtTC/json", "query_string": b"", "headers": agent}
        reply = self.vendor.snapshot(Request(scope))
        started = int(self.now.timestamp() * 1000)
        return Emit("evtTC", KEY, bytes(reply.body), started, "application/json", None, reply.headers["x-request-id"])

    def poll(self) -> list[Event]:
        emit = self.asked()
        assert emit.answer is not None
        self.arrived.add(emit.answer)
        return self.hub.take(emit)

    def said(self) -> Counter[tuple[str, str]]:
        seen = Account.of(self.vendor.journal.entries()).seen(self.arrived)
        return Counter((fact.type, fact.subject) for fact in seen.observable)

    def found(self) -> Counter[tuple[str, str]]:
        return Counter((event.type.rpartition(".")[2], event.subject) for event in self.hub.events)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_seeded_town_is_read(world: World) -> None:
    world.vendor.seed()
    world.poll()
    assert {event.payload.lines for event in world.hub.events} >= {("SEM:A",), ("SEM:B", "SEM:C"), ()}  # type: ignore[attr-defined]
    assert world.found() == world.said()
    assert world.poll() == []


def test_vendor_that_forgets_nearly_everything_is_not_believed(world: World) -> None:
    world.vendor.seed()
    world.poll()
    world.vendor.shrink(2)
    assert world.poll() == world.poll() == []
    assert world.hub.code is Code.HELD
    code = world.vendor.publish(lines=["SEM:48"])
    assert [event.subject for event in world.poll()] == [f"metromobilite:{code}"]
    assert world.found() == world.said()


def test_nonsense_among_the_rest_is_counted_and_hurts_nobody(world: World) -> None:
    world.vendor.seed()
    world.vendor.babble()
    world.poll()
    world.vendor.end(world.vendor.current()[0])
    assert kinds(world.poll()) == ["Ended"]
    world.poll()
    assert world.hub.reason == "unreadable_item"
    assert world.found() == world.said()


STEPS = st.sampled_from(["publish", "update", "lines", "end", "babble", "shrink", "poll", "poll", "lost"])


def play(world: World, step: str, pick: int) -> None:
    vendor = world.vendor
    codes = vendor.current()
    code = codes[pick % len(codes)] if codes else ""
    actions: dict[str, Any] = {
        "publish": lambda: vendor.publish(lines=["SEM:C5", "SEM:48"][: pick % 3]),
        "update": lambda: vendor.update(code),
        "lines": lambda: vendor.update(code, lines=[f"SEM:{pick}"]),
        "end": lambda: vendor.end(code),
        "babble": vendor.babble,
        "shrink": vendor.shrink,
        "poll": world.poll,
        "lost": world.asked,
    }
    with suppress(ValueError):  # what makes no sense does not happen
        actions[step]()


@settings(deadline=None)
@given(st.booleans(), st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=30))
def test_hub_knows_exactly_what_the_town_says_can_be_known(seeded: bool, steps: list[tuple[str, int]]) -> None:
    """Answers that arrive, get lost or are not believed: one event per change that anybody could see."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        if seeded:
            world.vendor.seed()
        world.poll()
        for step, pick in steps:
            shrunk = world.vendor.shrunk > 0
            play(world, step, pick)
            # Many answers lost in a row may add up to more ends than a hub believes: another matter.
            assume(step != "poll" or (world.hub.code is Code.HELD) == shrunk)
        world.vendor.shrunk = 0
        world.poll()
        assume(world.hub.code is not Code.HELD)
        assert world.found() == world.said()
        if world.hub.code is None:
            assert set(world.hub.known) == set(world.vendor.current())
