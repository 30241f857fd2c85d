"""web: the account, incoming calls, the registry, the operations page."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import uvicorn

from hub.config import Settings
from hub.kafka.raw import RawWriter
from hub.model.errors import Transient
from hub.model.intake import Emit
from hub.process import stop_requested
from hub.roles.database import open_store
from hub.roles.runtime import ENVIRONMENT, Runtime
from hub.telemetry.events import CallReceived, RawWritten, SignInTried
from hub.web.app import create_app


class _Publisher:
    """Writes raw records from the event loop; connects when the first call comes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._writer: RawWriter | None = None
        self._lock = threading.Lock()

    async def __call__(self, product: str, wish: Emit) -> str:
        raw_id = await asyncio.to_thread(self._write, product, wish)
        RawWritten(product, wish.feed).emit(self._runtime.telemetry)
        return raw_id

    def _write(self, product: str, wish: Emit) -> str:
        with self._lock:
            if self._writer is None:
                self._writer = _connect(lambda: RawWriter(self._runtime.kafka_python()))
        return self._writer.emit(product, wish)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _connect(make: Callable[[], RawWriter]) -> RawWriter:
    try:
        return make()
    except Exception as error:
        raise Transient(f"Kafka: {type(error).__name__}") from error


def _watch_broker(runtime: Runtime, server: uvicorn.Server, stop: threading.Event) -> threading.Event:
    """Wait for the broker beside the server; return an event that tells that it will never let us in."""
    refused = threading.Event()

    def watch() -> None:
        try:
            runtime.await_kafka(stop)
            # A signal that came before the server took them over.
            stop.wait()
        except SystemExit:
            refused.set()
        server.should_exit = True

    threading.Thread(target=watch, name="broker", daemon=True).start()
    return refused


def run(settings: Settings) -> None:
    """Serve until SIGTERM."""
    # Before the server takes the signals: it gives them back when it has drained, and the rest of
    # this function has to run then.
    stop = stop_requested()
    runtime = Runtime("web", settings)
    try:
        store = open_store(runtime, stop)
        if store is None:
            return
        publisher = _Publisher(runtime)
        app = create_app(
            settings,
            store,
            runtime.schemas,
            runtime.connectors,
            publisher,
            lambda product, result: CallReceived(product, result).emit(runtime.telemetry),
            came=lambda provider, result, reason: SignInTried(provider, result, reason).emit(runtime.telemetry),
        )
        config = uvicorn.Config(
            app,
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        runtime.health = lambda: (True, "serving")
        server = uvicorn.Server(config)
        runtime.started()
        # The account needs no broker: it is served while the broker is waited for, and calls get a 503.
        refused = _watch_broker(runtime, server, stop)
        try:
            server.run()
        except SystemExit:
            runtime.stop_here(f"web.port: {settings.web.port} cannot be listened on; choose another")
        finally:
            stop.set()
            publisher.close()
        if refused.is_set():
            raise SystemExit(ENVIRONMENT)
    except SystemExit:
        raise
    except Exception as error:
        runtime.failed(error)
        raise SystemExit(1) from None
    finally:
        runtime.close()
