"""The clients of the peers that go over librdkafka, set up alike."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer


def clients(bootstrap: str, source: str, group: str) -> tuple[Consumer, Producer]:
    """Return a consumer that follows the topic and commits by hand, and an idempotent producer."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 262_144,
            "queue.buffering.max.messages": 500_000,
            "partitioner": "murmur2_random",
        }
    )
    consumer.subscribe([source])
    return consumer, producer
