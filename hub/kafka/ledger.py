"""Read topics whole, for the ledger: every raw record, what was set aside, every event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import aiokafka
from kafka import KafkaConsumer, TopicPartition

from hub.kafka import wire
from hub.model.record import Header, Origin, Record

PATIENCE = 5
"""Empty polls in a row after which a partition that never reaches its end is given up: compaction
may have taken the last offsets away."""


class EventSeen(NamedTuple):
    """What the ledger needs of an event."""

    id: str
    type: str
    subject: str
    product: str
    seq: str


@dataclass
class Topics:
    """Everything that stands in the topics of the path."""

    raw: dict[str, list[Record]] = field(default_factory=dict)
    """Raw records by product; each partition's in order."""
    quarantined: dict[Origin, str] = field(default_factory=dict)
    """Code by origin."""
    events: dict[str, EventSeen] = field(default_factory=dict)
    """Events by id."""
    repeated: int = 0
    """How often an event id stood in its topic again: redeliveries, harmless by their id."""
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    """End offset of each partition that was read."""


def read(options: Mapping[str, Any], epochs: Mapping[str, int], domains: Iterable[str]) -> Topics:
    """Read raw, quarantine and event topics.

    `epochs` gives each product's raw epoch, `options` are kafka-python's connection settings.
    """
    found = Topics()
    consumer = KafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=16 * 1024 * 1024,
        **options,
    )
    try:
        for product, epoch in epochs.items():
            found.raw[product] = [
                wire.raw_record(record, product, epoch)
                for record in _whole(consumer, wire.raw_topic(product), found)
                if not any(name == Header.CONTROL for name, _ in record.headers)
            ]
            for record in _whole(consumer, wire.quarantine_topic(product), found):
                aside = wire.quarantined(record)
                if aside is not None:
                    origin = Origin(wire.raw_topic(product), aside.epoch, record.partition, aside.offset)
                    found.quarantined[origin] = aside.code
        for domain in domains:
            for record in _whole(consumer, wire.event_topic(domain), found):
                name = wire.header(record, "ce_id")
                if name in found.events:
                    found.repeated += 1
                    continue
                found.events[name] = EventSeen(
                    id=name,
                    type=wire.header(record, "ce_type"),
                    subject=wire.header(record, "ce_subject"),
                    product=wire.header(record, Header.PRODUCT),
                    seq=wire.header(record, Header.SEQ),
                )
    finally:
        consumer.close()
    return found


def _whole(consumer: KafkaConsumer, topic: str, found: Topics) -> Iterator[aiokafka.ConsumerRecord]:
    """Yield a topic's records, partition after partition, up to its ends as they are now."""
    for number in sorted(consumer.partitions_for_topic(topic) or ()):
        partition = TopicPartition(topic, number)
        end = consumer.end_offsets([partition])[partition]
        found.ends[topic, number] = end
        start = consumer.beginning_offsets([partition])[partition]
        if start >= end:
            continue
        consumer.assign([partition])
        consumer.seek(partition, start)
        silent = 0
        while consumer.position(partition) < end and silent < PATIENCE:
            polled = consumer.poll(timeout_ms=1000, max_records=5000)
            silent = 0 if polled else silent + 1
            for records in polled.values():
                for record in records:
                    if record.offset < end:
                        # Both clients' records have the same attributes.
                        yield cast(aiokafka.ConsumerRecord, record)
