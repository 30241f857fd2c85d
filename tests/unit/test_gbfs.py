"""Shared bicycles: what is asked and where, that both versions say the same, and that no single ride is news."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from connectors.sources.transport.gbfs.simulator import Simulator
from connectors.sources.transport.gbfs.source import poll
from hub.model.errors import Code, Transient
from hub.model.event import Event
from hub.model.intake import Answer, Checkpoint, Emit, Get, Wish
from hub.testing.lane import Lane
from hub.testing.simulator import HTML_PAGE
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

KEY = "gbfs:stations"
START = datetime(2026, 3, 10, 6, tzinfo=UTC)
NOW = int(START.timestamp() * 1000)
AT = "https://velo.exemple"
SETTINGS = {"discovery": f"{AT}/gbfs.json"}
STATUS, INFORMATION = f"{AT}/station_status.json", f"{AT}/station_information.json"


# What is asked.


def feeds(**addresses: str) -> list[dict[str, str]]:
    return [{"name": name, "url": url} for name, url in addresses.items()]


BOTH = feeds(station_information=INFORMATION, station_status=STATUS, system_information=f"{AT}/system.json")
TWO = {"version": "2.2", "ttl": 60, "last_updated": 1, "data": {"en": {"feeds": []}, "fr": {"feeds": BOTH}}}
THREE = {"version": "3.0", "ttl": 60, "last_updated": "2026-03-10T07:00:00+01:00", "data": {"feeds": BOTH}}


class Told(Exception):
    """How a poll ended, if not well."""


def asked(
    answers: dict[str, Any], *, cursor: Any = None, settings: Any = None, at: int = NOW
) -> tuple[list[Wish], str | None]:
    """Run a poll; answers are bodies or statuses, by address. Return its wishes and why it was not a good one."""
    source = poll(cursor or {}, settings or SETTINGS)
    wishes: list[Wish] = []
    try:
        wish = next(source)
        while True:
            wishes.append(wish)
            said: Any = None
            if isinstance(wish, Get):
                found = answers.get(wish.path, 404)
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                status = found if isinstance(found, int) else 200
                said = Answer(status, {"x-request-id": wish.path}, body, at)
            wish = source.send(said)
    except StopIteration:
        return wishes, None
    except Transient as error:
        return wishes, error.reason


def paths(wishes: list[Wish]) -> list[str]:
    return [wish.path.removeprefix(AT) for wish in wishes if isinstance(wish, Get)]


@pytest.mark.parametrize("listing", [TWO, THREE, {**TWO, "data": {"de": {"feeds": BOTH}}}], ids=["2", "3", "no French"])
def test_discovery_then_the_status_then_what_it_is_about(listing: Any) -> None:
    """A new station must be told of with what it has; files go on byte for byte, even those that are none."""
    wishes, trouble = asked({SETTINGS["discovery"]: listing, STATUS: HTML_PAGE, INFORMATION: {"ttl": 60}})
    assert trouble is None
    assert wishes == [
        Get(f"{AT}/gbfs.json"),
        Get(STATUS),
        Emit("status", KEY, HTML_PAGE, NOW, "application/json", None, STATUS),
        Get(INFORMATION),
        Emit("information", KEY, b'{"ttl": 60}', NOW, "application/json", None, INFORMATION),
        Checkpoint({"information": {"address": INFORMATION, "asked": NOW, "until": NOW + 60_000}}),
    ]


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(0, 0), (60, 60), (86_400, 600), (10**400, 600), (-5, 0), ("60", 0), (None, 0), (1.5, 0)],
)
def test_time_to_live_is_kept_for_ten_minutes_at_most(ttl: Any, seconds: int) -> None:
    """A year of it, by mistake, must not hide what changes; nonsense is none."""
    answers = {SETTINGS["discovery"]: THREE, STATUS: {}, INFORMATION: {"ttl": ttl}}
    wishes, _ = asked(answers)
    cursor = wishes[-1].cursor if isinstance(wishes[-1], Checkpoint) else {}
    for later, again in ((seconds * 1000 - 1, False), (seconds * 1000, True), (-1, True)):
        if later >= 0 or again:
            wishes, trouble = asked(answers, cursor=cursor, at=NOW + later)
            assert trouble is None
            assert ("/station_information.json" in paths(wishes)) == again


def test_information_at_another_address_is_asked_for_at_once() -> None:
    elsewhere = f"{AT}/v3/station_information.json"
    cursor = {"information": {"address": INFORMATION, "asked": NOW, "until": NOW + 600_000}}
    listing = {**THREE, "data": {"feeds": feeds(station_status=STATUS, station_information=elsewhere)}}
    wishes, _ = asked({SETTINGS["discovery"]: listing, STATUS: {}, elsewhere: {}}, cursor=cursor)
    assert paths(wishes)[-1] == "/v3/station_information.json"


def test_what_was_written_is_remembered_only_then() -> None:
    """Abandoned before the broker has the record, it is asked for again: no checkpoint stands above an emit."""
    wishes, _ = asked({SETTINGS["discovery"]: TWO, STATUS: {}, INFORMATION: {"ttl": 60}})
    assert [type(wish) for wish in wishes[-2:]] == [Emit, Checkpoint]


@pytest.mark.parametrize(
    ("listing", "trouble"),
    [
        (HTML_PAGE, "discovery: not JSON"),
        (b"[" * 100_000, "discovery: not JSON"),
        (404, "discovery: status 404"),
        (302, "discovery: status 302"),
        (413, "discovery: status 413"),
        ([], "discovery: a version other than 2 and 3"),
        ({}, "discovery: a version other than 2 and 3"),
        ({**TWO, "version": "1.1"}, "discovery: a version other than 2 and 3"),
        ({**TWO, "version": 2.2}, "discovery: a version other than 2 and 3"),
        ({**TWO, "version": "22"}, "discovery: a version other than 2 and 3"),
        ({**TWO, "data": {}}, "discovery: no list of feeds"),
        ({**TWO, "data": {"fr": []}}, "discovery: no list of feeds"),
        ({**THREE, "data": {"fr": {"feeds": BOTH}}}, "discovery: no list of feeds"),
        ({**THREE, "data": None}, "discovery: no list of feeds"),
    ],
)
def test_lying_discovery_leads_nowhere(listing: Any, trouble: str) -> None:
    """HTML in a 200, another version, another shape: nothing is asked for, and nothing looks empty."""
    wishes, told = asked({SETTINGS["discovery"]: listing, STATUS: {}, INFORMATION: {}})
    assert (paths(wishes), told) == (["/gbfs.json"], trouble)


def test_feed_that_is_missing_or_refused_does_not_spoil_the_other() -> None:
    """And the poll is not taken for a good one."""
    listing = {**THREE, "data": {"feeds": [*feeds(station_information=INFORMATION), 7, {"name": "station_status"}]}}
    wishes, trouble = asked({SETTINGS["discovery"]: listing, INFORMATION: {}})
    assert [wish.feed for wish in wishes if isinstance(wish, Emit)] == ["information"]
    assert trouble == "station_status: not in the discovery file"
    wishes, trouble = asked({SETTINGS["discovery"]: THREE, STATUS: 404, INFORMATION: {}})
    assert [wish.feed for wish in wishes if isinstance(wish, Emit)] == ["information"]
    assert trouble == "station_status: status 404"


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/hostname",
        "/station_status.json",
        "http://velo.exemple/station_status.json",
        "https://velo.exemple:8443/station_status.json",
        "https://velo.exemple.org/station_status.json",
        "https://velo.exemple@autre.exemple/",
        "https://autre.exemple\\@velo.exemple/",
        "https://[::1]/",
        "https://velo.exemple/a b",
        "https://velo.exemple/é",
        "",
    ],
)
def test_discovery_sends_nobody_to_places_that_the_city_did_not_name(address: str) -> None:
    """A file of ours or a machine of the inner network, for instance."""
    listing = {**THREE, "data": {"feeds": feeds(station_status=address, station_information=INFORMATION)}}
    wishes, trouble = asked({SETTINGS["discovery"]: listing, INFORMATION: {}, address: {}})
    assert paths(wishes) == ["/gbfs.json", "/station_information.json"]
    assert trouble == "station_status: at an origin that the settings do not name"


def test_origin_that_the_city_named_is_asked() -> None:
    cdn = "https://cdn.exemple:8443/status"
    listing = {**THREE, "data": {"feeds": feeds(station_status=cdn, station_information=INFORMATION)}}
    named = {**SETTINGS, "origins": "https://autre.exemple, https://cdn.exemple:8443"}
    wishes, trouble = asked({SETTINGS["discovery"]: listing, INFORMATION: {}, cdn: {}}, settings=named)
    assert (cdn in paths(wishes), trouble) == (True, None)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["2.2", "3.0", STATUS, INFORMATION])
WORDS = st.sampled_from(["data", "feeds", "fr", "en", "name", "url", "version", "ttl", "station_status"]) | st.text()
ODD = st.recursive(
    LEAVES | WORDS, lambda below: st.lists(below, max_size=4) | st.dictionaries(WORDS, below, max_size=4), max_leaves=12
)


@given(st.sampled_from(["2.2", "3.0"]), ODD, ODD, ODD)
def test_whatever_is_answered_a_poll_ends_and_goes_nowhere_else(version: str, data: Any, entry: Any, file: Any) -> None:
    named = [*BOTH, entry] if isinstance(entry, dict) else entry
    for odd in (data, {"feeds": named}, {"fr": {"feeds": named}}, {"fr": data}):
        answers = {SETTINGS["discovery"]: {"version": version, "data": odd}, STATUS: file, INFORMATION: file}
        wishes, _ = asked(answers)
        assert all(wish.path.startswith(AT) for wish in wishes if isinstance(wish, Get))
        assert len(wishes) <= 6


# What is made of it.


class Hub(Lane):
    """Both feeds of the one key."""

    def __init__(self) -> None:
        super().__init__("gbfs")
        self.at = START

    def read(self, feed: str, body: Any, at: datetime | None = None) -> list[Event]:
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        moment = int((at or self.at).timestamp() * 1000)
        return self.take(Emit(feed, KEY, value, moment, "application/json"))

    def information(self, *stations: Any, **fields: Any) -> list[Event]:
        return self.read("information", file(stations, **fields))

    def status(self, *stations: Any, **fields: Any) -> list[Event]:
        return self.read("status", file(stations, **fields))


def file(stations: Any, **fields: Any) -> dict[str, Any]:
    return {"version": "2.2", "last_updated": NOW // 1000, "ttl": 0, "data": {"stations": list(stations)}, **fields}


def said(station: Any = "1", **fields: Any) -> dict[str, Any]:
    return {"station_id": station, "name": "Gare", "lat": 45.19, "lon": 5.71, "capacity": 20, **fields}


def has(bikes: Any, docks: Any = ..., station: Any = "1", **fields: Any) -> dict[str, Any]:
    return {
        "station_id": station,
        "num_bikes_available": bikes,
        "num_docks_available": 20 - bikes if docks is ... else docks,
        "is_installed": True,
        "is_renting": True,
        "is_returning": True,
        **fields,
    }


def known(bikes: int = 10, **fields: Any) -> Hub:
    hub = Hub()
    hub.status(has(bikes))
    (first,) = hub.information(said(**fields))
    assert first.payload.vehicles_available == bikes  # type: ignore[attr-defined]
    return hub


def kinds(events: list[Event]) -> list[str]:
    return [event.type.rpartition(".")[2].removeprefix("SharedStation") for event in events]


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (10, 11, False),
        (10, 14, False),
        (10, 15, True),
        (10, 5, True),
        (2, 1, False),
        (1, 0, True),
        (0, 1, True),
        (19, 20, True),
        (20, 19, True),
        (10, 10, False),
    ],
)
def test_a_ride_is_no_news_but_the_last_bicycle_and_the_last_dock_are(before: int, after: int, news: bool) -> None:
    hub = known(before)
    assert kinds(hub.status(has(after))) == ["Changed"] * news


def test_steps_are_counted_from_what_was_told() -> None:
    """Ten rides one after another are told of twice."""
    hub = known(18)
    told = [event.payload for bikes in range(17, 7, -1) for event in hub.status(has(bikes))]
    assert [payload.vehicles_available for payload in told] == [13, 8]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bikes", "docks", "news"), [(19, None, False), (14, None, True), (20, None, False), (0, None, True)]
)
def test_where_nobody_says_how_many_fit_a_quarter_of_them_is_news(bikes: int, docks: int | None, news: bool) -> None:
    """Places in the street have neither docks nor a capacity."""
    hub = Hub()
    hub.status(has(20, None))
    hub.information(said(capacity=None))
    assert bool(hub.status(has(bikes, docks))) == news


@pytest.mark.parametrize("flag", ["is_installed", "is_renting", "is_returning"])
@pytest.mark.parametrize("false", [False, 0])
def test_opening_and_closing_is_news(flag: str, false: Any) -> None:
    hub = known()
    (closed,) = hub.status(has(10, **{flag: false}))
    assert getattr(closed.payload, flag) is False
    assert hub.status(has(10, **{flag: false})) == []
    assert kinds(hub.status(has(10, **{flag: 1}))) == ["Changed"]


def test_status_that_came_first_waits_for_the_words_and_is_not_lost() -> None:
    hub = Hub()
    assert hub.status(has(7)) == []
    (told,) = hub.information(said())
    assert told.payload.vehicles_available == 7  # type: ignore[attr-defined]


def test_station_without_a_status_is_told_of_and_gets_it_later() -> None:
    hub = Hub()
    (told,) = hub.information(said())
    assert (told.payload.vehicles_available, told.payload.is_renting) == (None, None)  # type: ignore[attr-defined]
    assert kinds(hub.status(has(7))) == ["Changed"]


def test_station_that_is_gone_from_both_files_is_removed_once() -> None:
    hub = known()
    assert hub.status() == []
    (removed,) = hub.information()
    assert kinds([removed]) == ["Removed"]
    assert removed.payload.name == "Gare"  # type: ignore[attr-defined]
    assert hub.information() == []
    assert hub.status(has(10)) == []
    assert kinds(hub.information(said())) == ["Changed"]


def test_station_that_lost_its_status_alone_has_unknown_counts() -> None:
    hub = known()
    assert hub.status() == []
    (told,) = hub.information(said())
    assert (told.payload.vehicles_available, told.payload.is_renting) == (None, None)  # type: ignore[attr-defined]


def test_new_words_bring_what_is_there_now() -> None:
    """The ride that was no news is told of along with them."""
    hub = known(10)
    assert hub.status(has(11)) == []
    (told,) = hub.information(said(name="Gare des Essais"))
    assert told.payload.vehicles_available == 11  # type: ignore[attr-defined]


def test_place_that_trembles_is_no_news() -> None:
    hub = known(lat=45.1900004)
    assert hub.information(said(lat=45.1899996)) == []
    assert kinds(hub.information(said(lat=45.1901))) == ["Changed"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Gare", "Gare"),
        ([{"text": "Station", "language": "en"}, {"text": "Gare", "language": "fr"}], "Gare"),
        ([{"text": "Station", "language": "en"}, {"text": " Gare ", "language": "fr-FR"}], "Gare"),
        ([{"text": "Stazion", "language": "fur"}, {"text": "Gare", "language": "FR"}], "Gare"),
        ([{"text": "Station", "language": "en"}, {"text": "", "language": "fr"}], "Station"),
        ([{"text": "Estación", "language": "es"}, {"text": "Station", "language": "en"}], "Estación"),
        ([{"text": "Gare"}], "Gare"),
    ],
)
def test_name_is_a_text_or_texts_by_language(name: Any, read: str) -> None:
    """GBFS 2 and 3 (names become `[{text, language}]`)."""
    hub = Hub()
    hub.status(has(7))
    (told,) = hub.information(said(name=name), version="3.0")
    assert told.payload.name == read  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "moment",
    [
        1773122400,
        1773122400.0,
        "2026-03-10T06:00:00Z",
        "2026-03-10T07:00:00+01:00",
        "2026-03-10T07:00:00.000+0100",
        # The hour that autumn repeats and the one that spring lacks: an offset leaves nothing to guess.
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T02:30:00+02:00",
        "2026-03-29T02:30:00+01:00",
    ],
)
def test_moment_is_seconds_or_has_an_offset(moment: Any) -> None:
    """`last_updated` epoch -> ISO; naive local time."""
    hub = Hub()
    hub.information(said(), last_updated=moment)
    assert hub.code is None


@pytest.mark.parametrize(
    "moment",
    ["2026-03-10T07:00:00", "2026-03-10", "1773122400", 1773122400000, -1, None, True, 1.5, "2026-02-30T07:00:00Z"],
)
def test_moment_without_an_offset_or_in_milliseconds_is_none(moment: Any) -> None:
    hub = known()
    assert hub.information(said(name="Autre"), last_updated=moment) == []
    assert hub.code is Code.INVALID


def test_id_typed_two_ways_is_one_station() -> None:
    """Trap: id unstable, repeated, or typed two ways."""
    hub = Hub()
    hub.status(has(7, station=1))
    (told,) = hub.information(said("1"), said(1))
    assert told.subject == "gbfs:1"
    assert hub.information(said(1)) == []


def test_negative_count_is_an_unknown_one() -> None:
    """Trap: `-1`."""
    hub = known()
    (told,) = hub.status(has(-1, -1))
    assert (told.payload.vehicles_available, told.payload.docks_available) == (None, None)  # type: ignore[attr-defined]


BAD_WORDS: list[Any] = [
    None,
    {},
    said(lat="45.19"),
    said(lat=91),
    said(lon=None),
    said(name=None),
    said(name=[]),
    said(name=["Gare"]),
    said(name="\ud83d"),
    said(name="x" * 301),
    said(capacity="20"),
    said(capacity=10**7),
    said(True),
    said("a b"),
    said(""),
]
BAD_STATUS: list[Any] = [
    None,
    {},
    has(1, num_bikes_available="1"),
    has(1, num_bikes_available=1.5),
    has(1, is_renting="true"),
    has(1, is_renting=2),
    has(1, is_returning=None),
    {name: value for name, value in has(1).items() if name != "num_bikes_available"},
]


@pytest.mark.parametrize("bad", BAD_WORDS)
def test_words_that_cannot_be_read_spoil_no_other_station(bad: Any) -> None:
    hub = Hub()
    hub.information(said("1"), said("2"))
    named = isinstance(bad, dict) and bad.get("station_id") == "1"
    # Without an id it could be any that is missing.
    found = hub.information(bad, said("2"), said("3"), *([] if named else [said("1")]))
    assert kinds(found) == ["Changed"]


@pytest.mark.parametrize("bad", BAD_STATUS)
def test_status_that_cannot_be_read_leaves_it_as_it_was(bad: Any) -> None:
    hub = known()
    assert hub.status(bad, has(3, station="2"), has(3, station="3")) == []
    assert hub.reason == "unreadable_item"
    assert hub.information(said()) == [] or not (isinstance(bad, dict) and bad)


@pytest.mark.parametrize(
    ("feed", "body", "code"),
    [
        ("status", HTML_PAGE, Code.UNDECODABLE),
        ("information", b"", Code.UNDECODABLE),
        ("status", b'{"version": "2.2", "last', Code.UNDECODABLE),
        ("status", b"[]", Code.INVALID),
        ("information", b'{"error": "quota"}', Code.INVALID),
        ("information", file([said()]), None),
        ("status", {**file([]), "data": {}}, Code.INVALID),
        ("status", {**file([]), "version": None}, Code.INVALID),
        ("status", {**file([]), "version": "1.1"}, Code.UNSUPPORTED),
        ("information", {**file([]), "version": "4.0"}, Code.UNSUPPORTED),
        ("information", file([said(), said(lat="x")]), Code.INVALID),
        # One file for the other: each lacks what the other says.
        ("status", file([said()]), Code.INVALID),
        ("information", file([has(3)]), Code.INVALID),
    ],
)
def test_failed_answer_is_never_an_empty_town(feed: str, body: Any, code: Code | None) -> None:
    """Trap: error in a 200 body, HTML for JSON."""
    hub = known()
    before = hub.state
    assert hub.read(feed, body) == []
    assert hub.code is code
    assert hub.state == before


@pytest.mark.parametrize("feed", ["status", "information"])
def test_answer_that_was_asked_for_or_made_earlier_is_no_news(feed: str) -> None:
    hub = known()
    other = file([has(0) if feed == "status" else said(name="Autre")])
    assert hub.read(feed, other, START - timedelta(milliseconds=1)) == []
    assert hub.reason == "stale"
    assert hub.read(feed, {**other, "last_updated": NOW // 1000 - 1}, START + timedelta(minutes=59)) == []
    assert hub.reason == "stale"
    assert kinds(hub.read(feed, other)) == ["Changed"]


def test_moment_far_ahead_does_not_make_all_that_follows_old_for_ever() -> None:
    hub = known()
    hub.status(has(10), last_updated=NOW // 1000 + 10**8)
    hub.at = START + timedelta(minutes=59)
    assert hub.status(has(0)) == []
    hub.at = START + timedelta(minutes=60)
    assert kinds(hub.status(has(0))) == ["Changed"]


@pytest.mark.parametrize("feed", ["status", "information"])
@pytest.mark.parametrize(
    ("before", "after", "held"),
    [(1, 0, False), (2, 0, False), (3, 0, True), (5, 2, False), (5, 1, True), (10, 4, False), (10, 3, True)],
)
def test_file_that_shrinks_too_much_is_held_for_an_hour(feed: str, before: int, after: int, held: bool) -> None:
    """Trap: snapshot without tombstones."""
    one: Any = (lambda n: has(5, station=str(n))) if feed == "status" else (lambda n: said(str(n)))
    hub = Hub()
    hub.status(*[has(5, station=str(n)) for n in range(before)])
    hub.information(*[said(str(n)) for n in range(before)])
    small = file([one(n) for n in range(after)])
    gone = [] if held or feed == "status" else ["Removed"] * (before - after)
    assert kinds(hub.read(feed, small)) == gone
    assert (hub.code is Code.HELD) == held
    hub.read(feed, small, START + timedelta(hours=1))
    assert hub.code is None


def test_largest_network_of_the_country_can_be_remembered() -> None:
    """A state has its limit: 1500 stations with long names, and half as many again."""
    hub = Hub()
    numbers = [f"{number:012}" for number in range(2250)]
    hub.status(*[has(7, station=number) for number in numbers])
    told = hub.information(*[said(number, name=f"Place de l'Exemple et du Modèle {number}") for number in numbers])
    assert (len(told), hub.code) == (2250, None)


# Both versions, and the town.


class World:
    """An operator whose answers arrive when the test says so."""

    def __init__(self, folder: Path, version: str = "2.2") -> None:
        self.now = START
        self.hub = Hub()
        self.vendor = Simulator(Town.build(1, 10), Journal(folder / f"{version}.jsonl"), lambda: self.now, {})
        self.vendor.version = version
        self.vendor.seed()
        self.arrived: set[str] = set()

    def poll(self, *, lost: str = "") -> list[Event]:
        """Do what the source does, over the real source; `lost`: the feed whose answer does not arrive."""
        self.now += timedelta(seconds=60)
        found: list[Event] = []
        source = poll({}, {"discovery": "http://velo/gbfs.json"})
        wish = next(source)
        while True:
            said: Any = None
            if isinstance(wish, Get):
                said = self._answer(wish.path)
            elif isinstance(wish, Emit) and wish.feed != lost:
                assert wish.answer is not None
                self.arrived.add(wish.answer)
                found += self.hub.take(wish)
            try:
                wish = source.send(said)
            except StopIteration:
                return found

    def _answer(self, address: str) -> Answer:
        path = address.removeprefix("http://velo")
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("velo", 80),
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"velo"), (b"user-agent", b"municipal-hub/1 (t)")],
        }
        ends = {"/gbfs.json": "discovery", "/station_information.json": "information", "/station_status.json": "status"}
        reply = getattr(self.vendor, ends[path])(Request(scope))
        return Answer(200, dict(reply.headers), bytes(reply.body), int(self.now.timestamp() * 1000))

    def said(self) -> Counter[tuple[str, str]]:
        seen = Account.of(self.vendor.journal.entries()).seen(self.arrived)
        return Counter((fact.type, fact.subject) for fact in seen.observable)

    def found(self) -> Counter[tuple[str, str]]:
        return Counter((event.type.rpartition(".")[2], event.subject) for event in self.hub.events)


STEPS = st.tuples(st.sampled_from(["ride", "work", "rename", "remove", "open"]), st.integers(0, 9))


def play(world: World, step: str, pick: int) -> None:
    vendor, number = world.vendor, str(101 + pick % 4)
    if step == "open" and number not in vendor.racks:
        vendor.open(number, f"Nouvelle {pick}", 20, 2 * pick)
    elif number in vendor.racks:
        rack = vendor.racks[number]
        # Further than a quarter and the bicycle that is ridden meanwhile.
        others = (0, rack.capacity // 2, rack.capacity)
        far = [bikes for bikes in others if 4 * (abs(bikes - rack.bikes) - 1) > rack.capacity]
        match step:
            case "ride":
                vendor.ride(number, far[pick % len(far)])
            case "work":
                vendor.work(number, rack.bikes, not rack.works)
            case "rename":
                vendor.rename(number, f"{rack.name}'")
            case "remove":
                vendor.remove(number)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=12), st.integers(0, 12))
def test_both_versions_tell_the_same_of_the_same_town(steps: list[tuple[str, int]], upgrade: int) -> None:
    """GBFS 2.2, 3.0, and an operator that changes from one to the other in the middle."""
    with tempfile.TemporaryDirectory() as folder:
        worlds = [World(Path(folder), "2.2"), World(Path(folder), "3.0"), World(Path(folder), "2.3")]
        for number, (step, pick) in enumerate([*steps, ("", 0)]):
            if number == upgrade:
                worlds[2].vendor.upgrade()
            two, three, changing = (
                [(event.type, event.subject, event.payload, event.time) for event in world.poll()] for world in worlds
            )
            assert two == three == changing
            assert two or number
            for world in worlds:
                play(world, step, pick)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_hub_knows_exactly_what_the_town_says_can_be_known(steps: list[tuple[str, int]]) -> None:
    """One event per change, whatever happens between two polls."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.poll()
        for step, pick in steps:
            play(world, step, pick)
            world.poll()
            assert world.found() == world.said()
        assert world.poll() == []


def test_day_of_the_town_comes_out_even_and_the_change_of_version_is_silent(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.poll()

    class Acts:
        def act(self, product: str, action: str, *args: Any) -> None:
            getattr(world.vendor, action)(*args)

    silent: list[str] = []
    for step in world.vendor.day(Acts()):  # type: ignore[arg-type]
        step.do(Acts())  # type: ignore[arg-type]
        if not world.poll():
            silent.append(step.time)
    assert silent == ["12:20"]
    assert world.found() == world.said()
