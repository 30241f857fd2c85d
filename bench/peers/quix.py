"""Quix Streams: a streaming data frame, at least once."""

from __future__ import annotations

from job import Job, arguments
from quixstreams import Application

bootstrap, source, target, group = arguments()
app = Application(
    broker_address=bootstrap,
    consumer_group=group,
    auto_offset_reset="earliest",
    loglevel=None,
    producer_extra_config={"acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random"},
    auto_create_topics=False,
)
incoming = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
outgoing = app.topic(target, value_serializer="bytes", key_serializer="bytes")
app.dataframe(incoming).apply(Job().convert).to_topic(outgoing)
app.run()
