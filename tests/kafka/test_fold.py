"""Reading partitions whole, hundreds of them at once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CoordinatorLoadInProgressError, KafkaError

from hub.kafka import fold
from hub.kafka.fold import Reader
from hub.kafka.produce import BatchProducer, Message
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka
COUNT = 24
EACH = 50


async def _filled(kafka: Kafka) -> tuple[dict[str, Any], str]:
    options = {"bootstrap_servers": kafka.bootstrap}
    topic = f"fold.{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    await admin.create_topics([NewTopic(topic, COUNT + 1, 1)])
    await admin.close()
    producer = BatchProducer(options, {topic: COUNT + 1})
    await producer.start()
    # The last partition stays empty.
    for number in range(EACH):
        await producer.write(Message(topic, b"k", b"%d" % number, (), partition) for partition in range(COUNT))
    await producer.stop()
    return options, topic


async def _read(reader: Reader, tp: tuple[str, int], **bounds: int) -> list[int]:
    return [int(record.value) async for records in reader.whole(tp, **bounds) for record in records]


def test_partitions_that_are_wished_for_together_share_a_connection(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes whole, in order and within its bounds, also one that is wished for twice; few consumers connect."""
    begun = 0
    start = AIOKafkaConsumer.start

    async def counted(self: AIOKafkaConsumer) -> None:
        nonlocal begun
        begun += 1
        await start(self)

    monkeypatch.setattr(AIOKafkaConsumer, "start", counted)

    async def story() -> None:
        options, topic = await _filled(kafka)
        reader = Reader(options)
        whole = [_read(reader, (topic, number)) for number in range(COUNT)]
        others = [
            _read(reader, (topic, 0), since=10, until=20),
            _read(reader, (topic, 1), until=0),
            _read(reader, (topic, COUNT)),
        ]
        *found, part, nothing, empty = await asyncio.wait_for(asyncio.gather(*whole, *others), 30)
        assert found == [list(range(EACH))] * COUNT
        assert part == list(range(10, 20))
        assert nothing == empty == []

    asyncio.run(story())
    assert begun <= 3


def test_who_stops_reading_keeps_nobody_waiting(kafka: Kafka) -> None:
    """A lane that ends while it folds is forgotten; the others get all that is theirs."""

    async def story() -> None:
        options, topic = await _filled(kafka)
        reader = Reader(options)

        async def never_done() -> None:
            async for _ in reader.whole((topic, 0)):
                await asyncio.sleep(60)

        ending = asyncio.create_task(never_done())
        others = asyncio.gather(*(_read(reader, (topic, number)) for number in range(1, COUNT)))
        await asyncio.sleep(1)
        ending.cancel()
        assert await asyncio.wait_for(others, 20) == [list(range(EACH))] * (COUNT - 1)

    asyncio.run(story())


def test_a_broker_that_is_away_is_told_to_all_who_wait() -> None:
    """Nobody waits for ever."""

    async def story() -> None:
        reader = Reader({"bootstrap_servers": "127.0.0.1:1"})
        found = await asyncio.wait_for(
            asyncio.gather(*(_read(reader, ("nothing", number)) for number in range(3)), return_exceptions=True), 20
        )
        assert [type(error).__name__ for error in found if isinstance(error, Exception)] == ["KafkaConnectionError"] * 3

    asyncio.run(story())


def test_a_group_whose_coordinator_moves_is_not_one_that_never_committed(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aiokafka's answer names no partition meanwhile; what is found in the end is what was committed."""
    ask = AIOKafkaAdminClient.list_consumer_group_offsets
    answers: list[Any] = [{}, CoordinatorLoadInProgressError("g"), {}]

    async def moving(self: AIOKafkaAdminClient, group: str, **more: Any) -> Any:
        if answers:
            answer = answers.pop()
            if isinstance(answer, Exception):
                raise answer
            return answer
        return await ask(self, group, **more)

    async def story() -> None:
        options, topic = await _filled(kafka)
        group = uuid4().hex
        consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **options)
        await consumer.start()
        consumer.assign([TopicPartition(topic, 3)])
        await consumer.commit({TopicPartition(topic, 3): 7})
        await consumer.stop()
        monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", moving)
        assert await Reader(options).committed(group, [(topic, 3), (topic, 4)]) == {(topic, 3): 7}
        assert answers == []
        monkeypatch.setattr(fold, "PATIENCE_SECONDS", 0.3)
        answers.extend([{}] * 1000)
        with pytest.raises(KafkaError):
            await Reader(options).committed(group, [(topic, 3)])

    asyncio.run(story())
