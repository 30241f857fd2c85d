"""The role *project*: events to SQL, many in one transaction."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from aiokafka import ConsumerRecord
from faust.types import TP

from hub.kafka import wire
from hub.kafka.produce import partition_of
from hub.kafka.worker import Batch
from hub.model.errors import Rejected, Transient
from hub.model.event import Event, Payload, Replay, StoredEvent
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
        write: Callable[[Sequence[StoredEvent], Sequence[Replay]], None],
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

    def compacted(self, tp: TP) -> bool:
        """Nothing is: each event is a fact of its own."""
        return False

    async def start(self) -> None:
        """Nothing to connect: the database is at hand."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Fold nothing: SQL is the state."""

    def held(self, lane: Hashable) -> bool:
        """Never: nobody pauses this role."""
        return False

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Write a batch; wait for a database that is away, in order and without end."""
        events: list[StoredEvent] = []
        replays: list[Replay] = []
        for tp, records in sorted(batch.items(), key=lambda item: not self.leading(item[0])):
            for record in records:
                found = self._read(tp, record)
                if isinstance(found, Replay):
                    replays.append(found)
                elif found is not None:
                    events.append(found)
        if not events and not replays:
            return
        failures, since = 0, time.monotonic()
        while True:
            try:
                await asyncio.to_thread(self._write, events, replays)
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

    def _read(self, tp: TP, record: ConsumerRecord) -> StoredEvent | Replay | None:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        try:
            payload = self._decoder.decode(record.value or b"")
            if payload.AUDIENCE == "control":
                return _replay(payload)
            moment = datetime.fromisoformat(headers["ce_time"])
            return StoredEvent(
                headers["ce_id"],
                payload.TYPE,
                headers["ce_subject"],
                headers[Header.PRODUCT],
                payload.AUDIENCE,
                wire.milliseconds(moment),
                int(headers[Header.READ_AT]),
                Seq.parse(headers[Header.SEQ]),
                int(headers[Header.REV]),
                payload,
                as_json(payload),
                int(headers.get(Header.PARTITION, -1)),
                Header.REPLAY in headers,
            )
        except (Rejected, KeyError, ValueError, TypeError):
            # Someone else wrote to our topic. Nothing stops for it, and it is told where it lies.
            self._watch.unreadable(tp, record)
            return None


def _replay(mark: Any) -> Replay:
    number, count = mark.event_partition, mark.event_partitions
    return Replay(
        product=mark.product,
        epoch=mark.epoch,
        partition=mark.raw_partition,
        first=mark.first,
        end=mark.end,
        rev=mark.rev,
        domain=mark.domain,
        covers=lambda subject: partition_of(subject.encode(), count) == number,
        mark=number,
    )


def to_store(event: Event) -> StoredEvent:
    """Turn an event that was not written into what the database would be given."""
    return StoredEvent(
        id=event.id,
        type=event.type,
        subject=event.subject,
        product=event.product,
        audience=event.payload.AUDIENCE,
        time=wire.milliseconds(event.time),
        read_at=event.read_at,
        seq=event.seq,
        rev=event.rev,
        payload=event.payload,
        data=as_json(event.payload),
        partition=event.partition,
    )


def as_json(payload: Payload) -> str:
    """Write a canonical payload as JSON: instants in RFC 3339, days in ISO."""
    return _JSON.encode(payload.as_dict())


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError


_JSON = json.JSONEncoder(ensure_ascii=False, default=_value)
