"""A provider in a box: the base of every `connectors/sinks/*/simulator.py`.

It fails as real ones do, at its next messages, by `faults`:

    temporary   it says that it does nothing now
    permanent   it says that it will never take this message
    lost        it takes the message, and the connection ends before its answer
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import httpx

from hub.delivery.mail import Server
from hub.model.errors import Transient
from hub.model.sink import Message, OptOut, Receipt, Reply

WELL = "well"
"""Stands for a message at which nothing fails."""
FAULTS = ("temporary", "permanent", "lost")


class Simulator:
    """One provider: what it took, and what it will fail at."""

    settings: ClassVar[Mapping[str, str]] = {}
    """What a city writes under `sinks.<product>.settings`."""

    def __init__(self) -> None:
        """Start empty and well."""
        self.taken: list[str] = []
        """Our reference of every message that was taken, in order."""
        self.faults: list[str] = []

    def http(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, as the transport of a client."""
        fault = self.faults.pop(0) if self.faults and request.method != "GET" else None
        if fault == "temporary":
            return httpx.Response(503, headers={"Retry-After": "1"})
        if fault == "permanent":
            return self.refuse(request)
        answer = self.answer(request)
        if fault == "lost":
            raise httpx.ReadError("connection lost")
        return answer

    def smtp(self, _server: Server, message: Message) -> Reply:
        """Take a mail, as a mail server."""
        fault = self.faults.pop(0) if self.faults else None
        if fault == "temporary":
            return Reply(451, "4.3.0")
        if fault == "permanent":
            return Reply(550, "5.1.1")
        self.taken.append(message.id)
        if fault == "lost":
            raise Transient("SMTPServerDisconnected")
        return Reply(250)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Do what is asked, and answer."""
        raise NotImplementedError

    def refuse(self, request: httpx.Request) -> httpx.Response:
        """Answer that this will never be done."""
        return httpx.Response(400, json={"error": "BadRequest"})

    def receipts(self, reference: str) -> Iterator[tuple[bytes, Receipt | OptOut | None]]:
        """Yield calls that come later about a message, and answers to it, each with what it says."""
        yield from ()
