"""How long an absence notice waits while a bulk of 50,000 goes out; 2 s is the most that is promised.

    python bench/lanes.py                     fifty thousand rows, looked at for a minute
    python bench/lanes.py --rows 5000 --seconds 10 --database postgresql+psycopg://…

The gateway is the simulator's, behind a delay for each message; database, lanes and sink are the hub's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import httpx
from sqlalchemy import insert

from connectors.sinks.sms.simulator import Simulator
from hub import catalogue
from hub.delivery.driver import Provider, drive
from hub.delivery.outbox import SinkTurn
from hub.delivery.words import compose
from hub.model.notice import Urgency
from hub.model.sink import Message
from hub.repeating import Repeating
from hub.store import Store
from hub.store import tables as t

PROMISED = 2.0
PAYLOAD = json.dumps({"address": "+33639980001", "template": "hold_ready", "values": {}})


class Gateway:
    """Takes each message after a delay, and remembers when."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.taken: dict[str, float] = {}
        self._simulator = Simulator()

    def http(self, request: httpx.Request) -> httpx.Response:
        """Answer a lane's request."""
        time.sleep(self.delay)
        answer = self._simulator.http(request)
        self.taken[json.loads(request.content)["reference"]] = time.monotonic()
        return answer


class Turns:
    """Says what should not happen."""

    def away(self, name: str, reason: str, _seconds: float, _failures: int) -> None:
        """Say it."""
        print(f"{name}: {reason}", file=sys.stderr)

    def back(self, name: str) -> None:
        """Say nothing."""

    def broken(self, name: str, error: BaseException) -> None:
        """Say it."""
        print(f"{name}: {error!r}", file=sys.stderr)


def put(store: Store, urgency: Urgency, names: list[str]) -> None:
    """Write rows that are due, as project would."""
    rows = [
        {"id": name, "position": number, "channel": "sms", "topic": "t", "subject": "s", "event_id": name,
         "payload": PAYLOAD, "state": "pending", "attempts": 0, "next_at": 0, "created_at": 0, "urgency": str(urgency)}
        for number, name in enumerate(names)
    ]  # fmt: skip
    with store._write() as connection:  # noqa: SLF001
        connection.execute(insert(t.outbox), rows)


def lane(store: Store, gateway: Gateway, urgency: Urgency) -> Repeating:
    """Put one lane together."""
    sink, settings = catalogue.sinks()["sms"], Simulator.settings
    provider = Provider("https://vendor.invalid/", "bench", None, {}, transport=httpx.MockTransport(gateway.http))

    def deliver(message: Message, begin: object) -> object:
        return drive(sink, message, settings, provider, begin)  # type: ignore[arg-type]

    turn = SinkTurn(store, "sms", urgency, partial(compose, unsubscribe=None), deliver, print, lambda *_: None)  # type: ignore[arg-type]
    return Repeating(f"sms.{urgency}", turn, Turns())


def main() -> int:
    """Measure, and fail above what is promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--delay", type=float, default=0.005, help="seconds that the gateway takes for a message")
    parser.add_argument("--database", default="")
    parser.add_argument("--out", type=Path, help="JSON file for what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(options.database or f"sqlite:///{folder}/hub.sqlite")
        store.migrate()
        put(store, Urgency.BULK, [f"bulk-{number}" for number in range(options.rows)])
        gateway = Gateway(options.delay)
        lanes = [lane(store, gateway, urgency) for urgency in Urgency]
        for thread in lanes:
            thread.start()
        asked: dict[str, float] = {}
        end = time.monotonic() + options.seconds
        while time.monotonic() < end and len(gateway.taken) < options.rows:
            name = f"absence-{len(asked)}"
            asked[name] = time.monotonic()
            put(store, Urgency.URGENT, [name])
            threading.Event().wait(0.5)
        time.sleep(PROMISED)
        bulk = sum(1 for name in gateway.taken if name.startswith("bulk"))
        for thread in lanes:
            thread.halt(10)
        store.close()
    waits = sorted(gateway.taken.get(name, float("inf")) - at for name, at in asked.items())
    median, longest = statistics.median(waits), waits[-1]
    print(
        f"{len(waits)} absences while {bulk} of {options.rows} went out: "
        f"median {median:.3f} s, longest {longest:.3f} s (promised: {PROMISED:g} s)"
    )
    measured = {"rows": options.rows, "bulk": bulk, "absences": len(waits), "median": median, "longest": longest}
    if options.out:
        options.out.write_text(json.dumps({**measured, "promised": PROMISED}, indent=1) + "\n", "utf-8")
    return int(longest > PROMISED)


if __name__ == "__main__":
    sys.exit(main())
