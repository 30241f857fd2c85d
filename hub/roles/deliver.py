"""deliver: the outbox to mail and to Kafka, open data to files; each under a lease of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from hub import catalogue
from hub.config import Settings
from hub.delivery.mail import Server
from hub.delivery.open_data import OpenDataTurn
from hub.delivery.outbox import MailTurn, RelayTurn
from hub.delivery.portals import Ckan, PortalTurn, Udata
from hub.kafka import wire
from hub.kafka.leases import Leases
from hub.kafka.raw import RawWriter
from hub.model.record import Header, Seq
from hub.pipeline.process import event_id
from hub.process import stop_requested
from hub.repeating import Repeating
from hub.roles.database import open_store
from hub.roles.runtime import Runtime
from hub.store import Store
from hub.telemetry.events import (
    CellsWithdrawn,
    DatasetRefused,
    DatasetSound,
    DatasetWritten,
    Failed,
    OutboxCounted,
    RowDelivered,
    Waiting,
)
from schemas.models.identity import Link, LinkSet, Role

GROUP = "hub.deliver"
PORTALS = frozenset({"ckan", "udata"})
COUNT_SECONDS = 1.0
PURGE_SECONDS = 3600.0


def link_set(payload: Mapping[str, Any]) -> LinkSet:
    """Read a row of the outbox."""
    return LinkSet(
        subject=payload["subject"],
        version=payload["version"],
        command=payload["command"],
        links=tuple(
            Link(
                citizen=link["citizen"],
                role=Role(link["role"]),
                scope=tuple(link["scope"]),
                since=datetime.fromtimestamp(link["since"] / 1000, UTC),
                until=date.fromisoformat(link["until"]) if link["until"] else None,
            )
            for link in payload["links"]
        ),
    )


class _Sinks:
    """Holds leases: a thread per sink."""

    def __init__(self, runtime: Runtime, store: Store, writer: RawWriter) -> None:
        self._runtime = runtime
        self._store = store
        self._writer = writer
        self._threads: dict[str, Repeating] = {}
        mail = runtime.settings.mail
        told = self._told
        self._files = OpenDataTurn(
            store,
            runtime.settings.open_data,
            catalogue.datasets(),
            f"{runtime.settings.web.public_url.rstrip('/')}/donnees",
            self,
        )
        self._turns: dict[str, Callable[[threading.Event], float]] = {
            "relay": RelayTurn(store, self._publish, told("identity")),
            "open_data": self._files,
            "housekeeping": self._keep_house,
        }
        if mail.host:
            server = Server(mail.host, mail.port, mail.sender, mail.username, mail.password_file, mail.starttls)
            self._turns["mail"] = MailTurn(store, server, told("mail"))
        self._withdrawn: dict[str, int] = {}
        open_data = runtime.settings.open_data
        for portal, there, publish in (("ckan", open_data.ckan, Ckan), ("udata", open_data.udata, Udata)):
            if there.url:
                self._turns[portal] = PortalTurn(
                    portal, publish(open_data), store, lambda: self._files.exports, told(portal)
                )
        self._purged = 0.0

    @property
    def names(self) -> list[str]:
        return sorted(self._turns.keys() - PORTALS)

    def _together(self, name: str) -> list[str]:
        # What is published is what this process wrote: portals go with the files.
        return [name, *sorted(PORTALS & self._turns.keys())] if name == "open_data" else [name]

    def taken(self, name: str, _cursor: Mapping[str, Any]) -> None:
        for each in self._together(name):
            self._threads[each] = thread = Repeating(each, self._turns[each], self)
            thread.start()

    def given_back(self, name: str) -> None:
        for each in self._together(name):
            self._threads.pop(each).halt(10)

    def away(self, name: str, reason: str, seconds: float, failures: int) -> None:
        Waiting(name, seconds, f"{reason} ({failures})").emit(self._runtime.telemetry)

    def back(self, name: str) -> None:
        Waiting(name, 0.0).emit(self._runtime.telemetry)

    def broken(self, name: str, error: BaseException) -> None:
        Failed(name, error).emit(self._runtime.telemetry)

    def alive(self) -> tuple[bool, str]:
        dead = [name for name, thread in self._threads.items() if not thread.is_alive()]
        return (not dead, f"ended: {', '.join(dead)}" if dead else "delivering")

    def _told(self, channel: str) -> Any:
        def told(result: str, code: str) -> None:
            RowDelivered(channel, result, code).emit(self._runtime.telemetry)

        return told

    def _publish(self, payload: Mapping[str, Any]) -> None:
        told = link_set(payload)
        now = datetime.now(UTC)
        headers = (
            *wire.cloud_headers(
                event_id("deliver", (told.subject, str(told.version)), told.TYPE, told.command),
                told.TYPE,
                "/deliver/links",
                told.subject,
                now,
            ),
            (Header.SEQ, str(Seq(0, told.version, 0)).encode()),
            (Header.REV, b"1"),
            (Header.READ_AT, str(wire.milliseconds(now)).encode()),
            (Header.PRODUCT, b"deliver"),
        )
        value = self._runtime.schemas.encode(told)
        self._writer.keep(wire.IDENTITY_TOPIC, told.subject.encode(), value, headers)

    def written(self, dataset: str, rows: int, at: float) -> None:
        DatasetWritten(dataset, rows, at).emit(self._runtime.telemetry)

    def sound(self, dataset: str, withdrawn: int) -> None:
        if withdrawn > self._withdrawn.get(dataset, 0):
            CellsWithdrawn(dataset, withdrawn).emit(self._runtime.telemetry)
        self._withdrawn[dataset] = withdrawn
        DatasetSound(dataset, withdrawn).emit(self._runtime.telemetry)

    def refused(self, dataset: str, problem: str) -> None:
        DatasetRefused(dataset, problem).emit(self._runtime.telemetry)

    def _keep_house(self, _halt: threading.Event) -> float:
        OutboxCounted(self._store.outbox_counts()).emit(self._runtime.telemetry)
        if time.monotonic() - self._purged > PURGE_SECONDS or not self._purged:
            self._store.purge(datetime.now(UTC))
            self._purged = time.monotonic()
        return COUNT_SECONDS


def run(settings: Settings) -> None:
    """Deliver until SIGTERM."""
    stop = stop_requested()
    runtime = Runtime("deliver", settings)
    try:
        if not runtime.await_kafka(stop):
            return
        store = open_store(runtime, stop)
        if store is None:
            return
        writer = RawWriter(runtime.kafka_python())
        sinks = _Sinks(runtime, store, writer)
        runtime.health = sinks.alive
        leases = Leases(runtime.kafka_python(), GROUP, sinks.names, sinks, f"{GROUP}.{settings.workers.slot}")
        runtime.started()
        leases.run(stop)
        writer.close()
    except SystemExit:
        raise
    except Exception as error:
        runtime.failed(error)
        raise SystemExit(1) from None
    finally:
        runtime.close()
