"""A loop by hand over kafka-python."""

from __future__ import annotations

import time

from job import Job, arguments
from kafka import KafkaConsumer, KafkaProducer

bootstrap, source, target, group = arguments()
convert = Job().convert
consumer = KafkaConsumer(
    source, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
)
producer = KafkaProducer(
    bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5, batch_size=262_144
)
committed = time.monotonic()
while True:
    pending = [
        producer.send(target, key=message.key, value=convert(message.value))
        for messages in consumer.poll(timeout_ms=500, max_records=4000).values()
        for message in messages
    ]
    producer.flush()
    for future in pending:
        future.get(30)
    if time.monotonic() - committed > 0.5:
        consumer.commit()
        committed = time.monotonic()
