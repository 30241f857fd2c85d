"""The operator's side of the quarantine: what waits there, and commands to whoever owns it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

from kafka import KafkaProducer, TopicPartition

from hub.kafka import wire
from hub.kafka.reading import ends, reader, whole
from hub.model import command as commands
from hub.model.command import Kind
from hub.model.record import Header, Record
from hub.pipeline.parking import State
from hub.pipeline.shelf import Memory, Shelf


class Order(NamedTuple):
    """A command to be sent."""

    partition: int
    key: bytes
    kind: Kind
    drop: tuple[int, ...] = ()
    notify: bool = False
    target: int = -1
    rev: int = 0
    value: bytes = b""


@dataclass
class Bench:
    """A product's quarantine as it is now."""

    shelves: dict[int, Shelf] = field(default_factory=dict)
    states: dict[int, Mapping[bytes, State]] = field(default_factory=dict)


class Workbench:
    """Reads one product's quarantine, and writes commands into its raw topic."""

    def __init__(self, options: Mapping[str, Any], product: str, epoch: int) -> None:
        """`options` are kafka-python's connection settings."""
        self._options = options
        self.product = product
        self._epoch = epoch

    def read(self, keeps: Callable[[bytes], bool] = lambda _key: True) -> Bench:
        """Fold the quarantine and the states; `keeps` says of which raw keys the bytes are kept."""
        bench = Bench()
        memories: dict[int, Memory] = {}
        with reader(self._options) as consumer:
            for record in whole(consumer, wire.quarantine_topic(self.product)):
                note = wire.note(record, self.product)
                if note is not None and note.life in (None, self._epoch):
                    bench.shelves.setdefault(record.partition, Shelf(keeps)).add(note)
            for record in whole(consumer, wire.state_topic(self.product)):
                wire.remember(record, memories.setdefault(record.partition, Memory()))
        bench.states = {number: memory.states for number, memory in memories.items()}
        return bench

    def offsets(self, since: int) -> dict[int, int]:
        """Return the first raw offset of each partition that was written at or after a moment, UTC milliseconds."""
        topic = wire.raw_topic(self.product)
        with reader(self._options) as consumer:
            last = ends(consumer, topic)
            found = consumer.offsets_for_times({TopicPartition(topic, number): since for number in last})
            return {tp.partition: at.offset if at is not None else last[tp.partition] for tp, at in found.items()}

    def raw(self, since: Mapping[int, int]) -> Iterator[Record]:
        """Yield raw records from the given offset of each partition on, without commands."""
        with reader(self._options) as consumer:
            for record in whole(consumer, wire.raw_topic(self.product), since=since):
                item = wire.raw_item(record, self.product, self._epoch)
                if isinstance(item, Record):
                    yield item

    def send(
        self, orders: Sequence[Order], *, who: str, why: str, seconds: float
    ) -> tuple[list[Mapping[str, Any]], int]:
        """Send commands and wait for what becomes of them; return the reports, and how many did not come in time."""
        topic = wire.quarantine_topic(self.product)
        with reader(self._options) as consumer:
            position = ends(consumer, topic)
            waited = set(self._write(orders, who, why))
            reports: list[Mapping[str, Any]] = []
            limit = time.monotonic() + seconds
            while waited and time.monotonic() < limit:
                for record in whole(consumer, topic, since=position):
                    position[record.partition] = record.offset + 1
                    report = wire.report(record)
                    if report is not None and report["command"] in waited:
                        waited.discard(report["command"])
                        reports.append(report)
                if waited:
                    time.sleep(0.1)
        return reports, len(waited)

    def _write(self, orders: Iterable[Order], who: str, why: str) -> list[str]:
        producer = KafkaProducer(acks="all", enable_idempotence=True, linger_ms=20, **self._options)
        try:
            futures, ids = [], []
            for order in orders:
                name = str(uuid4())
                header = commands.write(
                    name,
                    order.kind,
                    who=who,
                    why=why,
                    drop=order.drop,
                    notify=order.notify,
                    target=order.target,
                    rev=order.rev,
                )
                futures.append(
                    producer.send(
                        wire.raw_topic(self.product),
                        key=order.key,
                        value=order.value,
                        partition=order.partition,
                        headers=[(Header.CONTROL, header)],
                    )
                )
                ids.append(name)
            for future in futures:
                future.get(timeout=30)
            return ids
        finally:
            producer.close(timeout=5)
