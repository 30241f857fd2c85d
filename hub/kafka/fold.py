"""Read topics outside a group: offsets, and whole compacted partitions folded into state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


class Reader:
    """Reads what a worker must know before it starts; one per process."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are aiokafka's connection settings."""
        self._options = options

    async def committed(self, group: str, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the group's committed offsets; a partition without one is left out."""
        wanted = list(tps)
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(group, partitions=[TopicPartition(*tp) for tp in wanted])
        finally:
            await admin.close()
        return {tp: found[tp].offset for tp in wanted if tp in found and found[tp].offset >= 0}

    async def ends(self, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the end offsets."""
        wanted = list(tps)
        if not wanted:
            return {}
        async with self._consumer() as consumer:
            found = await consumer.end_offsets([TopicPartition(*tp) for tp in wanted])
            return {tp: found[tp] for tp in wanted}

    async def begins(self, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the offsets of the first records that are still there."""
        wanted = list(tps)
        async with self._consumer() as consumer:
            found = await consumer.beginning_offsets([TopicPartition(*tp) for tp in wanted])
            return {tp: found[tp] for tp in wanted}

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """Return the partition count of each topic; KeyError names one that does not exist."""
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            found = {item["topic"]: item for item in await admin.describe_topics(list(topics))}
        finally:
            await admin.close()
        counts = {}
        for topic in topics:
            if topic not in found or not found[topic]["partitions"]:
                raise KeyError(topic)
            counts[topic] = len(found[topic]["partitions"])
        return counts

    async def whole(
        self, tp: tuple[str, int], *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield a partition from its start, or from `since`, up to `until` or its end as it is now."""
        partition = TopicPartition(*tp)
        async with self._consumer() as consumer:
            start = max(since, (await consumer.beginning_offsets([partition]))[partition])
            end = (await consumer.end_offsets([partition]))[partition]
            if until is not None:
                end = min(end, until)
            if start >= end:
                return
            consumer.assign([partition])
            consumer.seek(partition, start)
            while await consumer.position(partition) < end:
                found = await consumer.getmany(partition, timeout_ms=500)
                for records in found.values():
                    wanted = [record for record in records if record.offset < end]
                    if wanted:
                        yield wanted

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", **self._options)
