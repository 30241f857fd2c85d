"""Whoever gets a partition back that nobody had meanwhile goes on with what it knows; everybody else begins anew."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from hub import catalogue
from hub.kafka import wire
from hub.kafka.fold import Reader
from hub.kafka.normalise import Normalise
from hub.kafka.produce import BatchProducer, Message, Written, partition_of
from hub.model.record import Header

PRODUCT, COUNT = "chrono", 4
LANE = TP(wire.raw_topic(PRODUCT), 1)
LOGS = [(wire.quarantine_topic(PRODUCT), 1), (wire.state_topic(PRODUCT), 1)]
EVENTS = wire.event_topic("school_catering")


class Logs:
    """A broker's partitions in memory: writes them and reads them."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[ConsumerRecord[bytes, bytes]]] = defaultdict(list)
        self.read = 0
        self.refuses = ""
        """Topic to which nothing is written."""

    async def write(self, messages: Iterable[Message]) -> list[Written]:
        """Append each message."""
        written = []
        for message in messages:
            if message.topic == self.refuses:
                raise RuntimeError("the broker refused")
            number = message.partition if message.partition is not None else partition_of(message.key, COUNT)
            log = self.records[message.topic, number]
            written.append(Written(message.topic, number, len(log), 1))
            log.append(record(message.topic, number, len(log), message.key, message.value, message.headers))
        return written

    async def whole(
        self, tp: tuple[str, int], *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
        """Yield what stands there."""
        found = self.records[tp][since:until]
        self.read += len(found)
        if found:
            yield found

    def owners(self) -> list[int]:
        """Count who began, in each of the two logs."""
        return [sum(one.key.startswith(b"owner/") for one in self.records[tp]) for tp in LOGS]

    def events(self) -> list[tuple[bytes, bytes]]:
        """Return id and value of every event."""
        return [
            (dict(one.headers)["ce_id"], one.value)
            for (topic, _), log in sorted(self.records.items())
            for one in log
            if topic == EVENTS
        ]


class Watch:
    """Counts what owners wrote that were none any more."""

    def __init__(self) -> None:
        self.lost = 0

    def void(self, topic: str, partition: int, records: int) -> None:
        """Count."""
        self.lost += records

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args: None


def record(
    topic: str, number: int, offset: int, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> ConsumerRecord[bytes, bytes]:
    """Return a record as aiokafka gives it."""
    return ConsumerRecord(topic, number, offset, 1_000, 0, key, value, None, len(key), len(value or b""), list(headers))


def said(offset: int, *, there: bool = True) -> ConsumerRecord[bytes, bytes]:
    """Let the canteen say that a child was there, or was not."""
    call = {
        "id": f"6f0e1d2c-5b4a-4938-8271-{offset:012}",
        "event": "presence" if there else "absence",
        "at": f"2026-03-10T12:{offset:02}:00+01:00",
        "booking": {
            "id": 4711,
            "user_external_id": "E1",
            "event": {"slug": "cantine-2026-03-10", "label": "Cantine", "datetime": "2026-03-10 11:30:00"},
        },
    }
    return came(offset, b"chrono:E1", json.dumps(call).encode())


def came(offset: int, key: bytes, value: bytes) -> ConsumerRecord[bytes, bytes]:
    """Return a callback's record as intake writes it."""
    headers = [
        (Header.FEED, b"callback"),
        (Header.RAW_ID, str(offset).encode()),
        (Header.READ_AT, b"1773140400000"),
        (Header.CONTENT_TYPE, b"application/json"),
    ]
    return record(*LANE, offset, key, value, headers)


def owner(logs: Logs, watch: Watch | None = None) -> Normalise:
    """Make a worker over some logs."""
    return Normalise(
        {PRODUCT: catalogue.connectors()[PRODUCT]},
        catalogue.schemas(),
        {PRODUCT: 1},
        cast(Reader, logs),
        cast(BatchProducer, logs),
        {"bootstrap_servers": "127.0.0.1:1"},
        COUNT,
        cast(Any, watch or Watch()),
    )


async def at_work(logs: Logs) -> Normalise:
    """Make a worker that has the partition, and has done its first record."""
    one = owner(logs)
    await one.fold(LANE, {})
    await works(one, said(0))
    return one


async def works(one: Normalise, *records: ConsumerRecord[bytes, bytes]) -> None:
    """Have some records done."""
    await one.carry_out(LANE, {LANE: records})


def test_what_nobody_had_meanwhile_is_not_read_again() -> None:
    """And what comes next is decided as by one that has read it all."""

    async def story() -> None:
        logs = Logs()
        one = await at_work(logs)
        other = copy.deepcopy(logs)
        logs.read = 0
        await one.fold(LANE, {LANE: 1})
        assert (logs.read, logs.owners()) == (0, [1, 1])
        anew = owner(other)
        await anew.fold(LANE, {LANE: 1})
        for worker in (one, anew):
            await works(worker, said(0), said(1, there=False))
        assert logs.events() == other.events()
        assert len(logs.events()) > 1

    asyncio.run(story())


def test_who_was_followed_by_another_begins_anew() -> None:
    """Whatever the other did, if only that it began."""

    async def story() -> None:
        logs, watch = Logs(), Watch()
        one = await at_work(logs)
        await owner(logs).fold(LANE, {LANE: 1})
        await one.fold(LANE, {LANE: 1})
        assert logs.owners() == [3, 3]
        await works(one, said(1, there=False))
        await owner(logs, watch).fold(LANE, {LANE: 2})
        assert watch.lost == 0

    asyncio.run(story())


def test_who_woke_up_and_wrote_after_another_had_begun_begins_anew() -> None:
    """The logs end with what it wrote itself: it is what stands before that which is another's."""

    async def story() -> None:
        logs = Logs()
        one = await at_work(logs)
        await owner(logs).fold(LANE, {LANE: 1})
        await works(one, said(1, there=False), came(2, b"chrono:E2", b"nonsense"))
        assert all(not logs.records[tp][-1].key.startswith(b"owner/") for tp in LOGS)
        await one.fold(LANE, {LANE: 1})
        assert logs.owners() == [3, 3]

    asyncio.run(story())


@pytest.mark.parametrize("topic", [EVENTS, wire.state_topic(PRODUCT)])
def test_who_left_something_half_done_begins_anew(topic: str) -> None:
    """What it knows is ahead of what stands in the logs."""

    async def story() -> None:
        logs = Logs()
        one = await at_work(logs)
        logs.refuses = topic
        with pytest.raises(RuntimeError, match="refused"):
            await works(one, said(1, there=False))
        logs.refuses = ""
        before = len(logs.events())
        await one.fold(LANE, {LANE: 1})
        assert logs.owners() == [2, 2]
        await works(one, said(1, there=False))
        assert len(logs.events()) > before

    asyncio.run(story())
