"""A conversation over TCP: what was said whole is handed over, and nothing waits without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from hub.intake import lines
from hub.intake.credentials import Basic, Bearer
from hub.intake.driver import Vendor
from hub.model.errors import Cause, Denied, Transient
from hub.model.intake import Exchange, Line, Login
from hub.testing.lines import LineServer, Talk

NO_HTTP = httpx.MockTransport(lambda _: httpx.Response(500))
LOGIN = Login(lambda name, secret: f"in {name} {secret}\r".encode(), b"ok", b"no")


@contextmanager
def server(folder: Path, speak: Callable[[Talk, bytes], bytes]) -> Iterator[str]:
    with closing(LineServer(speak, folder / "port")) as listening:
        yield f"tcp://127.0.0.1:{listening.port}/"


def ask(url: str, *said: bytes, seconds: float = 5.0) -> list[bytes]:
    return [line.text for line in lines.converse(url, Exchange(said), None, seconds=seconds)]


def test_each_line_is_sent_once_the_one_before_is_answered(tmp_path: Path) -> None:
    """On one connection, in order, and each answer with the moment of its question."""
    heard: list[tuple[str, bytes]] = []

    def speak(talk: Talk, line: bytes) -> bytes:
        heard.append((talk.id, line))
        return line.upper() + b"\r"

    with server(tmp_path, speak) as url:
        one, two = lines.converse(url, Exchange((b"a\r", b"b\r")), None)
        assert ask(url, b"c\r") == [b"C\r"]
    assert (one.text, two.text) == (b"A\r", b"B\r")
    assert one.started_at <= two.started_at
    assert [line for _, line in heard] == [b"a", b"b", b"c"]
    assert len({talk for talk, _ in heard}) == 2


@pytest.mark.parametrize("half", [b"", b"hal"])
def test_what_was_said_whole_before_it_hung_up_is_kept(tmp_path: Path, half: bytes) -> None:
    """Half a line says nothing."""
    with server(tmp_path, lambda _, line: b"yes\r" if line == b"a" else half) as url:
        assert ask(url, b"a\r", b"b\r", b"c\r") == [b"yes\r"]


def test_a_line_without_end_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever the other side sends."""
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    with server(tmp_path, lambda *_: b"x" * 200_000) as url:
        assert ask(url, b"a\r") == []


def test_silence_and_a_byte_now_and_then_are_the_same(tmp_path: Path) -> None:
    """The bound is on the whole answer, not on the pause between two bytes."""
    done = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                while not done.wait(0.02):
                    try:
                        connection.sendall(b".")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(Transient, match="no answer in time"):
            ask(f"tcp://127.0.0.1:{listening.getsockname()[1]}", b"a\r", seconds=0.1)
        done.set()
        dripping.join()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "tcp://127.0.0.1/", "tcp://127.0.0.1:99999/", "tcp:///", ""])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """With its form, which is the remedy."""
    with pytest.raises(Transient, match=r"tcp://<host>:<port>"):
        ask(url, b"a\r")


def test_nobody_there_is_temporary() -> None:
    """The kind of the failure is told, and nothing else."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(Transient, match="^ConnectionRefusedError$"):
            ask(f"tcp://127.0.0.1:{nobody.getsockname()[1]}", b"a\r")


def test_the_login_opens_the_conversation_and_a_refusal_is_about_the_credentials(tmp_path: Path) -> None:
    """The secret is read at use; without credentials nobody logs in."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", "utf-8")

    def speak(_: Talk, line: bytes) -> bytes:
        return b"ok\r" if line == b"in hub s3cret" else b"no\r" if line.startswith(b"in") else line + b"\r"

    wish = Exchange((b"a\r",), LOGIN)
    with server(tmp_path, speak) as url:

        def said(**credentials: Basic | Bearer) -> list[bytes]:
            with closing(Vendor(url, "hub", 1e9, credentials, transport=NO_HTTP)) as vendor:
                return [line.text for line in vendor.exchange(wish)]

        assert said(default=Basic("hub", secret)) == [b"a\r"]
        assert said() == [b"a\r"]
        secret.write_text("other", "utf-8")
        with pytest.raises(Denied, match="login refused: check the credentials"):
            said(default=Basic("hub", secret))
        secret.unlink()
        with pytest.raises(Denied, match="secret"):
            said(default=Basic("hub", secret))


def test_what_does_not_speak_the_protocol_refuses_nobody(tmp_path: Path) -> None:
    """A web server on that port says nothing about the credentials."""
    (tmp_path / "secret").write_text("s3cret", "utf-8")
    with server(tmp_path, lambda *_: b"HTTP/1.1 400 Bad Request\r") as url:
        credentials = {"default": Basic("hub", tmp_path / "secret")}
        vendor = Vendor(url, "hub", 1e9, credentials, transport=NO_HTTP)
        with closing(vendor), pytest.raises(Transient, match="no answer to a login") as caught:
            vendor.exchange(Exchange((b"a\r",), LOGIN))
    assert caught.value.cause is Cause.UNUSABLE


def test_connections_keep_the_rate_limit(tmp_path: Path) -> None:
    """As requests do."""
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with server(tmp_path, lambda _, line: line + b"\r") as url:
        vendor = Vendor(url, "hub", 2.0, {}, transport=NO_HTTP, clock=lambda: now[0], sleep=sleep)
        with closing(vendor):
            assert [type(line) for _ in range(2) for line in vendor.exchange(Exchange((b"a\r",)))] == [Line, Line]
    assert slept == [0.5]


def test_a_server_is_found_again_where_it_was(tmp_path: Path) -> None:
    """The city was told an address once."""
    with server(tmp_path, lambda _, line: line + b"\r") as first:
        assert ask(first, b"a\r") == [b"a\r"]
    with server(tmp_path, lambda _, line: line + b"\r") as second:
        assert second == first
        assert ask(second, b"a\r") == [b"a\r"]
