"""Which products are paused: a compacted topic that every normalise worker follows and anybody may write to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hub.kafka.produce import Message
from hub.kafka.wire import SWITCH_TOPIC

GRACE_SECONDS = 600
"""How long the breaker stays closed after somebody has resumed a product."""


class Switch(NamedTuple):
    """What was last said about a product."""

    paused: bool
    who: str
    why: str
    at: int
    """UTC milliseconds."""


def message(product: str, switch: Switch) -> Message:
    """Write a switch."""
    return Message(SWITCH_TOPIC, product.encode(), json.dumps(switch._asdict(), ensure_ascii=False).encode(), ())


def read(value: bytes | None) -> Switch | None:
    """Read what `message` wrote; None for anything else."""
    try:
        said = json.loads(value or b"")
        return Switch(said["paused"] is True, str(said["who"]), str(said["why"]), int(said["at"]))
    except (ValueError, KeyError, TypeError):
        return None


class Switches:
    """Follows the topic for as long as the worker lives."""

    def __init__(self, options: Mapping[str, Any], partitions: int, changed: Callable[[str, Switch], None]) -> None:
        """`options` are aiokafka's connection settings; `changed` is told of each switch."""
        self._options = options
        self._partitions = partitions
        self._changed = changed
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self.now: dict[str, Switch] = {}

    async def start(self) -> None:
        """Read all that was said before, then go on in the background."""
        consumer = AIOKafkaConsumer(
            group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", **self._options
        )
        await consumer.start()
        self._consumer = consumer
        tps = [TopicPartition(SWITCH_TOPIC, number) for number in range(self._partitions)]
        consumer.assign(tps)
        # The broker answers in order, and a fetch that finds nothing takes half a second.
        consumer.pause(*tps)
        # Not `seek_to_beginning`: it does not ask for a new leader when one has moved, and waits for 40 s.
        for tp, first in (await consumer.beginning_offsets(tps)).items():
            consumer.seek(tp, first)
        ends = await consumer.end_offsets(tps)
        consumer.resume(*tps)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            await self._take(consumer)
        self._task = asyncio.create_task(self._follow(consumer))

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
        if self._consumer is not None:
            await self._consumer.stop()

    def paused(self, product: str) -> Switch | None:
        """Return who paused a product and why; None: it is not."""
        switch = self.now.get(product)
        return switch if switch is not None and switch.paused else None

    def set(self, product: str, switch: Switch) -> None:
        """Take a switch at once; what is read later says the same."""
        if switch != self.now.get(product):
            self.now[product] = switch
            self._changed(product, switch)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                await self._take(consumer)
            except KafkaError:
                # A broker that is away does not change what is paused.
                await asyncio.sleep(1.0)

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                switch = read(record.value)
                if switch is not None:
                    self.set((record.key or b"").decode("utf-8", "replace"), switch)
