"""Raw records are written once the broker has them; a broker that was away is found again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.protocol.api_header import ResponseClassRegistry

from hub.kafka import raw
from hub.kafka.produce import BatchProducer, Message
from hub.model.errors import TooLarge, Transient
from hub.model.intake import Emit
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kafka]:
    """Run a node of this test's own: it is frozen."""
    with Kafka(tmp_path) as node:
        admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
        admin.create_topics([NewTopic("raw.vendor", 1, 1)])
        admin.close()
        yield node


def wish(name: str) -> Emit:
    """Make a record to write."""
    return Emit("feed", name, b"{}", 1, "application/json")


def written(node: Kafka, topic: str = "raw.vendor") -> set[str]:
    """Read the keys of all records."""
    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(bootstrap_servers=node.bootstrap)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    keys: set[str] = set()
    while consumer.position(partition) < end:
        keys |= {record.key.decode() for records in consumer.poll(1000).values() for record in records}
    consumer.close()
    return keys


def test_no_reply_is_left_for_two_threads_to_make_at_once() -> None:
    """Nobody holds one of the two, and if that is the one in kafka-python's registry, the process is deaf to it."""
    raw.RawWriter({}).close()
    for found in ResponseClassRegistry._response_class_registry.values():
        reply = found[None]
        assert set(reply._VERSIONS) == set(range(reply.min_version, reply.max_version + 1)), reply.__name__


def test_a_broker_that_was_away_too_long_is_found_again(node: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not take in time is told to each source; the next record is written."""
    monkeypatch.setattr(raw, "ACKNOWLEDGED_SECONDS", 3.0)
    writer = raw.RawWriter({"bootstrap_servers": node.bootstrap})
    writer.emit("vendor", wish("before"))
    away: list[str] = []

    def emit(name: str) -> None:
        try:
            writer.emit("vendor", wish(name))
        except Transient as error:
            away.append(f"{error.cause}: {error.reason}")

    node.pause()
    threads = [threading.Thread(target=emit, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.resume()
    assert len(away) == 2
    assert all(told.startswith("unwritten: Kafka") for told in away), "it is not the vendor who is to blame"
    writer.emit("vendor", wish("after"))
    writer.close()
    assert {"before", "after"} <= written(node)


def test_what_one_product_waits_for_in_vain_takes_nothing_of_another_along(
    node: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that came while the broker was away, and in time, is written, once, though an older one was given up."""
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    admin.create_topics([NewTopic("raw.other", 1, 1)])
    admin.close()
    monkeypatch.setattr(raw, "ACKNOWLEDGED_SECONDS", 6.0)
    writer = raw.RawWriter({"bootstrap_servers": node.bootstrap})
    for product in ("vendor", "other"):
        writer.emit(product, wish("before"))
    told: dict[str, str] = {}

    def emit(product: str) -> None:
        try:
            writer.emit(product, wish("meanwhile"))
            told[product] = "written"
        except Transient:
            told[product] = "away"

    node.pause()
    threads = [threading.Thread(target=emit, args=(product,)) for product in ("vendor", "other")]
    threads[0].start()
    time.sleep(5)
    threads[1].start()
    time.sleep(2.5)
    node.resume()
    for thread in threads:
        thread.join()
    writer.close()
    assert told == {"vendor": "away", "other": "written"}
    assert written(node, "raw.other") == {"before", "meanwhile"}


def test_a_short_silence_is_waited_for(node: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that comes back in time has the record, and the source hears nothing of it."""
    monkeypatch.setattr(raw, "ACKNOWLEDGED_SECONDS", 6.0)
    writer = raw.RawWriter({"bootstrap_servers": node.bootstrap})
    writer.emit("vendor", wish("before"))
    node.pause()
    timer = threading.Timer(3.0, node.resume)
    timer.start()
    writer.emit("vendor", wish("meanwhile"))
    writer.close()
    assert written(node) == {"before", "meanwhile"}


def test_what_is_too_large_is_told_at_once_and_the_next_is_written(kafka: Kafka) -> None:
    """On both sides of the limit, by us and by a topic that takes less; a copy of the largest fits its quarantine."""
    names = {f"raw.{name}": limit for name, limit in (("large", raw.LARGEST), ("small", 50_000), ("copy", 3 * 2**20))}
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics(
        [NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(limit)}) for name, limit in names.items()]
    )
    admin.close()
    writer = raw.RawWriter({"bootstrap_servers": kafka.bootstrap})
    taken = []
    for room in (0, 50, 100, 150, 200, 300, 400):
        try:
            writer.emit("large", replace(wish("k"), value=b"x" * (raw.LARGEST - room)))
            taken.append(room)
        except TooLarge:
            assert not taken
    assert taken
    with pytest.raises(TooLarge):
        writer.emit("small", replace(wish("large"), value=b"x" * 60_000))
    writer.emit("small", wish("after"))
    writer.set_aside("small", replace(wish("aside"), value=b"x" * 60_000), "0" * 64)
    writer.close()
    assert written(kafka, "raw.small") == {"after", "aside"}

    async def copy() -> None:
        producer = BatchProducer({"bootstrap_servers": kafka.bootstrap}, {"raw.copy": 1})
        await producer.start()
        header = ("h", b"x" * (raw.LARGEST - 100))
        copied = Message("raw.copy", b"copy", b"", (header, header), partition=0)
        assert len(await producer.write([Message("raw.copy", b"before", b"1", (), partition=0), copied])) == 2
        await producer.stop()

    asyncio.run(copy())
    assert written(kafka, "raw.copy") == {"before", "copy"}
