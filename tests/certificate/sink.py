"""A sink that is away for a long time: what comes in waits in Kafka, and nobody's memory grows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from certificate.city import City
from hub.kafka.wire import raw_topic
from hub.model.record import Header

CITIZENS = 1000
WARM_SECONDS = 45
QUIET_SECONDS = 20
"""Without a new event: longer than any vendor is left alone."""


class _Flood:
    """The portal's wishes, so many in a second, straight into the raw topic."""

    def __init__(self, bootstrap: str, rate: float) -> None:
        self.sent = 0
        self._rate = rate
        self._producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", linger_ms=20)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        citizens = [str(uuid4()) for _ in range(CITIZENS)]
        begun = time.monotonic()
        while not self._stop.wait(0.02):
            while self.sent < (time.monotonic() - begun) * self._rate:
                self._say(citizens[self.sent % CITIZENS])
                self.sent += 1
        self._producer.flush()
        self._producer.close()

    def _say(self, citizen: str) -> None:
        wishes = {"email": None, "topics": ["library"], "lines": [], "language": "fr"}
        body = {
            "id": str(uuid4()),
            "type": "preferences_changed",
            "at": "2026-03-10T08:00:00+01:00",
            "citizen": citizen,
            "preferences": wishes,
        }
        self._producer.send(
            raw_topic("publik"),
            key=f"publik:{citizen}".encode(),
            value=json.dumps(body).encode(),
            headers=[
                (Header.FEED, b"request"),
                (Header.RAW_ID, str(uuid4()).encode()),
                (Header.READ_AT, str(int(time.time() * 1000)).encode()),
                (Header.CONTENT_TYPE, b"application/json"),
            ],
        )

    def stop(self) -> int:
        """Fall silent; return how many were sent."""
        self._stop.set()
        self._thread.join()
        return self.sent


def _settled(city: City) -> int:
    """Wait until everything that the vendors had to say is on the accounts; return how many events that is."""
    last, since = -1, 0.0
    while last != (now := city.entries) or time.monotonic() - since < QUIET_SECONDS:
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(1)
    return last


def block(folder: Path, seconds: float, rate: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Take the database away while events come in, give it back, and wait for all of them."""
    with City(folder, brokers=1, postgres=True, families=20, seed=1) as city:
        before = _settled(city)
        flood = _Flood(city.bootstrap, rate)
        time.sleep(WARM_SECONDS)
        first = _memory(city)
        tell(f"the database is away for {seconds:.0f} s, {rate:.0f} events a second come in")
        with city.database_away():
            for place in city.roles.values():
                place.peak = 0
            time.sleep(seconds)
            most = {place.name: place.peak for place in city.roles.values()}
        sent = flood.stop()
        tell(f"the database is back; {sent} events were sent")
        begun = time.monotonic()
        city.until(lambda: city.entries - before >= sent, "all events to be on the accounts", 600)
        time.sleep(5)
        return {
            "seconds": round(seconds),
            "rate": round(rate),
            "sent": sent,
            "missing": sent - (city.entries - before),
            "caught_up": round(time.monotonic() - begun),
            "memory": {name: (first[name], most[name]) for name in sorted(first)},
        }


def _memory(city: City) -> dict[str, int]:
    return {place.name: place.memory for place in city.roles.values()}
