"""deliver: the outbox to its sinks and to Kafka, open data to files; each under a lease of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from hub import __version__, catalogue
from hub.config import Settings, carriers
from hub.delivery import seals
from hub.delivery.driver import Provider, drive
from hub.delivery.late import too_late
from hub.delivery.mail import Server
from hub.delivery.open_data import OpenDataTurn
from hub.delivery.outbox import RelayTurn, Row, SinkTurn
from hub.delivery.portals import Ckan, PortalTurn, Udata
from hub.delivery.words import compose
from hub.kafka import wire
from hub.kafka.leases import Leases
from hub.kafka.raw import RawWriter
from hub.model.errors import Transient
from hub.model.notice import Urgency
from hub.model.record import Header, Seq
from hub.model.sink import Sink
from hub.pipeline.process import event_id
from hub.process import stop_requested
from hub.repeating import Repeating
from hub.roles.database import open_store
from hub.roles.intake import credentials
from hub.roles.policy import CityPolicy
from hub.roles.runtime import Runtime
from hub.store import Store
from hub.store.notices import PEOPLE
from hub.telemetry.events import (
    CellsWithdrawn,
    DatasetRefused,
    DatasetSound,
    DatasetWritten,
    DeadlinesLooked,
    Failed,
    NoticesDecided,
    OutboxCounted,
    RowDelivered,
    Waiting,
)
from schemas.models.identity import Link, LinkSet, Role
from streams.notify import RULES

GROUP = "hub.deliver"
COUNT_SECONDS = 1.0
NOTICES_SECONDS = 1.0
TOPICS = sorted({rule.topic for rule in RULES.values()})
LOOK_SECONDS = 10.0
"""Between two looks at what will be too late."""
SHARES = {Urgency.URGENT: 0.25, Urgency.NORMAL: 0.25, Urgency.BULK: 0.5}
"""What of a sink's rate each lane has for itself; none can take another's."""
Turn = Callable[[threading.Event], float]
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


def provider_of(settings: Settings, sink: Sink, urgency: Urgency) -> Provider:
    """Make what one lane of a sink talks to, with its share of the sink's rate."""
    agent = f"municipal-hub/{__version__}"
    if sink.product == "mail":
        mail = settings.mail
        server = Server(mail.host, mail.port, mail.sender, mail.username, mail.password_file, mail.starttls)
        return Provider("", agent, None, {}, server=server)
    chosen = settings.sinks[sink.product]
    rate = chosen.rate_per_second or sink.manifest.rate_per_second
    return Provider(
        chosen.base_url.rstrip("/") + "/",
        agent,
        rate * SHARES[urgency] if rate is not None else None,
        credentials(chosen),
        secret_file=chosen.secret_file,
    )


def unsubscribe_link(settings: Settings, row_id: str) -> str | None:
    """Return the sealed address at which messages like a row's are ended, if the city has a secret for it."""
    seal = seals.of(settings.notifications.unsubscribe_secret_file, row_id)
    return f"{settings.web.public_url.rstrip('/')}/desinscription/{row_id}/{seal}" if seal is not None else None


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Sinks:
    """Holds leases: a thread per lane of a sink."""

    def __init__(self, runtime: Runtime, store: Store, writer: RawWriter) -> None:
        self._runtime = runtime
        self._store = store
        self._writer = writer
        self._threads: dict[str, list[Repeating]] = {}
        self._policy = CityPolicy(runtime.settings)
        open_data = runtime.settings.open_data
        public_url = f"{runtime.settings.web.public_url.rstrip('/')}/donnees"
        files = OpenDataTurn(store, open_data, catalogue.datasets(), public_url, self)
        self._withdrawn: dict[str, int] = {}
        self._turns: dict[str, dict[str, Turn]] = {
            "relay": {"relay": RelayTurn(store, self._publish, self._told("identity"))},
            "open_data": {"open_data": files},
            "housekeeping": {"housekeeping": self._keep_house},
            "notices": {"notices": self._decide_again},
        }
        for portal, there, publish in (("ckan", open_data.ckan, Ckan), ("udata", open_data.udata, Udata)):
            if there.url:
                # What is published is what this process wrote: portals go with the files.
                self._turns["open_data"][portal] = PortalTurn(
                    portal, publish(open_data), store, lambda: files.exports, self._told(portal)
                )
        for channel, products in carriers(runtime.settings, catalogue.sinks()).items():
            # Whoever holds the lease has all lanes of a channel: they share what its provider takes.
            self._turns[channel] = {
                f"{channel}.{urgency}": self._lane(channel, urgency, catalogue.sinks()[products[0]])
                for urgency in Urgency
            }
        self._purged = 0.0
        self._looked = 0.0

    @property
    def names(self) -> list[str]:
        return sorted(self._turns)

    def taken(self, name: str, _cursor: Mapping[str, Any]) -> None:
        self._threads[name] = [Repeating(lane, turn, self) for lane, turn in self._turns[name].items()]
        for thread in self._threads[name]:
            thread.start()

    def given_back(self, name: str) -> None:
        threads = self._threads.pop(name)
        for seconds in (0, 10):
            # All are told before any is waited for.
            for thread in threads:
                thread.halt(seconds)

    def away(self, name: str, error: Transient, seconds: float, failures: int) -> None:
        Waiting(name, seconds, f"{error.reason} ({failures})").emit(self._runtime.telemetry)

    def back(self, name: str) -> None:
        Waiting(name, 0.0).emit(self._runtime.telemetry)

    def broken(self, name: str, error: BaseException) -> None:
        Failed(name, error).emit(self._runtime.telemetry)

    def alive(self) -> tuple[bool, str]:
        threads = [thread for lanes in self._threads.values() for thread in lanes]
        dead = [thread.name for thread in threads if not thread.is_alive()]
        return (not dead, f"ended: {', '.join(dead)}" if dead else "delivering")

    def _told(self, channel: str) -> Any:
        def told(result: str, code: str) -> None:
            RowDelivered(channel, result, code).emit(self._runtime.telemetry)

        return told

    def _lane(self, channel: str, urgency: Urgency, sink: Sink) -> SinkTurn:
        provider = provider_of(self._runtime.settings, sink, urgency)
        settings = self._runtime.settings.sinks[sink.product].settings if sink.product != "mail" else {}

        def bounced(row: Row) -> None:
            if row.citizen is not None and self._runtime.settings.notifications.stop_bounced:
                address = row.payload["address"]
                self._store.stop(row.citizen, "bounced", _now(), channel=row.channel, address=address)

        return SinkTurn(
            self._store,
            channel,
            urgency,
            lambda row: compose(row, unsubscribe_link(self._runtime.settings, row.id)),
            lambda message, begin: drive(sink, message, settings, provider, begin),
            bounced,
            self._told(channel),
        )

    def _decide_again(self, _halt: threading.Event) -> float:
        now = datetime.now(UTC)
        found = self._store.decide_again(self._policy.again(now), now)
        NoticesDecided(found).emit(self._runtime.telemetry)
        return 0.0 if found else NOTICES_SECONDS

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
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            # What is in time again says 0.
            late = Counter({(channel, topic): 0 for channel in PEOPLE for topic in TOPICS})
            for miss in too_late(self._store, datetime.now(UTC)):
                late[miss.channel, miss.topic] += miss.notices
            DeadlinesLooked(late).emit(self._runtime.telemetry)
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
