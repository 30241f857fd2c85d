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
from hub.roles.runtime import Runtime
from hub.telemetry.events import CallReceived, RawWritten
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


def run(settings: Settings) -> None:
    """Serve until SIGTERM."""
    runtime = Runtime("web", settings)
    try:
        if not runtime.await_kafka():
            return
        store = runtime.open_store(threading.Event())
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
        server.run()
        publisher.close()
        if not server.started:
            runtime.stop_here(f"web.port: {settings.web.port} is taken; choose another")
    except SystemExit:
        raise
    except Exception as error:
        runtime.failed(error)
        raise SystemExit(1) from None
    finally:
        runtime.close()
