"""Faust as its documentation shows it: an agent, an event at a time, the acknowledgement awaited."""

from __future__ import annotations

import faust
from job import Job, arguments

bootstrap, source, target, group = arguments()
convert = Job().convert
app = faust.App(
    group,
    broker=f"kafka://{bootstrap}",
    value_serializer="raw",
    key_serializer="raw",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
    producer_acks=-1,
)
incoming = app.topic(source, value_type=bytes, key_type=bytes)
outgoing = app.topic(target, value_type=bytes, key_type=bytes)


@app.agent(incoming)
async def pass_on(stream: faust.StreamT) -> None:
    """Convert one event after the other."""
    async for event in stream.events():
        await outgoing.send(key=event.key, value=convert(event.value))


app.finalize()
faust.Worker(app, loglevel="ERROR").execute_from_commandline()
