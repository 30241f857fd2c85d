"""The role *normalise*: raw records to canonical events, quarantine and memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, cast

from aiokafka import ConsumerRecord
from faust.types import TP

from hub.kafka import wire
from hub.kafka.fold import Reader
from hub.kafka.produce import BatchProducer, Message
from hub.kafka.worker import Batch
from hub.model.connector import Connector
from hub.model.decision import Decision, Deliver, Quarantine
from hub.model.errors import Code
from hub.model.record import Header
from hub.pipeline.parking import Partition, decide
from hub.pipeline.process import Encoder


class Decisions(Protocol):
    """What normalise tells about itself."""

    def decided(self, product: str, decisions: Sequence[Decision]) -> None:
        """Count and log what was decided, once it has been carried out."""
        ...

    def parked(self, product: str, partition: int, subjects: int, oldest: float) -> None:
        """Tell how many subjects of a partition wait, and since when (UTC seconds, 0 for none)."""
        ...


class Normalise:
    """Decides records by `decide`, writes what follows, in the order that loses nothing."""

    group = "hub.normalise"

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        schemas: Encoder,
        epochs: Mapping[str, int],
        reader: Reader,
        producer: BatchProducer,
        watch: Decisions,
    ) -> None:
        """`epochs` gives the epoch of each product's raw topic."""
        self.topics = [wire.raw_topic(product) for product in connectors]
        self._connectors = {wire.raw_topic(product): connector for product, connector in connectors.items()}
        self._schemas = schemas
        self._epochs = epochs
        self._reader = reader
        self._producer = producer
        self._watch = watch
        self._known: dict[Hashable, Partition] = {}
        self._oldest: dict[Hashable, float] = {}

    def lane(self, tp: TP) -> Hashable:
        """Give each raw partition a lane: products do not wait for one another."""
        return tp

    def leading(self, tp: TP) -> bool:
        """Nothing leads: a partition needs only its own past."""
        return False

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Learn what is parked and what each key's last record left behind."""
        topic, number = tp = cast(TP, lane)
        product = self._connectors[topic].product
        epoch = self._epochs[product]
        partition = Partition()
        first = committed.get(tp, 0)
        oldest = 0.0
        async for records in self._reader.whole((wire.quarantine_topic(product), number)):
            for record in records:
                found = wire.quarantined(record)
                if found is None or found.epoch != epoch:
                    continue
                if found.parks:
                    oldest = min(oldest or record.timestamp / 1000, record.timestamp / 1000)
                    held = partition.parked.get(found.key, found.offset)
                    partition.parked[found.key] = min(held, found.offset)
                if found.offset >= first:
                    partition.quarantined[found.offset] = Code(found.code)
        async for records in self._reader.whole((wire.state_topic(product), number)):
            for record in records:
                state = wire.state_of(record)
                if state is None:
                    partition.states.pop(record.key, None)
                else:
                    partition.states[record.key] = state
        self._known[lane], self._oldest[lane] = partition, oldest
        self._watch.parked(product, number, len(partition.parked), oldest)

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Decide a batch of one partition; outputs, then states, each acknowledged."""
        for tp, records in batch.items():
            await self._one(tp, records)

    async def _one(self, tp: TP, records: Sequence[ConsumerRecord]) -> None:
        connector = self._connectors[tp.topic]
        product = connector.product
        known = self._known[tp]
        epoch = self._epochs[product]
        parked = len(known.parked)
        decided = decide(
            (wire.raw_record(record, product, epoch) for record in records if not _control(record)),
            known,
            connector,
            self._schemas,
        )
        outputs: list[Message] = []
        for decision in decided.decisions:
            if isinstance(decision, Deliver):
                outputs.append(wire.event_message(decision.event))
            elif isinstance(decision, Quarantine):
                outputs.append(wire.quarantine_message(decision, connector))
        await self._producer.write(outputs)
        await self._producer.write(
            wire.state_message(product, tp.partition, key, state) for key, state in decided.states.items()
        )
        # A redelivery starts at the committed offset, so older codes are never asked for again; the
        # margin is what may have been done and not yet committed.
        if len(known.quarantined) > 50_000:
            for offset in sorted(known.quarantined)[:25_000]:
                del known.quarantined[offset]
        self._watch.decided(product, decided.decisions)
        if len(known.parked) != parked:
            self._oldest[tp] = self._oldest[tp] or records[0].timestamp / 1000
            self._watch.parked(product, tp.partition, len(known.parked), self._oldest[tp])


def _control(record: ConsumerRecord) -> bool:
    return any(name == Header.CONTROL for name, _ in record.headers)
