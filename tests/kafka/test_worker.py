"""The batch worker on a real Kafka: what it commits is done, and what fails is not committed."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

from hub.kafka.fold import Reader
from hub.kafka.produce import BatchProducer, Message, partition_of
from hub.kafka.worker import Batch, Worker
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka
COUNT = 4


class Copy:
    """Copies records from two topics to a third; the first topic leads."""

    def __init__(self, kafka: Kafka, name: str, *, refuse_after: int | None = None) -> None:
        self.group = f"copy.{name}"
        self.topics = [f"lead.{name}", f"rest.{name}"]
        self.out = f"out.{name}"
        self.options = {"bootstrap_servers": kafka.bootstrap}
        self.producer = BatchProducer(self.options, {self.out: COUNT})
        self.log: list[tuple[str, int, int]] = []
        self.folded: list[Mapping[TP, int]] = []
        self.refuse_after = refuse_after

    def lane(self, tp: TP) -> Hashable:
        return tp.partition

    def leading(self, tp: TP) -> bool:
        return tp.topic.startswith("lead.")

    def held(self, lane: Hashable) -> bool:
        return False

    async def start(self) -> None:
        await self.producer.start()

    async def stop(self) -> None:
        await self.producer.stop()

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        self.folded.append(committed)

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        for tp, records in batch.items():
            for record in records:
                self.log.append((tp.topic, tp.partition, record.offset))
        if self.refuse_after is not None and len(self.log) > self.refuse_after:
            raise RuntimeError("the broker refused")
        await self.producer.write(
            Message(self.out, r.key, r.value, tuple(r.headers)) for records in batch.values() for r in records
        )


class Nothing:
    """Watches nothing."""

    def received(self, tp: TP, records: Any) -> None: ...
    def committed(self, tp: TP, offset: int, lag: int, lag_seconds: float) -> None: ...
    def released(self, tp: TP) -> None: ...


async def topics(work: Copy, records: int) -> None:
    """Make the topics and fill them."""
    admin = AIOKafkaAdminClient(**work.options)
    await admin.start()
    await admin.create_topics([NewTopic(name, COUNT, 1) for name in (*work.topics, work.out)])
    await admin.close()
    producer = BatchProducer(work.options, dict.fromkeys(work.topics, COUNT))
    await producer.start()
    for topic in work.topics:
        await producer.write(
            Message(topic, f"k{n % 50}".encode(), f"{topic}/{n}".encode(), (("n", str(n).encode()),))
            for n in range(records)
        )
    await producer.stop()


def worker_of(work: Copy, kafka: Kafka, tmp: Any, watch: Nothing | None = None, **more: Any) -> Worker:
    """Make a worker that always has the same place in its group; `more` are options of Faust."""
    options = {
        "broker": f"kafka://{kafka.bootstrap}",
        "datadir": str(tmp),
        "consumer_group_instance_id": f"{work.group}.1",
        **more,
    }
    return Worker(work, options, watch or Nothing(), Reader(work.options))


async def run(
    work: Copy,
    kafka: Kafka,
    until: int,
    tmp: Any,
    watch: Nothing | None = None,
    more: Callable[[], bool] = lambda: True,
    **options: Any,
) -> Worker:
    """Work until so many records were seen and there is no `more` to wait for, then end as SIGTERM does."""
    made = worker_of(work, kafka, tmp, watch, **options)

    async def stop() -> None:
        while len(work.log) < until or not more():
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = asyncio.create_task(stop())
    try:
        await made.run()
    finally:
        stopping.cancel()
    return made


async def values(work: Copy) -> list[bytes]:
    """Read everything that was written."""
    reader = Reader(work.options)
    return [
        record.value
        for number in range(COUNT)
        async for records in reader.whole((work.out, number))
        for record in records
    ]


def test_everything_is_copied_once_and_committed_at_a_stop(kafka: Kafka, tmp_path: Any) -> None:
    """A stop commits what is done: a second run has nothing to do; the leader's backlog comes first."""

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 3000)
        await run(work, kafka, 6000, tmp_path)
        found = await values(work)
        assert 6000 == len(found) == len(set(found))
        for number in range(COUNT):
            kinds = [topic[:4] for topic, partition, _ in work.log if partition == number]
            assert sorted(kinds) == kinds, "leaders are done before the others start"
            for topic in work.topics:
                offsets = [offset for name, partition, offset in work.log if (name, partition) == (topic, number)]
                assert sorted(offsets) == offsets
        committed = await Reader(work.options).committed(
            work.group, [TP(topic, number) for topic in work.topics for number in range(COUNT)]
        )
        assert sum(committed.values()) == 6000

    asyncio.run(story())


def test_a_partition_of_which_nothing_comes_is_told_as_well(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches sees at once that a partition has an owner, and which: one that is told by nobody has none."""
    monkeypatch.setattr("hub.kafka.worker.COMMIT_SECONDS", 3600.0)
    told: dict[TP, tuple[int, int]] = {}

    class Watch(Nothing):
        def committed(self, tp: TP, offset: int, lag: int, lag_seconds: float) -> None:
            told[tp] = offset, lag

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 0)
        every = {TP(topic, number): (0, 0) for topic in work.topics for number in range(COUNT)}
        await asyncio.wait_for(run(work, kafka, 0, tmp_path, Watch(), lambda: told.keys() == every.keys()), 40)
        assert told == every

    asyncio.run(story())


def test_what_was_fetched_and_dropped_before_the_lanes_were_ready_comes_again(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition whose whole backlog Faust dropped does not wait for another record to be noticed."""
    dropped: set[TP] = set()
    put = Worker._put

    def drop_the_first(self: Worker, tp: TP, records: list[Any]) -> None:
        if tp in dropped:
            put(self, tp, records)
        dropped.add(TP(*tp))

    monkeypatch.setattr(Worker, "_put", drop_the_first)

    async def committed(self: Reader, group: str, tps: Iterable[TP]) -> Mapping[TP, int]:
        while len(dropped) < 2 * COUNT:
            await asyncio.sleep(0.05)
        return await ask(self, group, tps)

    ask = Reader.committed
    monkeypatch.setattr(Reader, "committed", committed)

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 40)
        await asyncio.wait_for(run(work, kafka, 80, tmp_path), 40)
        assert len(set(await values(work))) == 80

    asyncio.run(story())


def test_a_start_rests_for_nothing(kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust gives tables a second to be declared; there are none, and a role that was killed is waited for."""
    rests: list[float] = []

    async def rest(self: TableManager, seconds: float, **_: Any) -> None:
        rests.append(seconds)

    monkeypatch.setattr(TableManager, "sleep", rest)

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 10)
        await run(work, kafka, 20, tmp_path)

    asyncio.run(story())
    assert rests == []


def test_a_failed_batch_is_not_committed(kafka: Kafka, tmp_path: Any) -> None:
    """What raised stops the process without a commit; the next run does it all."""

    async def story() -> None:
        name = uuid4().hex[:8]
        broken = Copy(kafka, name, refuse_after=0)
        await topics(broken, 200)
        with pytest.raises(RuntimeError, match="refused"):
            await run(broken, kafka, 10**9, tmp_path)
        committed = await Reader(broken.options).committed(
            broken.group, [TP(topic, number) for topic in broken.topics for number in range(COUNT)]
        )
        assert sum(committed.values()) == 0
        work = Copy(kafka, name)
        await run(work, kafka, 400, tmp_path)
        assert len(set(await values(work))) == 400

    asyncio.run(story())


class Stuck(Copy):
    """Never ends a batch of partition 0."""

    stuck = False
    abandoned = False

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        if lane != 0:
            return await super().carry_out(lane, batch)
        self.stuck = True
        try:
            await asyncio.Event().wait()
        finally:
            self.abandoned = True


def test_a_revoke_abandons_the_batch_that_does_not_end_and_commits_the_others(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group waits no longer than the drain for a worker that hangs; what hung is done by whoever has it next."""
    monkeypatch.setattr("hub.kafka.worker.DRAIN_SECONDS", 0.2)
    monkeypatch.setattr("hub.kafka.worker.COMMIT_SECONDS", 3600.0)

    async def story() -> None:
        name = uuid4().hex[:8]
        work = Stuck(kafka, name)
        await topics(work, 40)
        worker = worker_of(work, kafka, tmp_path)
        ends = await worker.ends.ends([TP(topic, number) for topic in work.topics for number in range(COUNT)])
        others = {tp: end for tp, end in ends.items() if tp.partition != 0}
        running = asyncio.create_task(worker.run())
        while not work.stuck or len(work.log) < sum(others.values()):
            assert not running.done()
            await asyncio.sleep(0.05)
        await asyncio.wait_for(worker._revoked(worker.app, ends), 20)
        await asyncio.sleep(0)
        assert work.abandoned
        assert await worker.ends.committed(work.group, ends) == others
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        await run(Copy(kafka, name), kafka, sum(ends.values()) - sum(others.values()), tmp_path)
        assert 80 == len(set(found := await values(work))) == len(found)

    asyncio.run(story())


def test_a_refused_produce_is_an_error_of_the_batch(kafka: Kafka) -> None:
    """A record that the broker does not take raises: nothing is acknowledged in its place."""

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 1)
        producer = BatchProducer(work.options, {work.out: COUNT})
        await producer.start()
        with pytest.raises(Exception, match="(?i)too large|size"):
            await producer.write([Message(work.out, b"k", b"x" * 6_000_000, ())])
        await producer.stop()

    asyncio.run(story())


def test_keys_go_where_every_stock_client_puts_them(kafka: Kafka) -> None:
    """Our partition of a key is librdkafka's murmur2 one."""
    from confluent_kafka import Producer

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 0)
        stock = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
        keys = [f"chrono:É{n}".encode() for n in range(60)]
        for key in keys:
            stock.produce(work.out, key=key, value=key)
        stock.flush(10)
        reader = Reader(work.options)
        for number in range(COUNT):
            async for records in reader.whole((work.out, number)):
                assert {number} == {partition_of(record.key, COUNT) for record in records}

    asyncio.run(story())


def test_a_member_that_comes_back_with_a_new_topic_reads_it(kafka: Kafka, tmp_path: Any) -> None:
    """Static membership must not hide a topic that was added between two starts."""

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        lead, rest = work.topics
        await topics(work, 100)
        work.topics = [lead]
        await run(work, kafka, 100, tmp_path)
        work.topics = [lead, rest]
        await run(work, kafka, 200, tmp_path)
        assert len(set(await values(work))) == 200

    asyncio.run(story())


def test_a_blocked_sink_keeps_memory_flat(kafka: Kafka, tmp_path: Any) -> None:
    """While nothing goes out, partitions are paused: 160 MB wait in Kafka, not here; then all of it is done."""

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])
        await topics(work, 0)
        rest = work.topics[1]
        producer = BatchProducer(work.options, {rest: COUNT})
        await producer.start()
        for start in range(0, 80_000, 4_000):
            await producer.write(
                Message(rest, f"k{n}".encode(), f"{n:06}".encode() + b"x" * 2000, ())
                for n in range(start, start + 4_000)
            )
        await producer.stop()
        gate = asyncio.Event()
        original = work.carry_out
        grown: list[float] = []

        async def blocked(lane: Hashable, batch: Batch) -> None:
            await gate.wait()
            await original(lane, batch)

        async def watch() -> None:
            # Until the lanes are full, memory may grow: a bound, not nothing.
            await asyncio.sleep(7)
            first = resident()
            for _ in range(6):
                await asyncio.sleep(1)
                grown.append(resident() / first)
            gate.set()

        work.carry_out = blocked  # type: ignore[method-assign]
        watching = asyncio.create_task(watch())
        await run(work, kafka, 80_000, tmp_path)
        await watching
        assert max(grown) < 1.1, grown
        assert len(set(work.log)) == 80_000

    asyncio.run(story())


def resident() -> int:
    """Return the memory that this process holds, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_nothing_is_done_before_the_group_counts_on_us(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause another may own the partitions, and know more: the group is asked before the next batch."""
    monkeypatch.setattr("hub.kafka.worker.SURE_SECONDS", 0.0)
    asked: list[Mapping[TP, int]] = []
    commit = Consumer._commit

    async def story() -> None:
        work = Copy(kafka, uuid4().hex[:8])

        async def refused(self: Consumer, offsets: Mapping[TP, int]) -> bool:
            if len(asked) < 12:
                asked.append(offsets)
                assert work.log == []
                return False
            return bool(await commit(self, offsets))

        monkeypatch.setattr(Consumer, "_commit", refused)
        await topics(work, 40)
        await asyncio.wait_for(run(work, kafka, 80, tmp_path), 40)
        assert len(asked) == 12
        assert all(set(offsets.values()) == {0} for offsets in asked)
        assert len(set(await values(work))) == 80

    asyncio.run(story())


@pytest.mark.parametrize("lane", ["one", ""], ids=["all-is-paused", "others-are-not"])
def test_a_lane_that_was_full_goes_on_once_it_has_room(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    """Faust rests for a second when all is paused, and as long for a fetch that left out what was."""
    monkeypatch.setattr("hub.kafka.worker.LANE_BOUND", 20)
    monkeypatch.setattr("hub.kafka.worker.LARGEST_BATCH", 10)
    fetches, each = 8, 60
    rests: list[float] = []

    class Slow(Copy):
        ended = 0.0

        def lane(self, tp: TP) -> Hashable:
            return lane or tp

        async def carry_out(self, lane: Hashable, batch: Batch) -> None:
            if self.ended:
                rests.append(time.monotonic() - self.ended)
            await super().carry_out(lane, batch)
            await asyncio.sleep(0.05)
            self.ended = time.monotonic()

    async def story() -> None:
        work = Slow(kafka, uuid4().hex[:8])
        await topics(work, 0)
        producer = BatchProducer(work.options, dict.fromkeys(work.topics, COUNT))
        await producer.start()
        for _ in range(fetches):
            await producer.write(Message(work.topics[1], b"k", b"", (), partition=0) for _ in range(each))
        await producer.stop()
        # Too few bytes for two of the producer's batches.
        await asyncio.wait_for(run(work, kafka, fetches * each, tmp_path, consumer_max_fetch_size=100), 60)

    asyncio.run(story())
    assert sum(rests) < 0.15 * fetches


def test_what_is_private_to_faust_is_as_we_know_it() -> None:
    """A commit takes a mapping of partitions to offsets and nothing else; the others are what ours stand in for."""
    assert list(inspect.signature(Consumer._commit).parameters) == ["self", "offsets"]
    assert inspect.iscoroutinefunction(Consumer._commit)
    assert "self.sleep(1)" in inspect.getsource(Consumer._wait_next_records)
    assert "fetch_max_wait_ms=1500" in inspect.getsource(AIOKafkaConsumerThread._create_worker_consumer)
    assert TopicPartition("a", 1) == TP("a", 1)
