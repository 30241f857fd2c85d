"""A loop by hand over librdkafka: consume, convert, produce, await the acknowledgements, commit every half second."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, Producer, TopicPartition
from job import Job, arguments

bootstrap, source, target, group = arguments()
convert = Job().convert
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
done: dict[int, int] = {}
committed = time.monotonic()
while True:
    for message in consumer.consume(2000, 0.2):
        producer.produce(target, convert(message.value()), message.key())
        done[message.partition()] = message.offset() + 1
    producer.poll(0)
    if done and time.monotonic() - committed > 0.5:
        if producer.flush(30):
            raise SystemExit("not acknowledged")
        consumer.commit(offsets=[TopicPartition(source, *pair) for pair in done.items()], asynchronous=False)
        done.clear()
        committed = time.monotonic()
