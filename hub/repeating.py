"""A thread that does one thing again and again: rests after a good turn, waits longer after a bad one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

from hub.model.errors import Transient

LONGEST_WAIT = 60.0
"""Seconds between two tries at most; an outside that comes back is noticed within it."""


class Halted(Exception):
    """The work was taken away between two steps."""


class Turns(Protocol):
    """What a repeating thread tells about itself."""

    def away(self, name: str, error: Transient, seconds: float, failures: int) -> None:
        """Tell of a failed turn, and for how many seconds no turn has been good."""
        ...

    def back(self, name: str) -> None:
        """Tell of a good turn after failed ones."""
        ...

    def broken(self, name: str, error: BaseException) -> None:
        """Tell of a defect of the turn's own code."""
        ...


class Repeating(threading.Thread):
    """Repeats `turn` until halted; `turn` returns the seconds to rest and may raise `Transient`."""

    def __init__(self, name: str, turn: Callable[[threading.Event], float], turns: Turns) -> None:
        """`turn` is handed the event that is set when it should stop between two steps."""
        super().__init__(name=name, daemon=True)
        self._turn = turn
        self._turns = turns
        self._halt = threading.Event()

    def run(self) -> None:
        """Repeat until halted; a defect of one turn does not end the others."""
        failures, since = 0, time.monotonic()
        while not self._halt.is_set():
            if not failures:
                since = time.monotonic()
            try:
                rest = self._turn(self._halt)
                if failures:
                    self._turns.back(self.name)
                failures = 0
            except Halted:
                break
            except Transient as error:
                failures += 1
                rest = back_off(failures, error.retry_after)
                self._turns.away(self.name, error, max(time.monotonic() - since, 0.001), failures)
            except Exception as error:
                failures += 1
                rest = back_off(failures, None)
                self._turns.broken(self.name, error)
            self._halt.wait(rest)

    def halt(self, seconds: float) -> bool:
        """Stop between two steps; tell whether it stopped in time."""
        self._halt.set()
        self.join(seconds)
        return not self.is_alive()


def back_off(failures: int, retry_after: float | None, *, chance: Callable[[], float] = random.random) -> float:
    """Return seconds to wait: what the other side asked for, else doubling with jitter, up to `LONGEST_WAIT`."""
    if retry_after is not None:
        return min(retry_after, 3600.0) + chance() * 0.1
    return float(min(0.5 * 2 ** min(failures - 1, 10), LONGEST_WAIT)) * (0.5 + chance() / 2)
