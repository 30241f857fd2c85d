"""A conversation in lines over TCP, for what is not HTTP: one connection, a line asked, a line answered."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from hub.model.errors import Cause, Denied, Transient
from hub.model.intake import Exchange, Line

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
LONGEST_LINE = 256 * 1024
"""Bytes of one answer that are read at most."""


def converse(
    base_url: str, wish: Exchange, login: bytes | None, *, seconds: float = ANSWER_SECONDS
) -> tuple[Line, ...]:
    """Connect, log in where there is a login, and exchange the lines; `seconds` bound each answer as a whole."""
    with _connect(base_url) as connection:
        speaker = _Speaker(connection, wish.end, seconds)
        if login is not None and wish.login is not None:
            answer = speaker.ask(login)
            if answer is None:
                raise Transient("hung up at the login", cause=Cause.TRUNCATED)
            said_first = answer.text.lstrip(b"\r\n")
            if said_first.startswith(wish.login.refused):
                raise Denied("login refused: check the credentials")
            if not said_first.startswith(wish.login.accepted):
                raise Transient("no answer to a login")
        said: list[Line] = []
        for line in wish.lines:
            answer = speaker.ask(line)
            if answer is None:
                break
            said.append(answer)
        return tuple(said)


def _connect(base_url: str) -> socket.socket:
    address = urlsplit(base_url)
    try:
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if address.scheme != "tcp" or not host or not port:
        raise Transient("base_url is not tcp://<host>:<port>")
    try:
        return socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        cause = Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.UNREACHABLE
        raise Transient(type(error).__name__, cause=cause) from None


class _Speaker:
    """One side of a connection, with what was read beyond the last line."""

    def __init__(self, connection: socket.socket, end: bytes, seconds: float) -> None:
        self._connection = connection
        self._end = end
        self._seconds = seconds
        self._read = b""

    def ask(self, line: bytes) -> Line | None:
        """Send a line and return its answer; None where the other side hung up or does not come to an end."""
        started = time.time_ns() // 1_000_000
        until = time.monotonic() + self._seconds
        try:
            self._connection.settimeout(self._seconds)
            self._connection.sendall(line)
            while self._end not in self._read:
                if len(self._read) > LONGEST_LINE:
                    return None
                # A line that comes a byte at a time is as silent as one that does not come.
                self._connection.settimeout(max(until - time.monotonic(), 0.001))
                more = self._connection.recv(65536)
                if not more:
                    return None
                self._read += more
        except TimeoutError:
            raise Transient("no answer in time", cause=Cause.TIMEOUT) from None
        except OSError:
            return None
        text, end, self._read = self._read.partition(self._end)
        return Line(text + end, started)
