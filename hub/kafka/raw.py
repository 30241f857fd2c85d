"""Write raw records: synchronous, idempotent, acknowledged one by one."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError
from kafka.protocol.api_message import ApiMessage

from hub.kafka import wire
from hub.model.errors import Cause, TooLarge, Transient
from hub.model.intake import Emit
from hub.model.record import Header, Headers

ACKNOWLEDGED_SECONDS = 30.0
"""How long a produce may take before its source is told to come back later."""


LARGEST = 1024 * 1024
"""Bytes of a record, with key and headers, at most; as `deploy/topics.toml` says of raw topics."""
RECORD_BYTES, HEADER_BYTES = 200, 10
"""What Kafka's format adds to a record that is alone in its batch, and to each header, at most."""
LONGEST_NAME = 1000
"""Bytes of a key or an id in the place of a record that was too large."""


class _Producer(KafkaProducer):
    """A producer that can be closed while records wait: `close()` flushes, and gave up where that failed."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait for what was sent; the futures tell what became of it."""
        with suppress(KafkaError):
            super().flush(timeout)


def make_replies() -> None:
    """Make the class of every reply in every version, before a thread meets one.

    kafka-python makes it when it first meets it, and keeps in its registry, weakly, the one that was made last.  Of two
    threads that make the same one at once, one stores its own over the other's, which may be the one in the registry:
    no client of the process understands that reply again.
    """
    for message in ApiMessage.__subclasses__():
        for version in range(message.min_version, message.max_version + 1):
            message[version]


class RawWriter:
    """Kafka-python producers, one for each topic, that return only once the broker has the record.

    One for all would let a record that is not taken in time take those of other products along: kafka-python begins
    a new sequence then, and gives up or repeats whatever else is under way.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are kafka-python's connection settings."""
        make_replies()
        self._options = {
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "max_request_size": LARGEST,
            "delivery_timeout_ms": int(ACKNOWLEDGED_SECONDS * 1000),
            # A connection that went silent is made anew in time for another try.
            "request_timeout_ms": int(ACKNOWLEDGED_SECONDS * 1000 / 3),
            **options,
        }
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._producers: dict[str, _Producer] = {}

    def emit(self, product: str, wish: Emit) -> str:
        """Write a record and return its raw id.

        Raise `Transient` when the broker did not take it in time, `TooLarge` when it never will.
        """
        return self._emit(product, wish, ())

    def set_aside(self, product: str, wish: Emit, digest: str) -> str:
        """Write, in the place of a record that is too large, where its bytes are; return the raw id."""
        address = f"sha256:{digest} {len(wish.value)}".encode()
        small = replace(
            wish,
            key=_short(wish.key),
            value=address,
            raw_id=_short(wish.raw_id) if wish.raw_id is not None else None,
            answer=_short(wish.answer) if wish.answer is not None else None,
        )
        return self._emit(product, small, ((Header.BLOB, address),))

    def _emit(self, product: str, wish: Emit, more: Headers) -> str:
        raw_id = wish.raw_id or str(uuid4())
        headers = [
            (Header.FEED, wish.feed.encode()),
            (Header.RAW_ID, raw_id.encode()),
            (Header.READ_AT, str(wish.read_at).encode()),
            (Header.CONTENT_TYPE, wish.content_type.encode()),
            *more,
        ]
        if wish.answer is not None:
            headers.append((Header.ANSWER, wish.answer.encode()))
        self._send(wire.raw_topic(product), wish.key.encode(), wish.value, headers)
        return raw_id

    def keep(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """Write a record of the hub's own: a cursor, a set of links; raise as `emit` does."""
        self._send(topic, key, value, list(headers))

    def _send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        size = len(key) + len(value) + sum(len(name) + len(text) + HEADER_BYTES for name, text in headers)
        if size + RECORD_BYTES > LARGEST:
            raise TooLarge(f"more than {LARGEST} bytes")
        started = time.monotonic()
        producer = None
        try:
            producer = self._connected(topic)
            # `flush()` does not raise: the future is what tells.
            future = producer.send(topic, key=key, value=value, headers=headers)
            future.get(timeout=ACKNOWLEDGED_SECONDS)
        except MessageSizeTooLargeError:
            if producer is not None:
                # The topic takes less than it should: an idempotent producer has lost its count.
                self._drop(topic, producer)
            raise TooLarge("more bytes than the topic takes") from None
        except KafkaError as error:
            if producer is not None:
                self._drop(topic, producer)
            waited = time.monotonic() - started
            raise Transient(f"Kafka: {type(error).__name__} after {waited:.0f} s", cause=Cause.UNWRITTEN) from error

    def _connected(self, topic: str) -> _Producer:
        with self._lock:
            making = self._making.setdefault(topic, threading.Lock())
        # A new one waits for the broker: only those of its own topic wait with it.
        with making:
            producer = self._producers.get(topic)
            if producer is None:
                producer = _Producer(**self._options)
                with self._lock:
                    self._producers[topic] = producer
            return producer

    def _drop(self, topic: str, failed: _Producer) -> None:
        """Take another producer next time: an idempotent one whose batch expired never sends again."""
        with self._lock:
            if self._producers.get(topic) is not failed:
                return
            del self._producers[topic]
        failed.close(timeout=0)

    def close(self) -> None:
        """Disconnect; every record has been acknowledged or given up by now."""
        with self._lock:
            producers = list(self._producers.values())
            self._producers.clear()
        for producer in producers:
            producer.close(timeout=5)


def _short(name: str) -> str:
    """Return a name as it is, or what stands for it where a vendor's has no end."""
    data = name.encode()
    return name if len(data) <= LONGEST_NAME else f"sha256:{hashlib.sha256(data).hexdigest()}"
