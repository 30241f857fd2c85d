"""One school day in Grenoble, played in about a minute.

The time of the day is the story's:
vendors stamp what they say with the town's clock, so that measured times are true.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from hub.testing.town.schedule import school_day
from hub.testing.town.step import Step
from hub.testing.town.world import World


class Day:
    """Plays the steps at their times, in a thread of its own, and tells how far it is."""

    def __init__(self, world: World, seconds: float, steps: Sequence[Step] | None = None) -> None:
        """`seconds` is how long the day takes on the wall clock."""
        self.world = world
        self.seconds = seconds
        self.steps = sorted(steps if steps is not None else school_day(world), key=lambda step: step.share)
        self._told: list[dict[str, Any]] = []
        self._failed: str | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._play, name="day", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.world.playing = True
        self.world.journal.write("note", what="day", number=self.world.days + 1)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the day is over; tell whether it is."""
        return self._done.wait(seconds)

    def progress(self, since: int = 0) -> dict[str, Any]:
        """Tell how far the day is, and the steps played after number `since`."""
        return {
            "state": "failed" if self._failed else "over" if self._done.is_set() else "playing",
            "failed": self._failed,
            "played": len(self._told),
            "steps": len(self.steps),
            "told": self._told[since:],
        }

    def _play(self) -> None:
        started = time.monotonic()
        world = self.world
        try:
            for step in self.steps:
                pause = started + step.share * self.seconds - time.monotonic()
                if world.stopping.wait(max(pause, 0)):
                    return
                first = len(world.journal.entries())
                step.do(world)
                self._told.append(
                    {
                        "time": step.time,
                        "text": step.text,
                        "first": first,
                        "last": len(world.journal.entries()),
                        "account": step.account.citizen if step.account is not None else None,
                    }
                )
            world.stopping.wait(max(started + self.seconds - time.monotonic(), 0))
            world.settle(30)
        except Exception as error:
            self._failed = f"{step.time} {step.text}: {type(error).__name__}: {error}"
        finally:
            world.days += 1
            world.playing = False
            self._done.set()
