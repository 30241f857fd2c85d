"""One product's polls: from cursor to cursor, and nothing asked once the lease is given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from hub.intake.driver import Ports, Vendor, drive
from hub.model.connector import Connector
from hub.model.intake import Answer, Emit, Exchange, Line, Request
from hub.repeating import Halted


class Poller:
    """A turn for `Repeating`: one poll."""

    def __init__(
        self,
        connector: Connector,
        settings: Mapping[str, str],
        vendor: Vendor,
        ports: Ports,
        cursor: Mapping[str, Any],
        pause: float,
        polled: Callable[[str, int, int], None],
    ) -> None:
        """`pause` is the rest between two good polls in seconds; `polled` is told product, start (ms), records."""
        self._connector = connector
        self._settings = settings
        self._vendor = vendor
        self._ports = ports
        self._cursor = cursor
        self._pause = pause
        self._polled = polled

    def __call__(self, halt: threading.Event) -> float:
        """Poll once."""
        started = time.time_ns() // 1_000_000
        source = self._connector.poll(self._cursor, self._settings)  # type: ignore[misc] # only such are made pollers
        leased = _Leased(self, self._vendor, halt)
        written = drive(self._connector, source, leased, leased)
        self._polled(self._connector.product, started, written)
        return self._pause

    def emit(self, product: str, wish: Emit) -> None:
        """Pass on."""
        self._ports.emit(product, wish)

    def keep(self, data: bytes) -> str:
        """Pass on."""
        return self._ports.keep(data)

    def subjects(self, product: str) -> list[str]:
        """Pass on."""
        return self._ports.subjects(product)

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        """Pass on, and go on from there after a failure."""
        self._ports.checkpoint(product, cursor)
        self._cursor = cursor


class _Leased:
    """Asks for nothing more once the lease is given back: the next owner may have begun.

    What was answered before is still written: an answer behind one that was asked for later is recognised by
    its moment, and one that nobody writes is lost.  A cursor behind what was written is kept too, or a whole file
    would be read again; one that overtakes the next owner's makes it repeat itself, under the same ids.
    """

    def __init__(self, ports: Ports, vendor: Vendor, halt: threading.Event) -> None:
        self._ports = ports
        self._vendor = vendor
        self._halt = halt
        self.emit = ports.emit
        self.keep = ports.keep
        self.checkpoint = ports.checkpoint

    def ask(self, request: Request) -> Answer:
        self._check()
        return self._vendor.ask(request)

    def exchange(self, wish: Exchange) -> tuple[Line, ...]:
        self._check()
        return self._vendor.exchange(wish)

    def subjects(self, product: str) -> list[str]:
        self._check()
        return self._ports.subjects(product)

    def _check(self) -> None:
        if self._halt.is_set():
            raise Halted
