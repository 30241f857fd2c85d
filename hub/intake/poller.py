"""One thread per product: poll, rest, and wait longer while the vendor is away."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hub.intake.driver import Ports, Vendor, drive
from hub.model.connector import Connector
from hub.model.errors import Transient

LONGEST_WAIT = 60.0
"""Seconds between two tries at most; a vendor that comes back is noticed within it."""


class Polls(Protocol):
    """What a poller tells about itself."""

    def polled(self, product: str, at: int, written: int) -> None:
        """Tell of a good poll that was started at `at`."""
        ...

    def away(self, product: str, reason: str, seconds: float, failures: int) -> None:
        """Tell of a failed poll and of the wait before the next."""
        ...

    def broken(self, product: str, error: BaseException) -> None:
        """Tell of a defect of the source's own code."""
        ...


class Poller(threading.Thread):
    """Polls one product while the lease is held."""

    def __init__(
        self,
        connector: Connector,
        settings: Mapping[str, str],
        vendor: Vendor,
        ports: Ports,
        cursor: Mapping[str, Any],
        pause: float,
        polls: Polls,
    ) -> None:
        """`pause` is the rest between two good polls in seconds."""
        super().__init__(name=f"poll-{connector.product}", daemon=True)
        self._connector = connector
        self._settings = settings
        self._vendor = vendor
        self._ports = _Remembering(ports, cursor)
        self._pause = pause
        self._polls = polls
        self._halt = threading.Event()

    def run(self) -> None:
        """Poll until halted."""
        assert self._connector.poll is not None
        failures = 0
        product = self._connector.product
        while not self._halt.is_set():
            started = time.time_ns() // 1_000_000
            try:
                source = self._connector.poll(self._ports.cursor, self._settings)
                written = drive(self._connector, source, self._vendor, self._halting())
            except Halted:
                break
            except Transient as error:
                failures += 1
                seconds = back_off(failures, error.retry_after)
                self._polls.away(product, error.reason, seconds, failures)
                self._halt.wait(seconds)
            except Exception as error:
                failures += 1
                self._polls.broken(product, error)
                self._halt.wait(back_off(failures, None))
            else:
                failures = 0
                self._polls.polled(product, started, written)
                self._halt.wait(self._pause)
        self._vendor.close()

    def halt(self, seconds: float) -> bool:
        """Stop between two wishes; tell whether it stopped in time."""
        self._halt.set()
        self.join(seconds)
        return not self.is_alive()

    def _halting(self) -> Ports:
        return _Halting(self._ports, self._halt)


class Halted(Exception):
    """The lease was given back between two wishes."""


class _Halting:
    """Refuses to write once the lease is given back: the next owner may have begun."""

    def __init__(self, ports: Ports, halt: threading.Event) -> None:
        self._ports = ports
        self._halt = halt

    def emit(self, product: str, wish: Any) -> None:
        self._check()
        self._ports.emit(product, wish)

    def subjects(self, product: str) -> list[str]:
        self._check()
        return self._ports.subjects(product)

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        self._check()
        self._ports.checkpoint(product, cursor)

    def _check(self) -> None:
        if self._halt.is_set():
            raise Halted


class _Remembering:
    """Knows the last cursor that is safe, so that a poll after a failure goes on from there."""

    def __init__(self, ports: Ports, cursor: Mapping[str, Any]) -> None:
        self.cursor = cursor
        self._ports = ports
        self.emit = ports.emit
        self.subjects = ports.subjects

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        self._ports.checkpoint(product, cursor)
        self.cursor = cursor


def back_off(
    failures: int, retry_after: float | None, *, chance: Callable[[], float] = random.random
) -> float:
    """Return seconds to wait: what the vendor asked for, else doubling with jitter, up to `LONGEST_WAIT`."""
    if retry_after is not None:
        return min(retry_after, 3600.0) + chance() * 0.1
    return min(0.5 * 2 ** min(failures - 1, 10), LONGEST_WAIT) * (0.5 + chance() / 2)
