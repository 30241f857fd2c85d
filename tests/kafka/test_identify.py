"""identify on a real Kafka: nothing comes out unlinked that was linked, and every link is announced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from hub import catalogue
from hub.config import Settings
from hub.kafka import topics, wire
from hub.kafka.admin import Admin
from hub.kafka.fold import Reader
from hub.kafka.identify import Identify
from hub.kafka.produce import BatchProducer, Message
from hub.kafka.worker import Worker
from hub.roles.runtime import topic_plan
from hub.testing.cluster import Kafka
from schemas.models.identity import Link, LinkSet, Role
from schemas.models.library import LoanStarted

pytestmark = pytest.mark.kafka
ANNE, MARC = "0" * 8 + "-0000-4000-8000-" + "0" * 12, "1" * 8 + "-0000-4000-8000-" + "0" * 12
SUBJECT = "ils_di:7"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kafka]:
    """Run a node with the hub's topics."""
    with Kafka(tmp_path / "kafka") as made:
        plan = topic_plan(Settings())
        admin = Admin({"bootstrap_servers": [made.bootstrap]})
        admin.apply(plan, topics.steps(plan, {}, {}), {})
        admin.close()
        yield made


class Deliveries:
    """Counts."""

    def __init__(self) -> None:
        self.delivered = self.unlinked = self.announced = self.unread = 0

    def identified(self, delivered: int, unlinked: int, announced: int) -> None:
        self.delivered += delivered
        self.unlinked += unlinked
        self.announced += announced

    def unreadable(self, tp: Any, record: Any) -> None:
        self.unread += 1

    def received(self, tp: Any, records: Any) -> None: ...
    def committed(self, tp: Any, offset: int, lag: int, lag_seconds: float) -> None: ...
    def released(self, tp: Any) -> None: ...


def links(version: int, *citizens: str, until: date | None = None) -> Message:
    """Tell of a subject's links."""
    told = LinkSet(
        subject=SUBJECT,
        version=version,
        links=tuple(
            Link(citizen=c, role=Role.SELF, since=datetime(2026, 1, 1, tzinfo=UTC), until=until) for c in citizens
        ),
        command=f"c{version}",
    )
    value = catalogue.schemas().encode(told)
    headers = wire.cloud_headers(f"l{version}", told.TYPE, "/deliver/links", SUBJECT, datetime(2026, 1, 1, tzinfo=UTC))
    return Message(wire.IDENTITY_TOPIC, SUBJECT.encode(), value, headers)


def loan(number: int, moment: datetime = datetime(2026, 3, 10, 8, tzinfo=UTC)) -> Message:
    """Let something happen."""
    payload = LoanStarted(item_id=str(number))
    headers = wire.cloud_headers(f"e{number}", payload.TYPE, "/ils_di/patron", SUBJECT, moment)
    return Message(wire.event_topic("library"), SUBJECT.encode(), catalogue.schemas().encode(payload), headers)


async def work(node: Kafka, folder: Path, messages: list[Message], done: int) -> tuple[Deliveries, Worker]:
    """Write while nobody works, then work until so many records were decided."""
    options = {"bootstrap_servers": node.bootstrap}
    plan = topic_plan(Settings())
    producer = BatchProducer(options, dict.fromkeys(plan.topics, plan.partitions))
    await producer.start()
    await producer.write(messages)
    await producer.stop()
    reader, watch = Reader(options), Deliveries()
    identify = Identify(
        catalogue.schemas().domains("person"),
        catalogue.schemas(),
        reader,
        BatchProducer(options, dict.fromkeys(plan.topics, plan.partitions)),
        watch,
    )
    faust = {"broker": f"kafka://{node.bootstrap}", "datadir": str(folder), "consumer_group_instance_id": "identify.1"}
    worker = Worker(identify, faust, watch, reader)

    async def stop() -> None:
        while watch.delivered + watch.unlinked + watch.announced + watch.unread < done:
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = asyncio.create_task(stop())
    await worker.run()
    stopping.cancel()
    return watch, worker


async def citizens(node: Kafka) -> list[tuple[str, str, str]]:
    """Read what services see: citizen, type, event id."""
    reader = Reader({"bootstrap_servers": node.bootstrap})
    found = []
    for number in range(4):
        async for records in reader.whole((wire.CITIZEN_TOPIC, number)):
            for record in records:
                kind = wire.header(record, "ce_type").rpartition(".")[2]
                found.append((record.key.decode(), kind, wire.header(record, "ce_id")))
    return found


def test_links_made_while_nobody_worked_are_announced_and_count(node: Kafka, tmp_path: Path) -> None:
    """A cold start knows all links first; a later start announces what changed meanwhile, once."""

    async def story() -> None:
        # The event is older in time and stands on another topic: only the order of work can help it.
        await work(node, tmp_path, [loan(1), links(1, ANNE)], 2)
        seen = await citizens(node)
        assert {(ANNE, "SubjectLinked"), (ANNE, "LoanStarted")} == {row[:2] for row in seen}
        await work(node, tmp_path, [links(3, ANNE, MARC), links(2, MARC), loan(2)], 3)
        added = [row[:2] for row in await citizens(node) if row not in seen]
        assert sorted([(MARC, "SubjectLinked"), (ANNE, "LoanStarted"), (MARC, "LoanStarted")]) == sorted(added)
        await work(node, tmp_path, [links(4, MARC), loan(3)], 2)
        last = [row[:2] for row in await citizens(node)][len(seen) + len(added) :]
        assert {(ANNE, "SubjectUnlinked"), (MARC, "LoanStarted")} <= {row[:2] for row in await citizens(node)}
        assert (ANNE, "LoanStarted") not in last

    asyncio.run(story())


def test_what_is_no_link_is_passed_by(node: Kafka, tmp_path: Path) -> None:
    """Bytes of others on the topic of links stop nothing."""

    async def story() -> None:
        rubbish = Message(wire.IDENTITY_TOPIC, SUBJECT.encode(), b"rubbish", ())
        watch, _ = await work(node, tmp_path, [rubbish, links(1, ANNE), loan(1)], 3)
        assert (watch.unread, watch.announced, watch.delivered) == (1, 1, 1)

    asyncio.run(story())


def test_a_link_that_has_ended_passes_nothing_on(node: Kafka, tmp_path: Path) -> None:
    """The last day counts in Europe/Paris; what happens later is nobody's."""

    async def story() -> None:
        late, last = datetime(2026, 3, 10, 23, 30, tzinfo=UTC), datetime(2026, 3, 10, 22, 30, tzinfo=UTC)
        watch, _ = await work(
            node, tmp_path, [links(1, ANNE, until=date(2026, 3, 10)), loan(1, last), loan(2, late)], 3
        )
        assert (watch.delivered, watch.unlinked) == (1, 1)

    asyncio.run(story())
