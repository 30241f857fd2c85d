"""Follow what happens to citizens, with nothing but the stock Confluent client.

python examples/subscriber.py BOOTSTRAP REGISTRY [SECONDS]
"""

import sys
import time

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "citizen.event.v1"
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "my-service", "auto.offset.reset": "earliest"})
consumer.subscribe([TOPIC])
decode = AvroDeserializer(SchemaRegistryClient({"url": sys.argv[2]}))
end = time.monotonic() + float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
seen: set[tuple[bytes, bytes]] = set()
while time.monotonic() < end:
    message = consumer.poll(0.5)
    if message is None or message.error():
        continue
    headers = dict(message.headers())
    # Delivered at least once: the citizen and the event's id say what was seen before.
    if (message.key(), headers["ce_id"]) in seen:
        continue
    seen.add((message.key(), headers["ce_id"]))
    event = decode(message.value(), SerializationContext(TOPIC, MessageField.VALUE))
    kind = headers["ce_type"].decode().rpartition(".")[2]
    print(headers["ce_time"].decode(), kind, {name: value for name, value in event.items() if value}, flush=True)
consumer.close()
