"""Show that a simulator fails as told, journals what it says, and delivers callbacks."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.host import Server
from hub.testing.town.journal import Account, Journal
from hub.testing.town.people import Town

pytestmark = pytest.mark.slow

AGENT = {"User-Agent": "municipal-hub/1 (slot-0-abc)"}


class Echo(simulator.Simulator):
    product = "echo"

    def routes(self) -> list[BaseRoute]:
        return [Route("/things/{key}", self.thing)]

    def thing(self, request: Request) -> Response:
        with self.lock:
            return self.answer(request, b'{"long": "enough"}' * 20, "application/json", feed="thing", key="k")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    return {"hooks_url": "http://127.0.0.1:1/hooks/echo", "hook_secret_file": str(secret)}


@pytest.fixture
def echo(journal: Journal, settings: dict[str, str]) -> Iterator[Echo]:
    vendor = Echo(Town.build(1, 10), journal, lambda: datetime.now(UTC), settings)
    yield vendor
    vendor.close()


@pytest.fixture
def client(echo: Echo) -> Iterator[httpx.Client]:
    with Server(echo.app) as server, httpx.Client(base_url=server.url, headers=AGENT) as client:
        yield client


def test_answer_is_journalled_with_the_asking_instance(client: httpx.Client, journal: Journal) -> None:
    answer = client.get("/things/1")
    (entry,) = journal.entries("served")
    assert entry["answer"] == answer.headers["x-request-id"]
    assert (entry["product"], entry["feed"], entry["key"], entry["instance"]) == ("echo", "thing", "k", "slot-0-abc")


def test_refusals_come_before_the_vendor_looks(client: httpx.Client, echo: Echo, journal: Journal) -> None:
    echo.faults.add("/things", "503")
    echo.faults.add("/things", "429", retry_after=2)
    assert client.get("/things/1").status_code == 503
    refused = client.get("/things/1")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert not journal.entries("served")
    assert [entry["fault"] for entry in journal.entries("fault")] == ["503", "429"]
    assert client.get("/things/1").status_code == 200


def test_error_page_with_status_200_damages_the_answer(client: httpx.Client, echo: Echo, journal: Journal) -> None:
    echo.faults.add("/things", "html200")
    answer = client.get("/things/1")
    assert answer.status_code == 200
    assert answer.text.startswith("<!DOCTYPE html>")
    assert Account.of(journal.entries()).damaged == {answer.headers["x-request-id"]: "html200"}


def test_truncated_answer_breaks_the_connection(client: httpx.Client, echo: Echo, journal: Journal) -> None:
    echo.faults.add("/things", "truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/things/1")
    assert list(Account.of(journal.entries()).damaged.values()) == ["truncate"]


def test_slow_answer_is_as_old_as_the_question(client: httpx.Client, echo: Echo, journal: Journal) -> None:
    echo.faults.add("/things", "slow", seconds=0.2)
    answer: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answer.append(client.get("/things/1")))
    asking.start()
    while not journal.entries("served"):
        pass
    journal.write("note", what="meanwhile")
    asking.join()
    assert answer[0].elapsed.total_seconds() >= 0.2
    kinds = [entry["kind"] for entry in journal.entries()]
    assert kinds.index("served") < kinds.index("note")


def test_fault_strikes_only_its_path(client: httpx.Client, echo: Echo) -> None:
    echo.faults.add("/other", "503")
    assert client.get("/things/1").status_code == 200
    assert echo.faults.pending == 1


def test_unknown_fault_is_refused(echo: Echo) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        echo.faults.add("/", "earthquake")


class Hub(BaseHTTPRequestHandler):
    statuses: ClassVar[list[int]] = []
    got: ClassVar[list[tuple[str, bytes, dict[str, str]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        Hub.got.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
        self.send_response(Hub.statuses.pop(0) if Hub.statuses else 202)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub(settings: dict[str, str]) -> Iterator[type[Hub]]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    settings["hooks_url"] = f"http://127.0.0.1:{server.server_port}/hooks/echo"
    Hub.statuses, Hub.got = [], []
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_callbacks_are_signed_ordered_and_repeated(hub: type[Hub], echo: Echo, journal: Journal) -> None:
    hub.statuses = [503, 202]
    first = echo.call("callback", "k", b"one", facts=["f"])
    second = echo.call("callback", "k", b"two", twice=True)
    assert echo.settle()
    assert [(path, body) for path, body, _ in hub.got] == [
        ("/hooks/echo/callback", b"one"),
        ("/hooks/echo/callback", b"one"),
        ("/hooks/echo/callback", b"two"),
        ("/hooks/echo/callback", b"two"),
    ]
    _, body, headers = hub.got[0]
    assert headers["x-hub-signature"] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert [headers["x-request-id"] for _, _, headers in hub.got] == [first, first, second, second]
    attempts = Account.of(journal.entries()).attempts
    assert [entry["status"] for entry in attempts[first]] == [503, 202]


def test_lost_callback_is_never_sent(hub: type[Hub], echo: Echo, journal: Journal) -> None:
    echo.call("callback", "k", b"one", lost=True)
    assert echo.settle()
    assert not hub.got
    assert not journal.entries("served")


def test_callbacks_that_a_kill_left_behind_are_sent_after_the_restart(
    hub: type[Hub], echo: Echo, journal: Journal, settings: dict[str, str]
) -> None:
    address = settings["hooks_url"]
    settings["hooks_url"] = "http://127.0.0.1:1"
    answer = echo.call("callback", "k", b"one")
    saved = echo.save()
    echo.close()
    settings["hooks_url"] = address
    again = Echo(echo.town, journal, echo.clock, settings)
    again.restore(saved)
    assert again.settle()
    assert [headers["x-request-id"] for _, _, headers in hub.got] == [answer]
    third = Echo(echo.town, journal, echo.clock, settings)
    third.restore(saved)
    assert not third.undelivered
    again.close()
