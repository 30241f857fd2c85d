"""Write raw records: synchronous, idempotent, acknowledged one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from hub.kafka import wire
from hub.model.errors import Transient
from hub.model.intake import Emit
from hub.model.record import Header, Headers

ACKNOWLEDGED_SECONDS = 30.0
"""How long a produce may take before its source is told to come back later."""


class _Producer(KafkaProducer):
    """A producer that can be closed while records wait: `close()` flushes, and gave up where that failed."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait for what was sent; the futures tell what became of it."""
        with suppress(KafkaError):
            super().flush(timeout)


class RawWriter:
    """A kafka-python producer that returns only once the broker has the record."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are kafka-python's connection settings."""
        self._options = {
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "max_request_size": 4 * 1024 * 1024,
            "delivery_timeout_ms": int(ACKNOWLEDGED_SECONDS * 1000),
            # A connection that went silent is made anew in time for another try.
            "request_timeout_ms": int(ACKNOWLEDGED_SECONDS * 1000 / 3),
            **options,
        }
        self._lock = threading.Lock()
        self._producer: _Producer | None = _Producer(**self._options)

    def emit(self, product: str, wish: Emit) -> str:
        """Write a record and return its raw id; raise `Transient` when the broker did not take it in time."""
        raw_id = wish.raw_id or str(uuid4())
        headers = [
            (Header.FEED, wish.feed.encode()),
            (Header.RAW_ID, raw_id.encode()),
            (Header.READ_AT, str(wish.read_at).encode()),
            (Header.CONTENT_TYPE, wish.content_type.encode()),
        ]
        if wish.answer is not None:
            headers.append((Header.ANSWER, wish.answer.encode()))
        self._send(wire.raw_topic(product), wish.key.encode(), wish.value, headers)
        return raw_id

    def keep(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """Write a record of the hub's own: a cursor, a set of links."""
        self._send(topic, key, value, list(headers))

    def _send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        started = time.monotonic()
        producer = None
        try:
            producer = self._connected()
            # `flush()` does not raise: the future is what tells.
            future = producer.send(topic, key=key, value=value, headers=headers)
            future.get(timeout=ACKNOWLEDGED_SECONDS)
        except MessageSizeTooLargeError:
            raise
        except KafkaError as error:
            if producer is not None:
                self._drop(producer)
            waited = time.monotonic() - started
            raise Transient(f"Kafka: {type(error).__name__} after {waited:.0f} s") from error

    def _connected(self) -> _Producer:
        with self._lock:
            if self._producer is None:
                self._producer = _Producer(**self._options)
            return self._producer

    def _drop(self, failed: _Producer) -> None:
        """Take another producer next time: an idempotent one whose batch expired never sends again."""
        with self._lock:
            if self._producer is not failed:
                return
            self._producer = None
        failed.close(timeout=0)

    def close(self) -> None:
        """Disconnect; every record has been acknowledged or given up by now."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=5)
