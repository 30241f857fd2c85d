"""normalise: raw records to events."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pydantic import ValidationError

from hub import catalogue
from hub.config import Settings
from hub.kafka.normalise import Normalise
from hub.kafka.produce import BatchProducer
from hub.kafka.switches import Switch
from hub.kafka.wire import SWITCH_TOPIC
from hub.model.command import Command
from hub.model.connector import Connector
from hub.model.decision import Decision
from hub.model.errors import Rejected
from hub.model.record import Record
from hub.pipeline.decode import DECODERS
from hub.pipeline.drift import Drift
from hub.pipeline.parking import Report
from hub.roles.runtime import Runtime
from hub.roles.worker import run as run_worker
from hub.telemetry.events import (
    CommandObeyed,
    ParkedChanged,
    ProductSwitched,
    RecordsDecided,
    RecordsVoid,
    VendorDrifted,
)

LOOK_SECONDS = 1.0
"""Pause between two looks at the format of a feed's records: one is decoded a second time."""


class _Decisions:
    def __init__(self, runtime: Runtime) -> None:
        self._telemetry = runtime.telemetry
        self._drifts: dict[tuple[str, str], Drift] = {}
        self._looked: dict[tuple[str, str], float] = {}

    def decided(self, product: str, decisions: Sequence[Decision]) -> None:
        RecordsDecided(product, decisions).emit(self._telemetry)

    def carried_out(self, connector: Connector, items: Sequence[Record | Command]) -> None:
        item = items[-1]
        feed = connector.feeds.get(item.feed) if isinstance(item, Record) else None
        if feed is None or not isinstance(item, Record) or not item.value:
            return
        at = (connector.product, feed.name)
        now = time.monotonic()
        if now - self._looked.get(at, -LOOK_SECONDS) < LOOK_SECONDS:
            return
        self._looked[at] = now
        if at not in self._drifts:
            repeats = feed.manifest.content_type == "application/xml"
            self._drifts[at] = Drift(catalogue.good_samples(connector, feed), repeats=repeats)
        try:
            document = DECODERS[feed.manifest.content_type](item.value)
            feed.model.model_validate(document)
        except (Rejected, ValidationError):
            return  # It stands in quarantine, by its code.
        changes = self._drifts[at].look(document)
        if changes:
            VendorDrifted(*at, changes).emit(self._telemetry)

    def obeyed(self, product: str, reports: Sequence[Report]) -> None:
        for report in reports:
            CommandObeyed(product, report).emit(self._telemetry)

    def switched(self, product: str, switch: Switch) -> None:
        ProductSwitched(product, *switch).emit(self._telemetry)

    def void(self, topic: str, partition: int, records: int) -> None:
        RecordsVoid(topic, partition, records).emit(self._telemetry)

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
            runtime.aiokafka(),
            counts[SWITCH_TOPIC],
            _Decisions(runtime),
        ),
    )
