"""The hub's own path over librdkafka, and nothing of the worker's: what another transport alone would bring.

The same decisions, ids, order and headers as the role normalise, without its parking, its memory and its membership.
"""

from __future__ import annotations

import time

from confluent_kafka import TopicPartition
from connector import CONNECTOR, PRODUCT
from job import arguments
from librdkafka import clients

from hub import catalogue
from hub.kafka.wire import event_message
from hub.model.decision import Deliver
from hub.model.record import Header, Origin, Record
from hub.pipeline.process import process

bootstrap, source, target, group = arguments()
schemas = catalogue.schemas()
consumer, producer = clients(bootstrap, source, group)
done: dict[int, int] = {}
committed = time.monotonic()
while True:
    for message in consumer.consume(2000, 0.2):
        headers = dict(message.headers())
        record = Record(
            PRODUCT,
            headers[Header.FEED].decode(),
            message.key(),
            message.value(),
            headers[Header.RAW_ID].decode(),
            int(headers[Header.READ_AT]),
            Origin(source, 1, message.partition(), message.offset()),
            headers[Header.CONTENT_TYPE].decode(),
        )
        for decision in process(record, CONNECTOR, schemas).decisions:
            if not isinstance(decision, Deliver):
                raise SystemExit("a record of the job was rejected")
            event = event_message(decision.event)
            producer.produce(target, event.value, event.key, headers=list(event.headers))
        done[message.partition()] = message.offset() + 1
    producer.poll(0)
    if done and time.monotonic() - committed > 0.5:
        if producer.flush(30):
            raise SystemExit("not acknowledged")
        consumer.commit(offsets=[TopicPartition(source, *pair) for pair in done.items()], asynchronous=False)
        done.clear()
        committed = time.monotonic()
