"""project: events to SQL, with what follows from them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from hub.config import Settings
from hub.kafka.project import Project
from hub.model.event import Replay, StoredEvent
from hub.roles.database import open_store
from hub.roles.policy import CityPolicy
from hub.roles.runtime import Runtime
from hub.roles.worker import Watching
from hub.roles.worker import run as run_worker
from hub.telemetry.events import EventsStored, Waiting


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
    policy = CityPolicy(settings)

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
