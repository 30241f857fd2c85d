"""The town in a hurry: far more than a day brings, through the same vendors, told in the same journal.

Most of it is the canteen's: whoever books a week and gives it up again makes a long row of events about
one child, in which every loss, repeat and disorder shows.  The other vendors do what they do on any day,
more often.  What nobody has asked about since it last changed is left alone: nobody would see it change.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hub.testing.town.clock import school_days
from hub.testing.town.people import Person
from hub.testing.town.world import World

TICK_SECONDS = 0.5
PLACES = 8
"""Places that a visit books for a child."""
HEARD = 0.1
"""Share of what is given up that calls the hub; polls tell the rest."""


class Rush:
    """Lets a number of things happen per second, in a thread of its own."""

    def __init__(self, world: World) -> None:
        self.done = 0
        """How many things happened."""
        self._world = world
        self._rate = 0.0
        self._thread: threading.Thread | None = None
        self._chance = random.Random(f"{world.town.seed}/rush")
        self._booked: dict[str, list[int]] = {}
        self._lent: dict[str, list[str]] = {}
        self._cases: list[tuple[str, list[str]]] = []
        self._guests: list[tuple[Person, str]] = []
        self._visited: dict[str, float] = {}
        self._turn = 0

    def go(self, rate: float) -> None:
        """Set how many things happen in a second; 0 ends it, and nothing happens once this returns."""
        self._rate = rate
        if rate and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rush", daemon=True)
            self._thread.start()
        elif not rate and self._thread is not None:
            self._thread.join(30)
            self._thread = None

    def _run(self) -> None:
        owed = 0.0
        children = sorted(subject for subject in self._world.linked() if subject.startswith("chrono:"))
        readers = [person for person in self._world.town.readers if person.links]
        last = time.monotonic()
        while self._rate and not self._world.stopping.wait(TICK_SECONDS):
            now = time.monotonic()
            # What could not happen, because nobody looked, is not made up for in one go.
            owed = min(owed + self._rate * (now - last), self._rate * 2)
            last = now
            before = self.done
            self._canteen(children, owed * 0.88)
            self._library(readers, owed * 0.08)
            if self._turn % 3 == 0:
                self._transport()
            if self._turn % 4 == 0:
                self._registry(readers)
            if self._turn % 5 == 0:
                self._portal(readers, children)
            self._turn += 1
            owed -= self.done - before

    def _canteen(self, children: list[str], count: float) -> None:
        vendor: Any = self._world.simulators["chrono"]
        until = self.done + count
        days = school_days(self._world.clock.today + timedelta(days=7), 4)
        with vendor.lock:
            for child in self._seen(vendor, children):
                name = child.partition(":")[2]
                for number in self._booked.pop(name, []):
                    heard = self._chance.random() < HEARD
                    vendor.cancel(number, callback=heard, twice=heard and self._chance.random() < HEARD)
                self._booked[name] = [
                    vendor.book(name, days[index % 4], ("LUNCH", "EVENING_CARE")[index // 4]) for index in range(PLACES)
                ]
                self.done += 2 * PLACES
                if self.done >= until:
                    break
            vendor.forget()
            vendor.keep()

    def _library(self, readers: list[Person], count: float) -> None:
        vendor: Any = self._world.simulators["ils_di"]
        until = self.done + count
        cards = {f"ils_di:{reader.borrowernumber}": reader for reader in readers}
        with vendor.lock:
            for card in self._seen(vendor, list(cards)):
                reader = cards[card]
                for item in self._lent.pop(reader.citizen, []):
                    vendor.give_back(reader, item)
                self._lent[reader.citizen] = [vendor.lend(reader) for _ in range(2)]
                self.done += 4
                if self._turn % 10 == 0 and len(vendor.reserved(reader)) < 3:
                    vendor.hold_ready(reader, vendor.place_hold(reader))
                    self.done += 2
                if self.done >= until:
                    break
            vendor.keep()

    def _seen(self, vendor: Any, keys: list[str]) -> Iterator[str]:
        """Yield the keys that somebody has asked about since they were yielded, the longest ago first."""
        for key in sorted(keys, key=lambda key: self._visited.get(key, 0.0)):
            if vendor.answered.get(key, 0.0) > self._visited.get(key, 0.0):
                self._visited[key] = time.monotonic()
                yield key

    def _transport(self) -> None:
        vendor: Any = self._world.simulators["metromobilite"]
        with vendor.lock:
            current = vendor.current()
            if len(current) < 20:
                vendor.publish(lines=(f"SEM:C{self._chance.randint(1, 6)}",))
            elif vendor.ended < 2:
                vendor.end(current[self._chance.randrange(5, len(current))])
            vendor.update(self._chance.choice(vendor.current()))
            vendor.keep()
        self.done += 2

    def _registry(self, readers: list[Person]) -> None:
        vendor: Any = self._world.simulators["hubee"]
        with vendor.lock:
            person = self._chance.choice(readers)
            self._cases.append((vendor.demand(person), ["IN_PROGRESS", "DONE"]))
            for case, steps in self._cases[:-3]:
                vendor.set_status(case, steps.pop(0))
                self.done += 1
            self._cases = [(case, steps) for case, steps in self._cases if steps]
            vendor.keep()
        self.done += 1

    def _portal(self, readers: list[Person], children: list[str]) -> None:
        """Let somebody change a wish, and a grandparent come and go: links that move while events flow."""
        vendor: Any = self._world.simulators["publik"]
        with vendor.lock:
            person = self._chance.choice(readers)
            topics = self._chance.sample(("library", "requests", "disruptions"), 2)
            vendor.preferences(person, person.email, topics, person.lines)
            if len(self._guests) > 5:
                guest, subject = self._guests.pop(0)
                vendor.unlink(guest, subject)
            else:
                guest, subject = self._chance.choice(readers), self._chance.choice(children)
                # Whoever had this link before keeps it.
                if guest.citizen not in self._world.linked()[subject]:
                    vendor.link(guest, subject, "parent")
                    self._guests.append((guest, subject))
            vendor.keep()
        self.done += 2
