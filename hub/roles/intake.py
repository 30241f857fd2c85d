"""intake: polls the sources whose lease this process holds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from hub import __version__
from hub.config import Credential, Settings, Sink, Source
from hub.intake.blobs import Blobs
from hub.intake.credentials import Basic, Bearer, ClientCredentials, SignedQuery, SignedToken
from hub.intake.driver import Vendor
from hub.intake.poller import Poller
from hub.kafka.leases import Leases
from hub.kafka.raw import RawWriter
from hub.kafka.wire import CURSOR_TOPIC
from hub.model.connector import Connector
from hub.model.errors import TooLarge, Transient
from hub.model.intake import Emit
from hub.process import stop_requested
from hub.repeating import Repeating
from hub.roles.database import open_store
from hub.roles.runtime import Runtime
from hub.store import Store
from hub.telemetry.events import Failed, RawWritten, SourceAway, SourceGivenBack, SourcePolled, SourceTaken, Waiting

GROUP = "hub.intake"
HALT_SECONDS = 25.0
PURGE_SECONDS = 3600.0


class _Ports:
    """The rest of the hub, as a source's driver sees it."""

    def __init__(self, runtime: Runtime, writer: RawWriter, store: Store, blobs: Blobs) -> None:
        self._runtime = runtime
        self._writer = writer
        self._store = store
        self._blobs = blobs

    def emit(self, product: str, wish: Emit) -> None:
        try:
            self._writer.emit(product, wish)
        except TooLarge:
            # Nothing is lost, and the source goes on: the bytes first, then where they are.
            self._writer.set_aside(product, wish, self._blobs.keep(wish.value))
        RawWritten(product, wish.feed).emit(self._runtime.telemetry)

    def keep(self, data: bytes) -> str:
        return self._blobs.keep(data)

    def subjects(self, product: str) -> list[str]:
        return self._store.linked_subjects(product)

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        self._writer.keep(CURSOR_TOPIC, product.encode(), json.dumps(cursor).encode())


class _Pollers:
    """Holds leases: a thread per product."""

    def __init__(self, runtime: Runtime, ports: _Ports, store: Store) -> None:
        self._runtime = runtime
        self._ports = ports
        self._store = store
        self._instance = str(uuid4())
        self._threads: dict[str, Repeating] = {}
        self._polled: dict[str, int] = {}

    def taken(self, name: str, cursor: Mapping[str, Any]) -> None:
        connector = self._runtime.connectors[name]
        source = self._runtime.settings.connectors[name]
        manifest = connector.manifest
        vendor = Vendor(
            source.base_url.rstrip("/") + "/",
            # Vendors see which process asks: a support call, and the ledger, need to know.
            f"municipal-hub/{__version__} ({self._instance})",
            source.rate_per_second or manifest.rate_per_second,
            credentials(source),
        )
        poller = Poller(
            connector,
            source.settings,
            vendor,
            self._ports,
            cursor,
            source.poll_seconds or manifest.poll_seconds,
            self.polled,
        )
        SourceTaken(name, self._polled.get(name, time.time_ns() // 1_000_000)).emit(self._runtime.telemetry)
        self._threads[name] = thread = Repeating(name, poller, self)
        thread.start()

    def given_back(self, name: str) -> None:
        thread = self._threads.pop(name)
        if not thread.halt(HALT_SECONDS):
            # It writes nothing any more (`_Leased`), but what it has begun may still be under way.
            self._runtime.telemetry.log.warning("poll still under way", product=name)
        SourceGivenBack(name).emit(self._runtime.telemetry)

    def polled(self, product: str, at: int, written: int) -> None:
        self._store.polled(product, at)
        self._polled[product] = at
        SourcePolled(product, written, at).emit(self._runtime.telemetry)

    def away(self, name: str, error: Transient, seconds: float, failures: int) -> None:
        SourceAway(name, error.cause, error.reason, seconds, failures).emit(self._runtime.telemetry)

    def back(self, name: str) -> None:
        Waiting(name, 0.0).emit(self._runtime.telemetry)

    def broken(self, name: str, error: BaseException) -> None:
        self._runtime.telemetry.polls.labels(name, "broken", "").inc()
        Failed(name, error).emit(self._runtime.telemetry)

    def alive(self) -> tuple[bool, str]:
        dead = [name for name, thread in self._threads.items() if not thread.is_alive()]
        return (not dead, f"ended: {', '.join(dead)}" if dead else "polling")


class _Purge:
    """A turn for `Repeating`: forgets what has been in the blob folder for long enough."""

    def __init__(self, blobs: Blobs, days: int) -> None:
        self._blobs = blobs
        self._seconds = days * 86_400

    def __call__(self, _halt: threading.Event) -> float:
        self._blobs.purge(time.time() - self._seconds)
        return PURGE_SECONDS


class _Housekeeping:
    """Tells what becomes of housekeeping."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def away(self, name: str, error: Transient, seconds: float, _failures: int) -> None:
        Waiting(name, seconds, error.reason).emit(self._runtime.telemetry)

    def back(self, name: str) -> None:
        Waiting(name, 0.0).emit(self._runtime.telemetry)

    def broken(self, name: str, error: BaseException) -> None:
        Failed(name, error).emit(self._runtime.telemetry)


def credentials(source: Source | Sink) -> dict[str, httpx.Auth]:
    """Make httpx authentication of a connector's credentials."""
    return {name: _auth(credential) for name, credential in source.credentials.items()}


def _auth(credential: Credential) -> httpx.Auth:
    match credential.kind:
        case "oauth2":
            return ClientCredentials(
                credential.token_url, credential.client_id, credential.secret_file, credential.scope
            )
        case "basic":
            return Basic(credential.client_id, credential.secret_file)
        case "bearer":
            return Bearer(credential.secret_file)
        case "signed_query":
            return SignedQuery(credential.client_id, credential.secret_file)
        case "jwt":
            return SignedToken(credential.client_id, credential.secret_file)


def polled(connectors: Mapping[str, Connector], settings: Settings) -> list[str]:
    """Return which of these products are asked: they can be, and their address is set."""
    configured = settings.connectors
    return [
        name
        for name, connector in connectors.items()
        if connector.poll is not None and name in configured and configured[name].base_url
    ]


def run(settings: Settings) -> None:
    """Poll until SIGTERM."""
    stop = stop_requested()
    runtime = Runtime("intake", settings)
    try:
        if not runtime.await_kafka(stop):
            return
        store = open_store(runtime, stop)
        if store is None:
            return
        writer = RawWriter(runtime.kafka_python())
        blobs = Blobs(settings.blobs.folder)
        pollers = _Pollers(runtime, _Ports(runtime, writer, store, blobs), store)
        runtime.health = pollers.alive
        leases = Leases(
            runtime.kafka_python(),
            GROUP,
            polled(runtime.connectors, settings),
            pollers,
            f"{GROUP}.{settings.workers.slot}",
        )
        purging = Repeating("blobs", _Purge(blobs, settings.blobs.days), _Housekeeping(runtime))
        purging.start()
        runtime.started()
        leases.run(stop)
        purging.halt(HALT_SECONDS)
        writer.close()
    except SystemExit:
        raise
    except Exception as error:
        runtime.failed(error)
        raise SystemExit(1) from None
    finally:
        runtime.close()
