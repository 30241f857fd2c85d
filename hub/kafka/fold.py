"""Read topics outside a group: offsets, and whole compacted partitions folded into state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

PATIENCE_SECONDS = 30.0
"""How long a group may be without a coordinator that answers for it."""
AGAIN_SECONDS = 0.1
COMPANY_SECONDS = 0.02
"""How long a wish waits for others: what is assigned together is folded together."""


@dataclass(eq=False)
class _Wish:
    """A partition that somebody reads."""

    tp: TopicPartition
    since: int
    until: int | None
    found: asyncio.Queue[list[ConsumerRecord] | BaseException | None] = field(
        # Who folds slowly is waited for: what is fetched must not pile up.
        default_factory=lambda: asyncio.Queue(maxsize=1)
    )
    """What was fetched, then None, or why there is no more."""
    given_up: bool = False


class Reader:
    """Reads what a worker must know before it starts; one per process.

    Partitions that are wished for at about the same time share a consumer: an assignment is hundreds of them,
    and a connection each would take longer than to read them.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are aiokafka's connection settings."""
        self._options = options
        self._wishes: list[_Wish] = []
        self._opening: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()

    async def committed(self, group: str, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the group's committed offsets; a partition without one is left out.

        Waits while another broker becomes the group's coordinator; raise `KafkaError` when none does.
        """
        wanted = list(tps)
        asked = [TopicPartition(*tp) for tp in wanted]
        limit = time.monotonic() + PATIENCE_SECONDS
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            while True:
                try:
                    found = await admin.list_consumer_group_offsets(group, partitions=asked)
                except KafkaError as error:
                    if not error.retriable or time.monotonic() > limit:
                        raise
                else:
                    # aiokafka does not look at an error of the whole answer, which names no partition then: taken for
                    # a group that never committed, all of it would be told again from the start.
                    if found.keys() >= set(asked):
                        return {tp: found[tp].offset for tp in wanted if found[tp].offset >= 0}
                    if time.monotonic() > limit:
                        raise GroupCoordinatorNotAvailableError(group)
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await admin.close()

    async def ends(self, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the end offsets."""
        wanted = list(tps)
        if not wanted:
            return {}
        async with self._consumer() as consumer:
            _look_up(consumer, wanted)
            found = await consumer.end_offsets([TopicPartition(*tp) for tp in wanted])
            return {tp: found[tp] for tp in wanted}

    async def begins(self, tps: Iterable[tuple[str, int]]) -> dict[Any, int]:
        """Return the offsets of the first records that are still there."""
        wanted = list(tps)
        async with self._consumer() as consumer:
            _look_up(consumer, wanted)
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
        wish = _Wish(TopicPartition(*tp), since, until)
        self._wishes.append(wish)
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        try:
            while (found := await wish.found.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            wish.given_up = True
            if wish.found.full():
                wish.found.get_nowait()

    async def _open(self) -> None:
        while self._wishes:
            await asyncio.sleep(COMPANY_SECONDS)
            # A consumer reads a partition once at a time.
            chosen = {wish.tp: wish for wish in reversed(self._wishes)}
            self._wishes = [wish for wish in self._wishes if chosen[wish.tp] is not wish]
            wishes = list(chosen.values())
            consumer = self._consumer()
            try:
                await consumer.start()
            except Exception as error:
                await consumer.stop()
                await _tell(wishes, error)
                continue
            reading = asyncio.create_task(self._read(consumer, wishes))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read(self, consumer: AIOKafkaConsumer, wishes: list[_Wish]) -> None:
        problem = None
        try:
            await _grant(consumer, {wish.tp: wish for wish in wishes})
        except Exception as error:
            problem = error
        finally:
            await consumer.stop()
        await _tell(wishes, problem)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", **self._options)


def _look_up(consumer: AIOKafkaConsumer, tps: Iterable[tuple[str, int]]) -> None:
    """Let a consumer ask once where all partitions are; else it does for one topic after the other, at leisure."""
    partitions = [TopicPartition(*tp) for tp in tps]
    consumer.assign(partitions)
    consumer.pause(*partitions)


async def _grant(consumer: AIOKafkaConsumer, wishes: dict[TopicPartition, _Wish]) -> None:
    _look_up(consumer, wishes)
    begins, ends = await asyncio.gather(consumer.beginning_offsets(list(wishes)), consumer.end_offsets(list(wishes)))
    for tp, wish in list(wishes.items()):
        begin = max(wish.since, begins[tp])
        if wish.until is not None:
            ends[tp] = min(ends[tp], wish.until)
        if begin < ends[tp]:
            consumer.seek(tp, begin)
            consumer.resume(tp)
        else:
            await _tell([wishes.pop(tp)], None)
    while wishes:
        fetched = await consumer.getmany(timeout_ms=500)
        for tp, records in fetched.items():
            wanted = [record for record in records if record.offset < ends[tp]]
            if wanted and tp in wishes and not wishes[tp].given_up:
                await wishes[tp].found.put(wanted)
        for tp, wish in list(wishes.items()):
            if wish.given_up or await consumer.position(tp) >= ends[tp]:
                consumer.pause(tp)
                await _tell([wishes.pop(tp)], None)


async def _tell(wishes: Iterable[_Wish], end: BaseException | None) -> None:
    for wish in wishes:
        if not wish.given_up:
            await wish.found.put(end)
