"""FastStream as its documentation shows it: a subscriber, a publisher, a message at a time."""

from __future__ import annotations

import asyncio

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from job import Job, arguments

bootstrap, source, target, group = arguments()
convert = Job().convert
broker = KafkaBroker(bootstrap, acks="all", enable_idempotence=True, logger=None)


@broker.subscriber(source, group_id=group, auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)
async def pass_on(message: KafkaMessage) -> None:
    """Convert a message, and wait until the broker has it."""
    # Without a body of its own among the arguments: FastStream would parse it a second time.
    await broker.publish(convert(message.body), target, key=message.raw_message.key)


asyncio.run(FastStream(broker, logger=None).run())
