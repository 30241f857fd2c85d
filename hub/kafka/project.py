"""The role *project*: events to SQL, many in one transaction."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from aiokafka import ConsumerRecord
from faust.types import TP

from hub.kafka import wire
from hub.kafka.worker import Batch
from hub.model.errors import Rejected, Transient
from hub.model.event import StoredEvent
from hub.model.record import Header, Seq
from hub.repeating import back_off


class Decoder(Protocol):
    """Reads canonical payloads."""

    def decode(self, value: bytes) -> Any:
        """Return the payload; raise `Rejected` for anything else."""
        ...


class Projections(Protocol):
    """What project tells about itself."""

    def unreadable(self, tp: TP, record: ConsumerRecord) -> None:
        """Tell that a record of an event topic is not an event."""
        ...

    def database_away(self, seconds: float, reason: str) -> None:
        """Tell how long the database has been waited for; 0: it is back."""
        ...


class Project:
    """Decodes events and hands them to `write`, which is one transaction."""

    group = "hub.project"

    def __init__(
        self,
        domains: Sequence[str],
        decoder: Decoder,
        write: Callable[[Sequence[StoredEvent]], None],
        watch: Projections,
        declare: Callable[[str | None], None],
    ) -> None:
        """`write` may raise `Transient`; `declare` says that the worker waits, and why."""
        self.topics = [wire.event_topic(domain) for domain in domains]
        self._decoder = decoder
        self._write = write
        self._watch = watch
        self._declare = declare

    def lane(self, tp: TP) -> Hashable:
        """Share one lane: the database has one writer, and one large transaction is cheaper than many."""
        return "sql"

    def leading(self, tp: TP) -> bool:
        """Let the portal's commands come first: who is linked decides who is told."""
        return bool(tp.topic == wire.event_topic("citizen_portal"))

    async def start(self) -> None:
        """Nothing to connect: the database is at hand."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Fold nothing: SQL is the state."""

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Write a batch; wait for a database that is away, in order and without end."""
        events = []
        for tp, records in sorted(batch.items(), key=lambda item: not self.leading(item[0])):
            for record in records:
                event = self._read(tp, record)
                if event is not None:
                    events.append(event)
        if not events:
            return
        failures, since = 0, time.monotonic()
        while True:
            try:
                await asyncio.to_thread(self._write, events)
            except Transient as error:
                failures += 1
                self._declare("database")
                self._watch.database_away(time.monotonic() - since + 0.001, error.reason)
                await asyncio.sleep(min(back_off(failures, None), 5.0))
            else:
                if failures:
                    self._declare(None)
                    self._watch.database_away(0.0, "")
                return

    def _read(self, tp: TP, record: ConsumerRecord) -> StoredEvent | None:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        try:
            payload = self._decoder.decode(record.value or b"")
            moment = datetime.fromisoformat(headers["ce_time"])
            return StoredEvent(
                id=headers["ce_id"],
                type=payload.TYPE,
                subject=headers["ce_subject"],
                product=headers[Header.PRODUCT],
                audience=payload.AUDIENCE,
                time=wire.milliseconds(moment),
                read_at=int(headers[Header.READ_AT]),
                seq=Seq.parse(headers[Header.SEQ]),
                rev=int(headers[Header.REV]),
                payload=payload,
                data=json.dumps(plain(payload), ensure_ascii=False),
                replay=Header.REPLAY in headers,
            )
        except (Rejected, KeyError, ValueError, TypeError):
            # Someone else wrote to our topic. Nothing stops for it, and it is told where it lies.
            self._watch.unreadable(tp, record)
            return None


def plain(payload: Any) -> dict[str, Any]:
    """Turn a canonical payload into JSON values: instants in RFC 3339, days in ISO."""
    return {field.name: _value(getattr(payload, field.name)) for field in dataclasses.fields(payload)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    return value
