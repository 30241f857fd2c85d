"""One school day in Grenoble: what happens when, as a list of steps, played in about a minute.

A step is a time of the day, a sentence and an action on a vendor.  The time of the day is the story's:
vendors stamp what they say with the town's clock, so that measured times are true.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hub.testing.town.schedule import quiet_tick, school_day
from hub.testing.town.world import World

FIRST, LAST = 7 * 60 + 30, 18 * 60 + 30
"""Minutes of the day between which the story plays."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at a time of the day."""

    time: str
    text: str
    do: Callable[[World], Any]

    @property
    def share(self) -> float:
        """How much of the day has passed, 0 to 1."""
        hours, minutes = self.time.split(":")
        return min(max((int(hours) * 60 + int(minutes) - FIRST) / (LAST - FIRST), 0.0), 1.0)


class Day:
    """Plays the steps at their times, in a thread of its own, and tells how far it is."""

    def __init__(self, world: World, seconds: float, steps: Sequence[Step] | None = None) -> None:
        """`seconds` is how long the day takes on the wall clock."""
        self.world = world
        self.seconds = seconds
        chosen = steps if steps is not None else [Step(*step) for step in _schedule(world)]
        self.steps = sorted(chosen, key=lambda step: step.share)
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


def _schedule(world: World) -> Iterator[tuple[str, str, Callable[[World], Any]]]:
    return school_day(world)


__all__ = ["Day", "Step", "World", "quiet_tick"]
