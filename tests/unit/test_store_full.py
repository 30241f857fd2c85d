"""A database without room loses nothing: the work waits, and goes on once there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from aiokafka import ConsumerRecord
from databases import store_in
from faust.types import TP
from sqlalchemy.exc import OperationalError

from hub import catalogue
from hub.kafka import wire
from hub.kafka.project import Project
from hub.model.errors import Transient
from hub.model.event import Event, Replay, StoredEvent
from hub.model.record import Seq
from hub.store import Store
from hub.store.store import _trouble
from schemas.models.library import LoanStarted
from tests.unit.test_store import ANNE, NOW, Policy, event, link

PLENTY = 1_000_000


def limit(store: Store, pages: int) -> None:
    """Let a database grow so far and no further; it never shrinks."""
    with store._engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def test_a_full_database_waits_and_goes_on(tmp_path: Path) -> None:
    """The batch that found no room is written whole when it is repeated."""
    store = store_in(tmp_path)
    batch = [event(n, LoanStarted(item_id="i" * 2000), "ils_di:7") for n in range(200)]
    batch.append(link(200, ANNE, "ils_di:7"))
    limit(store, 1)
    with pytest.raises(Transient, match=r"^database: disk full$"):
        store.project(batch, Policy(), NOW)
    assert store.linked_subjects("ils_di") == []
    limit(store, PLENTY)
    assert len(store.project(batch, Policy(), NOW).inserted) == 201
    assert store.linked_subjects("ils_di") == ["7"]
    store.close()


def written(number: int, payload: Any) -> Any:
    """Return a record of an event topic, as the worker hands it to the role."""
    message = wire.event_message(
        Event(
            f"event-{number}", payload.TYPE, "/ils_di/loans", "ils_di:7", NOW, wire.milliseconds(NOW),
            Seq(1, number, 0), 0, 1, "ils_di", payload.DOMAIN, payload, catalogue.schemas().encode(payload),
        )
    )  # fmt: skip
    return SimpleNamespace(value=message.value, headers=message.headers)


class Waits:
    """Notes what the role says about its database; makes room when it was asked for a second time."""

    def __init__(self, store: Store) -> None:
        self.said: list[str] = []
        self.declared: list[str | None] = []
        self._store = store

    def unreadable(self, tp: TP, record: ConsumerRecord) -> None:
        raise AssertionError(tp)

    def database_away(self, seconds: float, reason: str) -> None:
        self.said.append(reason if seconds else "back")
        if len(self.said) == 2:
            limit(self._store, PLENTY)


def test_project_waits_for_room_says_so_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its database is full the role neither ends nor goes past the batch; all of it is there afterwards."""
    monkeypatch.setattr("hub.kafka.project.back_off", lambda *_: 0.0)
    store = store_in(tmp_path)

    def write(events: Sequence[StoredEvent], replays: Sequence[Replay]) -> None:
        store.project(events, Policy(), NOW, replays)

    watch = Waits(store)
    records = [written(n, LoanStarted(item_id="i" * 60)) for n in range(200)]
    project = Project(["library"], catalogue.schemas(), write, watch, watch.declared.append)
    limit(store, 1)
    asyncio.run(project.carry_out("sql", {TP(wire.event_topic("library"), 0): records}))
    assert watch.said == ["database: disk full", "database: disk full", "back"]
    assert watch.declared == ["database", "database", None]
    assert len(store.stored()) == 200
    store.close()


def test_postgresql_says_disk_full_in_the_same_words() -> None:
    """Its own text is not repeated: it may quote values."""
    error = OperationalError("", {}, psycopg.errors.DiskFull("secret"))
    assert _trouble(error) == "disk full"
