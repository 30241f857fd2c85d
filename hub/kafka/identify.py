"""The role *identify*: events of linked subjects to the topic that services follow citizens on.

Its state is the compacted topic of links itself.  At assignment a lane folds it *below* the
committed offset, then works off its backlog, whose announcements are owed, and only then events.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from aiokafka import ConsumerRecord
from faust.types import TP

from hub.kafka import wire
from hub.kafka.fold import Reader
from hub.kafka.produce import BatchProducer, Message
from hub.kafka.worker import Batch
from hub.model.event import Payload
from hub.model.record import Header, Seq
from hub.pipeline.process import event_id
from schemas.models.identity import LinkSet
from streams.identify import concerned, newer, relink

CITY = ZoneInfo("Europe/Paris")
KNOWN = 50_000
"""Subjects whose links are kept decoded, those at work."""


class Codec(Protocol):
    """Reads and writes canonical payloads."""

    def encode(self, payload: Payload) -> bytes:
        """Return the framed bytes."""
        ...

    def decode(self, value: bytes) -> Any:
        """Return the payload; raise `Rejected` for anything else."""
        ...


class Deliveries(Protocol):
    """What identify tells about itself."""

    def identified(self, delivered: int, unlinked: int, announced: int) -> None:
        """Count what went to citizens and what concerned nobody."""
        ...

    def unreadable(self, tp: TP, record: ConsumerRecord) -> None:
        """Tell that a record of the links' topic is not one."""
        ...


class Identify:
    """Joins events with links, partition by partition."""

    group = "hub.identify"

    def __init__(
        self,
        domains: Sequence[str],
        codec: Codec,
        reader: Reader,
        producer: BatchProducer,
        watch: Deliveries,
        withheld: Collection[str] = (),
    ) -> None:
        """`domains` are those whose events are about persons; events of the types `withheld` go to no citizen."""
        self.topics = [wire.IDENTITY_TOPIC, *(wire.event_topic(domain) for domain in domains)]
        self._codec = codec
        self._reader = reader
        self._producer = producer
        self._watch = watch
        self._withheld = frozenset(withheld)
        self._links: dict[Hashable, dict[bytes, bytes]] = {}
        """What was last told of each subject, as it was told: a metropolis has a million, and few of them at work."""
        self._known = lru_cache(maxsize=KNOWN)(self._decode)

    def lane(self, tp: TP) -> Hashable:
        """Let all topics share a lane by partition number: the same subject has the same number everywhere."""
        return tp.partition

    def leading(self, tp: TP) -> bool:
        """Links come before events."""
        return bool(tp.topic == wire.IDENTITY_TOPIC)

    def compacted(self, tp: TP) -> bool:
        """Links are: the last of each subject tells all of them."""
        return bool(tp.topic == wire.IDENTITY_TOPIC)

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Learn the links that were announced before."""
        links: dict[bytes, bytes] = {}
        tp = TP(wire.IDENTITY_TOPIC, lane)
        if tp in committed:
            async for records in self._reader.whole(tp, until=committed[tp]):
                for record in records:
                    told, before = record.value or b"", links.get(record.key)
                    # An old version may stand after a newer one: a delivery that came again.
                    if before is None or self._newer(tp, record, before):
                        links[record.key] = told
        self._links[lane] = links

    def held(self, lane: Hashable) -> bool:
        """Never: nobody pauses this role."""
        return False

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Announce links that changed, then pass events on."""
        links = self._links[lane]
        outputs: list[Message] = []
        announced = delivered = unlinked = 0
        for tp, records in batch.items():
            if self.leading(tp):
                for record in records:
                    told = self._read(tp, record)
                    if told is not None:
                        known = self._set(links.get(record.key))
                        if newer(known, told):
                            links[record.key] = record.value
                        messages = self._announce(known, told, record)
                        outputs.extend(messages)
                        announced += len(messages)
        for tp, records in batch.items():
            if not self.leading(tp):
                for record in records:
                    before = len(outputs)
                    outputs.extend(self._pass_on(self._set(links.get(record.key)), record))
                    delivered += len(outputs) - before
                    unlinked += before == len(outputs)
        await self._producer.write(outputs)
        self._watch.identified(delivered, unlinked, announced)

    def _read(self, tp: TP, record: ConsumerRecord) -> LinkSet | None:
        told = self._known(record.value or b"")
        if told is None:
            # Nothing stops for one unreadable record of a topic that others can write to.
            self._watch.unreadable(tp, record)
        return told

    def _decode(self, value: bytes) -> LinkSet | None:
        try:
            told = self._codec.decode(value)
        except Exception:
            return None
        return told if isinstance(told, LinkSet) else None

    def _set(self, value: bytes | None) -> LinkSet | None:
        return None if value is None else self._known(value)

    def _newer(self, tp: TP, record: ConsumerRecord, before: bytes) -> bool:
        told, known = self._read(tp, record), self._known(before)
        return told is not None and newer(known, told)

    def _announce(self, known: LinkSet | None, told: LinkSet, record: ConsumerRecord) -> list[Message]:
        changes = relink(known, told)
        moment = _moment(record)
        return [
            Message(
                wire.CITIZEN_TOPIC,
                change.citizen.encode(),
                self._codec.encode(change.payload),
                (
                    *wire.cloud_headers(
                        event_id("identify", (told.subject, str(told.version)), change.payload.TYPE, change.citizen),
                        change.payload.TYPE,
                        "/identify/links",
                        told.subject,
                        moment,
                    ),
                    (Header.SEQ, str(Seq(0, told.version, index)).encode()),
                    (Header.REV, b"1"),
                    (Header.READ_AT, str(record.timestamp).encode()),
                    (Header.PRODUCT, b"identify"),
                    (Header.CITIZEN, change.citizen.encode()),
                    (Header.ROLE, change.role.encode()),
                ),
            )
            for index, change in enumerate(changes)
        ]

    def _pass_on(self, links: LinkSet | None, record: ConsumerRecord) -> Iterator[Message]:
        if links is None or wire.header(record, "ce_type") in self._withheld:
            return
        for link in concerned(links, _day(record)):
            yield Message(
                wire.CITIZEN_TOPIC,
                link.citizen.encode(),
                record.value,
                (
                    *record.headers,
                    (Header.CITIZEN, link.citizen.encode()),
                    (Header.ROLE, str(link.role).encode()),
                ),
            )


def _moment(record: ConsumerRecord) -> datetime:
    text = wire.header(record, "ce_time")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(record.timestamp / 1000, CITY)


def _day(record: ConsumerRecord) -> date:
    moment = _moment(record)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=CITY)).astimezone(CITY).date()
