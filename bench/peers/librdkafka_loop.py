"""A loop by hand over librdkafka: consume, convert, produce, await the acknowledgements, commit every half second."""

from __future__ import annotations

import time

from confluent_kafka import TopicPartition
from job import Job, arguments
from librdkafka import clients

bootstrap, source, target, group = arguments()
convert = Job().convert
consumer, producer = clients(bootstrap, source, group)
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
