"""Run a batch worker: the part that normalise, identify and project share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from hub.kafka.fold import Reader
from hub.kafka.membership import leave
from hub.kafka.worker import OffsetGone, Work, Worker
from hub.roles.runtime import Runtime
from hub.telemetry.events import EventUnreadable, PartitionDone, PartitionReleased, RecordsReceived


class Watching:
    """Turns what a worker tells into telemetry."""

    def __init__(self, runtime: Runtime) -> None:
        """Tell it to the runtime's telemetry."""
        self._telemetry = runtime.telemetry

    def received(self, tp: Any, records: Sequence[Any]) -> None:
        """Count fetched records."""
        RecordsReceived(tp.topic, len(records)).emit(self._telemetry)

    def committed(self, tp: Any, offset: int, lag: int, lag_seconds: float) -> None:
        """Set how far a partition is."""
        PartitionDone(tp.topic, tp.partition, offset, lag, lag_seconds).emit(self._telemetry)

    def released(self, tp: Any) -> None:
        """Forget how far it was: its next owner tells."""
        PartitionReleased(tp.topic, tp.partition).emit(self._telemetry)

    def unreadable(self, tp: Any, record: Any) -> None:
        """Tell what was passed by."""
        EventUnreadable(tp.topic, tp.partition, record.offset).emit(self._telemetry)


def run(runtime: Runtime, make: Callable[[Reader, dict[str, int], Callable[[str | None], None]], Work]) -> None:
    """Work until SIGTERM; exit code 1 after a failure, nothing committed beyond what is safe.

    `make` is handed a reader, the partition counts and a way to declare a wait.
    """
    if not runtime.await_kafka():
        return
    try:
        asyncio.run(_run(runtime, make))
    except (KeyError, SystemExit):
        raise
    except OffsetGone as error:
        runtime.failed(error)
        runtime.stop_here(str(error))
    except Exception as error:
        runtime.failed(error)
        raise SystemExit(1) from None
    finally:
        runtime.close()


async def _run(runtime: Runtime, make: Callable[[Reader, dict[str, int], Callable[[str | None], None]], Work]) -> None:
    reader = Reader(runtime.aiokafka())
    holder: list[Worker] = []

    def declare(reason: str | None) -> None:
        for worker in holder:
            worker.declared = reason

    counts = await _partitions(runtime, reader)
    worker = Worker(make(reader, counts, declare), runtime.faust(), Watching(runtime), reader)
    holder.append(worker)
    runtime.health = worker.health
    begun = time.monotonic()

    async def announce() -> None:
        while not worker.assigned:
            await asyncio.sleep(0.05)
        runtime.started()
        runtime.telemetry.log.debug("assigned", seconds=round(time.monotonic() - begun, 2))

    announcing = asyncio.create_task(announce())
    try:
        await worker.run()
    finally:
        announcing.cancel()
    if worker.instance is not None:
        await asyncio.to_thread(leave, runtime.kafka_python(), worker.work.group, worker.instance)


async def _partitions(runtime: Runtime, reader: Reader) -> dict[str, int]:
    try:
        return await reader.partitions(runtime.plan.topics)
    except KeyError as error:
        runtime.stop_here(f"topic {error.args[0]} does not exist; run `hub topics apply`")
        raise
