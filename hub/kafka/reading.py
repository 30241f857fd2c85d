"""Read topics whole with kafka-python, for commands that look at them and end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import aiokafka
from kafka import KafkaConsumer, TopicPartition

PATIENCE = 5
"""Empty polls in a row after which a partition that never reaches its end is given up: compaction
may have taken the last offsets away."""


@contextmanager
def reader(options: Mapping[str, Any]) -> Iterator[KafkaConsumer]:
    """Connect a consumer outside every group; `options` are kafka-python's connection settings."""
    consumer = KafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=16 * 1024 * 1024,
        **options,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def ends(consumer: KafkaConsumer, topic: str) -> dict[int, int]:
    """Return the end offset of each partition; empty for a topic that does not exist."""
    tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    return {tp.partition: end for tp, end in consumer.end_offsets(tps).items()} if tps else {}


def whole(
    consumer: KafkaConsumer, topic: str, *, since: Mapping[int, int] | None = None
) -> Iterator[aiokafka.ConsumerRecord]:
    """Yield a topic's records, partition after partition, up to its ends as they are now; `since`: first offsets."""
    for number, end in ends(consumer, topic).items():
        partition = TopicPartition(topic, number)
        start = consumer.beginning_offsets([partition])[partition]
        if since is not None:
            start = max(start, since.get(number, end))
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
