"""Produce whole batches: one request per partition, every acknowledgement awaited, order kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from hub.model.record import Headers


class Message(NamedTuple):
    """One record to write."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers
    partition: int | None = None
    """None: by murmur2 of the key, as every other client does."""


class Written(NamedTuple):
    """What was written to a partition in one go."""

    topic: str
    partition: int
    first: int
    """Offset of the first record; -1: the broker has them and does not say where."""
    records: int


@lru_cache(maxsize=200_000)
def partition_of(key: bytes, count: int) -> int:
    """Return the partition that every stock client would choose."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class BatchProducer:
    """An idempotent producer with `acks=all`."""

    def __init__(self, options: Mapping[str, Any], partitions: Mapping[str, int]) -> None:
        """`partitions` gives the partition count of every topic that is written to."""
        self._options = options
        self._partitions = partitions
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=256 * 1024,
            max_request_size=4 * 1024 * 1024,
            request_timeout_ms=60_000,
            **self._options,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def write(self, messages: Iterable[Message]) -> list[Written]:
        """Write all, return where once the broker has acknowledged every one; raise when it refused one."""
        producer = self._producer
        if producer is None:
            raise RuntimeError("not started")
        grouped: dict[tuple[str, int], list[Message]] = {}
        for message in messages:
            partition = message.partition
            if partition is None:
                partition = partition_of(message.key, self._partitions[message.topic])
            grouped.setdefault((message.topic, partition), []).append(message)
        pending: list[tuple[str, int, int, asyncio.Future[Any]]] = []
        for (topic, partition), group in grouped.items():
            builder = producer.create_batch()
            for message in group:
                if self._append(builder, message) is None:
                    pending.append(await self._send(producer, builder, topic, partition))
                    builder = producer.create_batch()
                    self._append(builder, message)
            pending.append(await self._send(producer, builder, topic, partition))
        return [
            Written(topic, partition, (await acknowledged).offset, records)
            for topic, partition, records, acknowledged in pending
        ]

    @staticmethod
    async def _send(
        producer: AIOKafkaProducer, builder: Any, topic: str, partition: int
    ) -> tuple[str, int, int, asyncio.Future[Any]]:
        builder.close()
        records = builder.record_count()
        return topic, partition, records, await producer.send_batch(builder, topic, partition=partition)

    @staticmethod
    def _append(builder: Any, message: Message) -> Any:
        return builder.append(key=message.key, value=message.value, timestamp=None, headers=list(message.headers))
