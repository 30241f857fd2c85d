"""The town as those who play its day see it: its people, its vendors, its mail, its clock."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hub.testing.simulator import Simulator
from hub.testing.town.clock import TownClock
from hub.testing.town.journal import Journal
from hub.testing.town.mailbox import Mailbox
from hub.testing.town.people import Town


class World:
    """Acts on vendors, and saves each vendor's state after every action."""

    def __init__(
        self,
        *,
        town: Town,
        simulators: Mapping[str, Simulator],
        mailbox: Mailbox,
        journal: Journal,
        clock: TownClock,
        states: Path,
        days: int,
    ) -> None:
        self.town = town
        self.simulators = simulators
        self.mailbox = mailbox
        self.journal = journal
        self.clock = clock
        self.days = days
        """How many days this town has seen before."""
        self.playing = False
        self.remembered: dict[str, str] = {}
        """What later steps of the day need of earlier ones, a case's number for instance."""
        self.stopping = threading.Event()
        self._states = states
        self._quiet = threading.Event()
        self._quiet_thread: threading.Thread | None = None
        self.chance = random.Random(f"{town.seed}/{days}")

    def wake(self) -> None:
        """Restore vendors that were saved, seed the others."""
        self._states.mkdir(parents=True, exist_ok=True)
        for product, simulator in self.simulators.items():
            simulator.keep = partial(self._save, product)
            saved = self._states / product
            if saved.exists():
                simulator.restore(saved.read_bytes())
            else:
                # A seeding that was killed half-way said things that nobody remembers.
                self.journal.write("restored", product=product, upto=0)
                simulator.seed()
            self._save(product)

    def act(self, product: str, action: str, *args: Any, **options: Any) -> Any:
        """Let something happen at a vendor; its new state is safe before anybody is answered."""
        simulator = self.simulators[product]
        with simulator.lock:
            result = getattr(simulator, action)(*args, **options)
            simulator.keep()
        return result

    def fail(self, product: str, path: str, kind: str, times: int = 1, **options: Any) -> None:
        """Let the next requests to a vendor fail; `Faults.add` says how."""
        self.simulators[product].faults.add(path, kind, times, **options)

    def _save(self, product: str) -> None:
        simulator = self.simulators[product]
        with simulator.lock:
            half = self._states / f"{product}.half"
            half.write_bytes(simulator.save())
            half.replace(self._states / product)

    def linked(self) -> dict[str, set[str]]:
        """Tell which citizens asked to be linked to each subject, and did not take it back."""
        found: dict[str, set[str]] = {}
        for entry in self.journal.entries("said"):
            citizen = entry["subject"].partition(":")[2]
            if entry["type"] == "LinkRequested":
                found.setdefault(entry["entity"], set()).add(citizen)
            elif entry["type"] == "UnlinkRequested":
                found.get(entry["entity"], set()).discard(citizen)
        return {subject: citizens for subject, citizens in found.items() if citizens}

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until every callback of every vendor has been taken."""
        return all(simulator.settle(seconds) for simulator in self.simulators.values())

    def quiet(self, tick: Callable[[World], None] | None, every: float = 5.0) -> None:
        """Let the town go on quietly, one small thing now and then; None stops it."""
        if tick is None:
            self._quiet.set()
            return
        if self._quiet_thread is not None and self._quiet_thread.is_alive():
            return
        self._quiet.clear()

        def live() -> None:
            while not self._quiet.wait(every) and not self.stopping.is_set():
                tick(self)

        self._quiet_thread = threading.Thread(target=live, name="quiet-town", daemon=True)
        self._quiet_thread.start()

    def stop(self) -> None:
        """End whatever is being played."""
        self.stopping.set()
        self._quiet.set()
