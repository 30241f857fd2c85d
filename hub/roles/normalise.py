"""normalise: raw records to events."""

from __future__ import annotations

from collections.abc import Sequence

from hub.config import Settings
from hub.kafka.normalise import Normalise
from hub.kafka.produce import BatchProducer
from hub.model.decision import Decision
from hub.roles.runtime import Runtime
from hub.roles.worker import run as run_worker
from hub.telemetry.events import ParkedChanged, RecordsDecided


class _Decisions:
    def __init__(self, runtime: Runtime) -> None:
        self._telemetry = runtime.telemetry

    def decided(self, product: str, decisions: Sequence[Decision]) -> None:
        RecordsDecided(product, decisions).emit(self._telemetry)

    def parked(self, product: str, partition: int, subjects: int, oldest: float) -> None:
        ParkedChanged(product, partition, subjects, oldest).emit(self._telemetry)


def run(settings: Settings) -> None:
    """Work until SIGTERM."""
    runtime = Runtime("normalise", settings)
    plan = runtime.plan
    epochs = {product: plan.epoch(product) for product in runtime.connectors}
    run_worker(
        runtime,
        lambda reader, counts, _declare: Normalise(
            runtime.connectors,
            runtime.schemas,
            epochs,
            reader,
            BatchProducer(runtime.aiokafka(), counts),
            _Decisions(runtime),
        ),
    )
