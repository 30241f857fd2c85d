"""Raw records are written once the broker has them; a broker that was away is found again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from hub.kafka import raw
from hub.model.errors import Transient
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


def written(node: Kafka) -> set[str]:
    """Read the keys of all records."""
    partition = TopicPartition("raw.vendor", 0)
    consumer = KafkaConsumer(bootstrap_servers=node.bootstrap)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    keys: set[str] = set()
    while consumer.position(partition) < end:
        keys |= {record.key.decode() for records in consumer.poll(1000).values() for record in records}
    consumer.close()
    return keys


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
            away.append(f"{name}: {error.reason}")

    node.pause()
    threads = [threading.Thread(target=emit, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.resume()
    assert len(away) == 2
    assert all("Kafka" in told for told in away)
    writer.emit("vendor", wish("after"))
    writer.close()
    assert {"before", "after"} <= written(node)


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
