"""A loop by hand over aiokafka: whole fetches, all acknowledgements of a fetch, commit every half second."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from job import Job, arguments

bootstrap, source, target, group = arguments()


async def main() -> None:
    """Run until killed."""
    convert = Job().convert
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=262_144
    )
    await consumer.start()
    await producer.start()
    committed = time.monotonic()
    while True:
        pending = []
        for tp, messages in (await consumer.getmany(timeout_ms=500, max_records=4000)).items():
            builder = producer.create_batch()
            for message in messages:
                value = convert(message.value)
                if builder.append(key=message.key, value=value, timestamp=None) is None:
                    builder.close()
                    pending.append(await producer.send_batch(builder, target, partition=tp.partition))
                    builder = producer.create_batch()
                    builder.append(key=message.key, value=value, timestamp=None)
            builder.close()
            pending.append(await producer.send_batch(builder, target, partition=tp.partition))
        await asyncio.gather(*pending)
        if time.monotonic() - committed > 0.5:
            await consumer.commit()
            committed = time.monotonic()


asyncio.run(main())
