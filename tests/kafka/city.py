"""normalise and project as processes over a real Kafka, and the command line beside them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from uuid import uuid4

from hub.calendar import CITY
from hub.catalogue import ROOT
from hub.kafka.raw import RawWriter
from hub.kafka.reading import reader, whole
from hub.kafka.wire import event_topic, header
from hub.model.intake import Emit
from hub.process import end, spawn
from hub.store import Store
from hub.testing.cluster import Kafka

INSTALLED = ("-m", "hub.cli")


class Hub:
    """normalise and project as processes, and the command line beside them."""

    def __init__(
        self,
        node: Kafka,
        folder: Path,
        program: Sequence[str] = INSTALLED,
        roles: Sequence[str] = ("normalise", "project"),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Run over a node; `program` is what Python runs as the command line, `settings` are for every role."""
        self.options = {"bootstrap_servers": node.bootstrap}
        self.discovery = folder / "run" / "prometheus.json"
        self.database = f"sqlite:///{folder}/hub.sqlite"
        values = {
            "kafka.bootstrap": node.bootstrap,
            "store.url": self.database,
            "data_dir": str(folder),
            "telemetry.discovery_file": str(self.discovery),
            **settings,
        }
        self.line = [sys.executable, *program]
        for key, value in values.items():
            self.line += ["--set", f"{key}={value}"]
        self.hub("topics", "apply")
        # A supervisor starts the program that is installed, whatever program it is itself.
        together = [roles] if program == INSTALLED and roles else [[role] for role in roles]
        self.logs = folder / "log"
        self.children = [
            spawn([*self.line, "run", "--logs", str(self.logs), *some], cwd=ROOT, log=folder / f"{some[0]}.log")
            for some in together
        ]
        self.writer = RawWriter(self.options)

    def hub(self, *arguments: str, code: int = 0) -> str:
        """Run one command, which must end with a code; return what it said."""
        done = subprocess.run(
            [*self.line, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run one command of the workbench for machines."""
        return json.loads(self.hub("quarantine", *arguments, "--json", code=code))

    def send(self, citizen: str, body: bytes | dict[str, Any]) -> None:
        """Let the portal say something."""
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.writer.emit(
            "publik", Emit("request", f"publik:{citizen}", value, int(time.time() * 1000), "application/json")
        )

    def call(self, child: str, body: bytes | dict[str, Any]) -> None:
        """Let the canteen call back about a child."""
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        now = int(time.time() * 1000)
        self.writer.emit("chrono", Emit("callback", f"chrono:{child}", value, now, "application/json"))

    def subjects(self) -> list[str]:
        """Read which links were asked for, in the order of the event topic."""
        with reader(self.options) as consumer:
            return [
                header(record, "ce_subject") + header(record, "hub_replay")
                for record in whole(consumer, event_topic("citizen_portal"))
            ]

    def close(self) -> None:
        """End all."""
        self.writer.close()
        for child in self.children:
            end(child, 15)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all: a producer that outlived a failed test would disturb the tests after it."""
        self.close()


def eventually(check: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < limit
        time.sleep(0.2)


def link(citizen: str, number: int) -> dict[str, Any]:
    """Ask for a link."""
    return {
        "id": str(uuid4()),
        "type": "link_requested",
        "at": "2026-03-10T08:00:00+01:00",
        "citizen": citizen,
        "link": {"subject": f"chrono:E{number}", "role": "parent", "scope": [], "until": None},
    }


def cancelled(child: str, number: int) -> dict[str, Any]:
    """Say that a meal of the day after tomorrow was cancelled just now, of which nobody had heard before."""
    now = datetime.now(CITY)
    day = now.date() + timedelta(days=2)
    event = {"slug": f"cantine-{day}", "label": "Cantine", "datetime": f"{day} 11:30:00"}
    return {
        "id": str(uuid4()),
        "event": "cancel",
        "at": now.isoformat(timespec="milliseconds"),
        "booking": {"id": number, "user_external_id": child, "in_waiting_list": False, "event": event},
    }


def wish(citizen: str, *topics: str) -> dict[str, Any]:
    """Ask for messages about some topics."""
    return {
        "id": str(uuid4()),
        "type": "preferences_changed",
        "at": "2026-03-10T08:00:00+01:00",
        "citizen": citizen,
        "preferences": {"email": "a@b.example", "topics": list(topics), "lines": []},
    }


def linked(hub: Hub, citizen: str, number: int) -> None:
    """Let a citizen hear of what happens to a child from now on."""
    hub.send(citizen, wish(citizen, "canteen"))
    hub.send(citizen, link(citizen, number))
    store = Store(hub.database)
    # Whoever comes first makes the tables.
    store.migrate()
    eventually(lambda: f"E{number}" in store.linked_subjects("chrono"))
    store.close()


def told(hub: Hub, citizen: str) -> list[str]:
    """List the subjects of a citizen's messages, one for each message."""
    with sqlite3.connect(hub.database.removeprefix("sqlite:///")) as database:
        found = database.execute("SELECT subject FROM outbox WHERE citizen = ? ORDER BY subject", (citizen,))
        return [subject for (subject,) in found]
