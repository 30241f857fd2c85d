"""The driver carries out wishes in order, and ends a poll for whatever time may heal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hub.intake import driver
from hub.intake.credentials import Basic, Bearer, ClientCredentials, SignedQuery
from hub.intake.driver import Vendor, drive
from hub.intake.poller import Poller
from hub.model.connector import Connector, Manifest, Stability
from hub.model.errors import Cause, Denied, Transient
from hub.model.intake import Checkpoint, Delete, Emit, Get, Intake, Post, Subjects
from hub.repeating import Halted

CONNECTOR = Connector(
    "test",
    "test",
    Manifest(summary="t", vendor="t", owner="t", stability=Stability.STABLE, revision=1, feeds={}),
    {},
)


class Ports:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def emit(self, product: str, wish: Emit) -> None:
        """Take a record."""
        self.log.append((product, wish.key, wish.value))

    def subjects(self, product: str) -> list[str]:
        """Know two subjects."""
        return ["1", "2"]

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        """Keep a cursor."""
        self.log.append(dict(cursor))


def vendor(answer: Callable[[httpx.Request], httpx.Response], **more: Any) -> Vendor:
    """Make a vendor of a function."""
    return Vendor("http://vendor/api/", "hub", 1e9, {}, transport=httpx.MockTransport(answer), **more)


def emit(key: str, value: bytes) -> Emit:
    """Wish for a record."""
    return Emit(feed="f", key=key, value=value, read_at=0, content_type="application/json")


def test_what_was_answered_is_written_though_the_lease_is_gone() -> None:
    """Nothing more is asked, but an answer in hand is not thrown away, nor read again."""
    halt = threading.Event()
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        halt.set()
        return httpx.Response(200, content=b"1")

    def poll(_cursor: Mapping[str, Any], _settings: Mapping[str, str]) -> Intake:
        found = yield Get("/one")
        yield emit("k", found.body)
        yield Checkpoint({"at": 1})
        yield Get("/two")
        yield Checkpoint({"at": 3})

    ports: Any = Ports()
    ports.keep = None
    connector: Any = SimpleNamespace(product="test", poll=poll)
    with pytest.raises(Halted):
        Poller(connector, {}, vendor(answer), ports, {}, 1.0, lambda *_: None)(halt)
    assert seen == ["/api/one"]
    assert ports.log == [("test", "k", b"1"), {"at": 1}]


def test_wishes_are_carried_out_in_order() -> None:
    """Requests, records and cursors happen in the order of the page."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, json={"n": 1}, headers={"X-Request-Id": "a1"})

    def source() -> Intake:
        found = yield Get("/list", params={"max": "2"})
        assert (found.id, found.json(), found.ok) == ("a1", {"n": 1}, True)
        for subject in (yield Subjects("test")):
            yield emit(subject, found.body)
        yield Post("/done", body={"a": 1})
        yield Delete("/list/1")
        yield Checkpoint({"at": 3})

    ports = Ports()
    assert drive(CONNECTOR, source(), vendor(answer), ports) == 2
    assert seen == ["GET /api/list", "POST /api/done", "DELETE /api/list/1"]
    assert ports.log == [("test", "1", b'{"n":1}'), ("test", "2", b'{"n":1}'), {"at": 3}]


@pytest.mark.parametrize(
    ("status", "headers", "retry_after"),
    [(503, {}, None), (429, {"Retry-After": "7"}, 7.0), (429, {"Retry-After": "soon"}, None), (401, {}, None)],
)
def test_temporary_answers_end_the_poll(status: int, headers: dict[str, str], retry_after: float | None) -> None:
    """The source never sees them, is closed, and the wait that the vendor asked for is passed on."""
    closed = []

    def source() -> Iterator[Any]:
        try:
            yield Get("/list")
        finally:
            closed.append(True)

    with pytest.raises(Transient) as caught:
        drive(CONNECTOR, source(), vendor(lambda _: httpx.Response(status, headers=headers)), Ports())  # type: ignore[arg-type]
    assert (retry_after, [True]) == (caught.value.retry_after, closed)


def test_refused_credentials_leave_the_others_their_turn() -> None:
    """The source hears of them where it asked, goes on, and decides what the poll was worth."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403 if request.url.path.endswith("/a") else 200)

    def source() -> Intake:
        with pytest.raises(Denied, match="403"):
            yield Get("/a")
        found = yield Get("/b")
        yield emit("k", found.body)
        raise Transient("a: refused")

    ports = Ports()
    with pytest.raises(Transient, match="a: refused"):
        drive(CONNECTOR, source(), vendor(answer), ports)
    assert ports.log == [("test", "k", b"")]


@pytest.mark.parametrize(("status", "kind"), [(400, Denied), (401, Denied), (403, Denied), (502, Transient)])
def test_a_refused_token_is_a_refusal_and_a_lost_one_is_not(tmp_path: Path, status: int, kind: type[Transient]) -> None:
    """Only what concerns the credentials is told as such; a gateway's error is about all of them."""
    (tmp_path / "secret").write_text("s", "utf-8")
    client = ClientCredentials("http://vendor/token", "hub", tmp_path / "secret")
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    with pytest.raises(Transient) as caught:
        Vendor("http://vendor/", "hub", 1e9, {"default": client}, transport=transport).ask(Get("/a"))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "make",
    [
        lambda path: ClientCredentials("http://vendor/token", "hub", path),
        lambda path: Basic("hub", path),
        Bearer,
        lambda path: SignedQuery("hub", path),
    ],
)
def test_a_secret_that_is_gone_is_named(tmp_path: Path, make: Callable[[Path], httpx.Auth]) -> None:
    """The file's name is the remedy."""
    auth = {"default": make(tmp_path / "gone")}
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with pytest.raises(Denied, match="gone"):
        Vendor("http://vendor/", "hub", 1e9, auth, transport=transport).ask(Get("/a"))


def test_a_final_refusal_reaches_the_source() -> None:
    """A 404 is news for the source to judge."""

    def source() -> Intake:
        found = yield Get("/one")
        assert found.status == 404

    assert drive(CONNECTOR, source(), vendor(lambda _: httpx.Response(404)), Ports()) == 0


def test_a_broken_connection_is_temporary() -> None:
    """What httpx raises is told by its kind alone."""

    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("peer closed: Jean Dupont")

    def source() -> Intake:
        yield Get("/list")

    with pytest.raises(Transient, match=r"^RemoteProtocolError$"):
        drive(CONNECTOR, source(), vendor(answer), Ports())


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (httpx.ConnectError("refused"), Cause.UNREACHABLE),
        (httpx.ReadTimeout("slow"), Cause.TIMEOUT),
        (429, Cause.BUSY),
        (503, Cause.FAILING),
        (403, Cause.CREDENTIALS),
    ],
)
def test_the_cause_is_named(error: httpx.HTTPError | int, cause: Cause) -> None:
    """Whoever is called at night need not read the text."""

    def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(error, int):
            return httpx.Response(error)
        raise error

    with pytest.raises(Transient) as caught:
        vendor(answer).ask(Get("/list"))
    assert caught.value.cause is cause


def test_a_token_does_not_let_an_endless_answer_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the token's own answer is read by whoever fetches it; any other is bounded."""
    monkeypatch.setattr(driver, "LARGEST_ANSWER", 100)
    (tmp_path / "secret").write_text("s", "utf-8")
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x" * 50

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 60})
        return httpx.Response(200, content=endless())

    client = ClientCredentials("http://vendor/token", "hub", tmp_path / "secret")
    asked = Vendor("http://vendor/", "hub", 1e9, {"default": client}, transport=httpx.MockTransport(answer))
    assert asked.ask(Get("/a")).status == driver.TOO_LARGE
    assert read < 10


def test_the_rate_limit_is_kept() -> None:
    """Two requests are at least the vendor's interval apart."""
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    polite = Vendor(
        "http://vendor",
        "hub",
        2.0,
        {},
        transport=httpx.MockTransport(lambda _: httpx.Response(200)),
        clock=lambda: now[0],
        sleep=sleep,
    )
    polite.ask(Get("/a"))
    polite.ask(Get("/b"))
    assert slept == [0.5]


def test_a_query_that_stands_in_the_path_is_asked_for() -> None:
    """A path comes from a city's settings or from the vendor's own listing, as it is written there."""
    asked = []
    polite = vendor(lambda request: asked.append(str(request.url)) or httpx.Response(200))
    polite.ask(Get("/points/json?types=PKG"))
    polite.ask(Get("https://other/feed?key=1"))
    assert asked == ["http://vendor/api/points/json?types=PKG", "https://other/feed?key=1"]


def test_a_name_may_be_repeated_and_an_address_of_its_own_gets_no_credentials_but_those_named() -> None:
    """A question to somebody else must not carry the vendor's secret."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    bearer = {"default": httpx.BasicAuth("hub", "secret")}
    asked = Vendor("http://vendor/api/", "hub", 1e9, bearer, transport=httpx.MockTransport(answer))
    asked.ask(Get("/one", params={"name[]": ("a", "b"), "year": "2026"}))
    asked.ask(Get("https://other/two", auth="other"))
    assert str(seen[0].url) == "http://vendor/api/one?name%5B%5D=a&name%5B%5D=b&year=2026"
    assert "authorization" in seen[0].headers
    assert str(seen[1].url) == "https://other/two"
    assert "authorization" not in seen[1].headers
