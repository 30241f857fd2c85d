"""project: events to SQL, with what follows from them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hub import catalogue
from hub.config import Settings
from hub.kafka.project import Project
from hub.model.event import Replay, StoredEvent
from hub.roles.database import open_store
from hub.roles.runtime import Runtime
from hub.roles.worker import Watching
from hub.roles.worker import run as run_worker
from hub.telemetry.events import EventsStored, Waiting
from streams.notify import Recipient, decide
from streams.open_data.counting import countable
from streams.open_data.dataset import finest


class CityPolicy:
    """What the city's streams make of an event, as the store asks for it."""

    def __init__(self) -> None:
        self._counted = finest(list(catalogue.datasets().values()))

    def notices(
        self, event: StoredEvent, recipients: Sequence[tuple[str, str | None, frozenset[str]]], now: datetime
    ) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
        """Decide who is told."""
        for notice in decide(event, [Recipient(*recipient) for recipient in recipients], now):
            payload = {"address": notice.address, "template": notice.template, "values": dict(notice.values)}
            yield notice.id, notice.topic, notice.citizen, payload

    def fact(self, event: StoredEvent) -> tuple[str, str, str, str] | None:
        """Decide what is counted."""
        return countable(self._counted, event.type, datetime.fromtimestamp(event.time / 1000, UTC), event.payload)


class _Projections(Watching):
    def database_away(self, seconds: float, reason: str) -> None:
        """Tell of the wait."""
        Waiting("database", seconds, reason).emit(self._telemetry)


def run(settings: Settings) -> None:
    """Work until SIGTERM."""
    runtime = Runtime("project", settings)
    store = open_store(runtime, threading.Event())
    if store is None:
        return
    policy = CityPolicy()

    def write(batch: Sequence[StoredEvent], replays: Sequence[Replay]) -> None:
        applied = store.project(batch, policy, datetime.now(UTC), replays)
        EventsStored(
            applied.results, applied.commands, [(event.product, event.read_at) for event in applied.inserted]
        ).emit(runtime.telemetry)

    domains = runtime.schemas.domains("person", "public", "command")
    run_worker(
        runtime,
        lambda _reader, _counts, declare: Project(domains, runtime.schemas, write, _Projections(runtime), declare),
    )
