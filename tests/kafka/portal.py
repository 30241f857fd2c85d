"""A portal that says one thing after the other, and what came of it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any
from uuid import uuid4

from city import Hub, link

from hub import catalogue
from hub.kafka.reading import reader, whole
from hub.kafka.wire import event_topic, header
from hub.model.errors import Transient

CITIZENS = 12


class Portal:
    """Says one thing after the other for each citizen; every ninth is garbage."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.citizens = [str(uuid4()) for _ in range(CITIZENS)]
        self.said: dict[str, list[str]] = defaultdict(list)
        self.count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            citizen = self.citizens[self.count % CITIZENS]
            body = link(citizen, self.count)
            if self.count % 97 == 0 and self.count > 0:
                self._send(citizen, b"{")
            else:
                self._send(citizen, body)
                self.said[citizen].append(f"chrono:E{self.count}")
            self.count += 1

    def _send(self, citizen: str, body: Any) -> None:
        while not self._stop.is_set():
            try:
                self.hub.send(citizen, body)
            except Transient:
                # As a vendor does whose call was not taken: the same again.
                self._stop.wait(0.5)
            else:
                return

    def stop(self) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join()


def told(hub: Hub) -> dict[str, list[str]]:
    """Read what each citizen's events say, each event the first time."""
    found: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    with reader(hub.options) as consumer:
        for record in whole(consumer, event_topic("citizen_portal")):
            if header(record, "ce_id") not in seen:
                seen.add(header(record, "ce_id"))
                payload = catalogue.schemas().decode(record.value or b"")
                found[payload.citizen].append(payload.subject)
    return found


def settle(hub: Hub, portal: Portal, seconds: float = 90) -> None:
    """Drop the garbage as it turns up, until everything that was said came out, in order."""
    limit = time.monotonic() + seconds
    while (found := told(hub)) != portal.said:
        lengths = {citizen: (len(portal.said[citizen]), len(found[citizen])) for citizen in portal.citizens}
        assert time.monotonic() < limit, lengths
        if hub.json("list", "publik"):
            hub.json("drop", "publik", "--code", "undecodable", "--why", "test", "--yes")
        time.sleep(0.5)
    assert hub.json("list", "publik") == []
