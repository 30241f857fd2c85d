"""FastStream with a batch subscriber: records published one by one, the acknowledgements awaited together."""

from __future__ import annotations

import asyncio

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from job import Job, arguments

bootstrap, source, target, group = arguments()
convert = Job().convert
broker = KafkaBroker(bootstrap, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=262_144, logger=None)


@broker.subscriber(
    source,
    group_id=group,
    batch=True,
    max_records=4000,
    auto_offset_reset="earliest",
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def pass_on(message: KafkaMessage) -> None:
    """Convert a batch, and wait until the broker has all of it."""
    # `publish_batch` puts a whole batch on one partition, whatever its keys.
    futures = [
        await broker.publish(convert(raw.value), target, key=raw.key, no_confirm=True) for raw in message.raw_message
    ]
    await asyncio.gather(*futures)


asyncio.run(FastStream(broker, logger=None).run())
