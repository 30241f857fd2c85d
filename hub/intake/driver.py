"""Carry out a source's wishes, one after another, until it is done or the outside is away.

The driver knows HTTP, lines over TCP, and nothing of any product.  Whatever is temporary ends the poll as `Transient`;
the caller waits and polls again, which is why a source is safe to abandon at every wish.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx

from hub.intake import lines
from hub.intake.credentials import Basic
from hub.intake.folder import Folder
from hub.model.connector import Connector
from hub.model.errors import Cause, Denied, Transient
from hub.model.intake import (
    Answer,
    Checkpoint,
    Delete,
    Emit,
    Exchange,
    Get,
    Intake,
    Keep,
    Line,
    Patch,
    Post,
    Request,
    Subjects,
    Wish,
)
from hub.pipeline import soap

METHODS: Mapping[type[Request], str] = {Get: "GET", Post: "POST", Patch: "PATCH", Delete: "DELETE"}
LARGEST_ANSWER = 16 * 1024 * 1024
TOO_LARGE = 413
"""Status by which a source hears of an answer that was not read to its end."""


class Ports(Protocol):
    """What the driver needs of the rest of the hub."""

    def emit(self, product: str, wish: Emit) -> None:
        """Write a raw record; return once the broker has acknowledged it, raise `Transient` else."""
        ...

    def keep(self, data: bytes) -> str:
        """Keep bytes beside Kafka; return their SHA-256 once they are safe, raise `Transient` else."""
        ...

    def subjects(self, product: str) -> list[str]:
        """Return the linked subject ids of a product, without prefix, sorted."""
        ...

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        """Keep the cursor; return once it is safe."""
        ...


class Asked(Protocol):
    """Whoever is asked."""

    def ask(self, request: Request) -> Answer:
        """Send a request; raise `Transient` for whatever time may heal, `Denied` for refused credentials."""
        ...

    def exchange(self, wish: Exchange) -> tuple[Line, ...]:
        """Hold a conversation; raise as `ask` does."""
        ...


class Vendor:
    """The outside system over HTTP or TCP: its address, its credentials, its rate limit."""

    def __init__(
        self,
        base_url: str,
        user_agent: str,
        rate_per_second: float,
        credentials: Mapping[str, httpx.Auth],
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`credentials` are by name; a request without a matching one goes out without."""
        self._base_url = base_url
        self._client = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(30, connect=5),
            headers={"User-Agent": user_agent},
            transport=transport,
            mounts={"file://": Folder()},
            follow_redirects=False,
        )
        self._credentials = credentials
        self._pause = 1 / rate_per_second
        self._next = 0.0
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def ask(self, request: Request) -> Answer:
        """Send a request; raise `Transient` for whatever time may heal, `Denied` for refused credentials."""
        self._take_turn()
        started = time.time_ns() // 1_000_000
        method = METHODS[type(request)]
        auth = self._credentials.get(request.auth)
        begun = False
        try:
            with self._client.stream(
                method,
                request.path.lstrip("/"),
                # Without any, the query of the path itself: httpx puts an empty one in its place.
                params=request.params or None,
                headers=request.headers,
                json=request.body,
                content=request.content,
                auth=auth,
            ) as response:
                begun, status = True, response.status_code
                if status == 429 or status >= 500:
                    cause = Cause.BUSY if status == 429 else Cause.FAILING
                    if "soapaction" in response.request.headers and soap.refuses(next(response.iter_bytes(), b"")):
                        # SOAP has no status of its own for it.
                        cause = Cause.CREDENTIALS
                    raise Transient(f"status {status}", cause=cause, retry_after=_retry_after(response))
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        # Asked again it would be as large: the source goes on without it.
                        status, body = TOO_LARGE, bytearray()
                        break
        except httpx.HTTPError as error:
            raise _away(error, begun) from None
        if status in (401, 403):
            raise Denied(f"status {status}: check the credentials")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status, headers, bytes(body), started)

    def exchange(self, wish: Exchange) -> tuple[Line, ...]:
        """Hold a conversation on a connection of its own; the rate limit counts connections."""
        self._take_turn()
        credentials = self._credentials.get(wish.auth)
        login = None
        if wish.login is not None and isinstance(credentials, Basic):
            login = wish.login.write(credentials.username, credentials.secret())
        return lines.converse(self._base_url, wish, login)

    def _take_turn(self) -> None:
        wait = self._next - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._next = self._clock() + self._pause


def drive(connector: Connector, source: Intake, vendor: Asked, ports: Ports) -> int:
    """Run one poll to its end; return how many records were written."""
    written = 0
    product = connector.product
    try:
        wish = next(source)
        while True:
            try:
                answer = _carry_out(wish, product, vendor, ports)
            except Denied as error:
                # Its other credentials may be good: the source says whether there are any.
                wish = source.throw(error)
                continue
            if isinstance(wish, Emit):
                written += 1
            wish = source.send(answer)
    except StopIteration:
        return written
    finally:
        source.close()


def _carry_out(wish: Wish, product: str, vendor: Asked, ports: Ports) -> Any:
    match wish:
        case Request():
            return vendor.ask(wish)
        case Exchange():
            return vendor.exchange(wish)
        case Emit():
            return ports.emit(product, wish)
        case Keep():
            return ports.keep(wish.data)
        case Subjects():
            return ports.subjects(wish.product)
        case Checkpoint():
            return ports.checkpoint(product, wish.cursor)


def _away(error: httpx.HTTPError, begun: bool) -> Transient:
    """Name what came in the place of an answer, by its kind: a text may quote what was sent."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return Transient(f"certificate not trusted: {below.verify_message}", cause=Cause.CERTIFICATE)
        below = below.__cause__ or below.__context__
    if isinstance(error, httpx.TimeoutException):
        return Transient(type(error).__name__, cause=Cause.TIMEOUT)
    return Transient(type(error).__name__, cause=Cause.TRUNCATED if begun else Cause.UNREACHABLE)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None
