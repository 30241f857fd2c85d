"""Carry out a sink's wishes for one message, until it says what became of it.

The driver knows HTTP and SMTP and nothing of any product.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from hub.delivery.mail import Server, send
from hub.model.errors import Denied, Transient
from hub.model.intake import Answer, Delete, Get, Patch, Post, Request
from hub.model.sink import Begin, Lost, Mail, Message, Outcome, Reply, Sign, Sink, Wish

METHODS: Mapping[type[Request], str] = {Get: "GET", Post: "POST", Patch: "PATCH", Delete: "DELETE"}
LARGEST_ANSWER = 1024 * 1024
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
"""Failures before anything of the request went out."""


class Provider:
    """What a sink talks to: an address, its credentials, its share of the rate."""

    def __init__(
        self,
        base_url: str,
        user_agent: str,
        rate_per_second: float | None,
        credentials: Mapping[str, httpx.Auth],
        *,
        secret_file: Path | None = None,
        server: Server | None = None,
        transport: httpx.BaseTransport | None = None,
        smtp: Callable[[Server, Message], Reply] = send,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`secret_file` signs calls that go out, `server` takes mail."""
        self._client = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(20, connect=5),
            headers={"User-Agent": user_agent},
            transport=transport,
            follow_redirects=False,
        )
        self._credentials = credentials
        self._pause = 1 / rate_per_second if rate_per_second is not None else 0.0
        self._next = 0.0
        self._secret_file = secret_file
        self._server = server
        self._smtp = smtp
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def pace(self) -> None:
        """Wait until the next message may go."""
        wait = self._next - self._clock()
        if 0 < wait <= self._pause:
            self._sleep(wait)
        self._next = self._clock() + self._pause

    def mail(self, message: Message) -> Reply:
        """Hand a message to the mail server."""
        if self._server is None:
            raise Transient("there is no mail server; set mail.host")
        return self._smtp(self._server, message)

    def ask(self, request: Request) -> Answer:
        """Send a request; raise `Lost` when nobody knows what came of it, `Denied` for refused credentials."""
        started = time.time_ns() // 1_000_000
        auth = self._credentials.get(request.auth)
        try:
            with self._client.stream(
                METHODS[type(request)],
                request.path.lstrip("/"),
                params=request.params,
                headers=request.headers,
                json=request.body,
                content=request.content,
                auth=auth,
            ) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise Lost("the answer is too large")
        except UNSENT as error:
            raise Transient(type(error).__name__) from None
        except httpx.HTTPError as error:
            raise Lost(type(error).__name__) from None
        if response.status_code in (401, 403):
            raise Denied(f"status {response.status_code}: check the credentials")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body), started)

    def sign(self, wish: Sign) -> dict[str, str]:
        """Return the headers of Standard Webhooks."""
        moment = str(int(self._clock()))
        content = b".".join((wish.id.encode(), moment.encode(), wish.body))
        digest = base64.b64encode(hmac.digest(self._secret(), content, "sha256")).decode()
        return {"webhook-id": wish.id, "webhook-timestamp": moment, "webhook-signature": f"v1,{digest}"}

    def _secret(self) -> bytes:
        try:
            text = self._secret_file.read_text("utf-8").strip() if self._secret_file is not None else ""
            secret = base64.b64decode(text.removeprefix("whsec_")) if text.startswith("whsec_") else text.encode()
        except (OSError, ValueError):
            secret = b""
        if not secret:
            raise Transient("no secret to sign with: check secret_file")
        return secret


def drive(
    sink: Sink, message: Message, settings: Mapping[str, str], provider: Provider, begin: Callable[[], None]
) -> Outcome:
    """Run one delivery to its end; `begin` returns once it is remembered that the provider may have the message."""
    provider.pace()
    delivery = sink.deliver(message, settings)
    try:
        wish = next(delivery)
        while True:
            try:
                answer = _carry_out(wish, provider, begin)
            except Transient as error:
                wish = delivery.throw(error)
                continue
            wish = delivery.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        delivery.close()


def _carry_out(wish: Wish, provider: Provider, begin: Callable[[], None]) -> Any:
    match wish:
        case Request():
            return provider.ask(wish)
        case Begin():
            return begin()
        case Sign():
            return provider.sign(wish)
        case Mail():
            return provider.mail(wish.message)
