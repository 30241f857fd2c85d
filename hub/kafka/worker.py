"""The batch worker: Faust for membership, rebalance and fetching; our own path for the records.

This is the only file that knows Faust.  Rules, each of which was a way to lose an event:

* A `ConsumerScheduler` hands each fetched list straight to its lane, and Faust delivers nothing itself: it
  acknowledges what raised, and drops what it fetched of a partition that is paused meanwhile.
* A lane takes the lists of its partitions in order, one batch at a time; lanes run concurrently.
* Within a batch: outputs, await the broker; states, await the broker; only then is the last offset
  marked done.  A timer, a revoke and a stop commit what is done, and nothing else.
* A batch is begun only while the group counts on us: after a pause it is asked first.
* Nothing waits for a lane: a lane past its bound pauses its partitions, and the others go on.
* Whatever fails and is not known to be temporary stops the process without a commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import signal
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import faust
from aiokafka import ConsumerRecord
from faust.tables.manager import TableManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

Batch = Mapping[TP, Sequence[ConsumerRecord]]
"""Records by topic and partition, each list in offset order."""

LATER = (
    "faust.app.base",
    "faust.app.router",
    "faust.assignor.leader_assignor",
    "faust.assignor.partition_assignor",
    "faust.fixups.django",
    "faust.stores.base",
    "faust.tables.objects",
    "faust.tables.sets",
    "faust.topics",
    "faust.worker",
)
"""What Faust imports only when an app is made and started: a fifth of a second."""

COMPANY_SECONDS = 0.005
"""How long a small list waits for company: tiny batches cost about 2 ms each, whatever they hold."""
SMALL = 32
"""A list shorter than this waits for company."""
LARGEST_BATCH = 4_000
"""Records in one batch at most: bounds memory and the work that a kill repeats."""
LANE_BOUND = 8_000
"""Records that may wait in a lane before its partitions are paused."""
GARBAGE = (10_000, 50, 50)
"""Thresholds of the garbage collector.  A batch is tens of thousands of objects that live until it is written, few of
them in a cycle: at the usual thresholds the collector walks over them again and again, for two fifths of the time.  At
higher ones what a database leaves behind is freed at once, and everything waits for 0.2 s."""
FETCH_SECONDS = 0.1
"""How long a fetch waits for records: a partition that may go on again is in the next one, not in this."""
COMMIT_SECONDS = 0.5
SESSION_SECONDS = 8
"""So long after it ended without a word a member's partitions wait for it: others have them within 15 s."""
SURE_SECONDS = 6.0
"""So long after the group's last answer a worker may take itself for the owner of its partitions.  Whoever was stopped
for longer would go on with what it had, and tell what another has told by newer links."""
DRAIN_SECONDS = 8.0
"""How long a stop or a revoke waits for the batches at work."""
HELD_SECONDS = 0.25
"""How often a lane that is held looks whether it may go on."""
MOST_SEEKS = 10
"""How often a record that was jumped over is asked for again before it counts as gone."""
STALLED_SECONDS = 60.0
"""How long a batch may take without a word before the process is called stalled."""


class Work(Protocol):
    """What a role does with its records."""

    group: str
    """Consumer group, also the Faust app's id."""

    @property
    def topics(self) -> Sequence[str]:
        """Topics that the role reads."""
        ...

    def lane(self, tp: TP) -> Hashable:
        """Name the lane of a partition: what shares a lane shares state and order."""
        ...

    def leading(self, tp: TP) -> bool:
        """Tell whether the partition's backlog must be done before its lane's others start."""
        ...

    def compacted(self, tp: TP) -> bool:
        """Tell whether the partition's topic keeps only the last record of each key: its offsets have holes."""
        ...

    async def start(self) -> None:
        """Connect; called once before the first assignment."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Build the lane's state from its topics; called at every assignment, before its first batch."""
        ...

    def held(self, lane: Hashable) -> bool:
        """Tell whether the lane may not go on for now; nothing of it is decided or committed meanwhile."""
        ...

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Do all that the batch causes; return once nothing of it can be lost.

        Raise `Held` before anything of it was written to have it done again once the lane is not held any more.
        """
        ...


class Watch(Protocol):
    """What the worker tells about itself."""

    def received(self, tp: TP, records: Sequence[ConsumerRecord]) -> None:
        """Count fetched records."""
        ...

    def committed(self, tp: TP, offset: int, lag: int, lag_seconds: float) -> None:
        """Tell how far a partition is, in records and in seconds."""
        ...

    def released(self, tp: TP) -> None:
        """Tell that a partition that was told of is another worker's from here on."""
        ...


class Held(Exception):
    """Nothing of this batch may be written now; its lane is held."""


class OffsetGone(Exception):
    """What was to come next is not there; nothing is committed beyond it.  The text is the remedy."""


class Gap(OffsetGone):
    """Records are gone before they were read."""

    def __init__(self, tp: TP, first: int, end: int) -> None:
        """`first` is the offset that was to come, `end` the one that came."""
        super().__init__(
            f"{tp.topic}/{tp.partition}: records {first} to {end - 1} are gone and were never read: was the role down "
            "for longer than the topic keeps them? `hub topics accept-loss` goes on behind them"
        )


class CutOff(OffsetGone):
    """A partition ends before what was read of it: what comes next would take the place of other records."""

    def __init__(self, tp: TP, done: int, end: int) -> None:
        """`done` is the offset up to which it was read, `end` that of its next record."""
        super().__init__(
            f"{tp.topic}/{tp.partition}: read up to {done}, and it ends at {end}: records that were acknowledged are "
            "gone from the broker. See 'A topic that was cut off' in docs/guide/operations.md"
        )


class _HandOver(DefaultSchedulingStrategy):
    """Hand each fetched list to its lane the moment it was fetched, and leave Faust nothing to deliver.

    Faust drops what it fetched of a partition that was paused meanwhile, and its position is past it:
    the next commit would lose it.  So nothing may stand between the fetch and the lane.
    """

    put: Callable[[TP, list[ConsumerRecord]], None]

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        for tp, fetched in records.items():
            if fetched:
                self.put(tp, fetched)
        yield from ()


class _NoTables(TableManager):
    """Faust's own tables, of which there are none: it rests a second at its start, for some to be declared."""

    async def sleep(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)


class _Fetching(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(FETCH_SECONDS * 1000)
        return consumer


class _Consumer(Consumer):
    """Faust's consumer, which comes back at once to a partition that was paused.

    Faust lets the broker keep a fetch for 1.5 s, waits 1 s for what was fetched, and rests 1 s when all is paused; it
    has a setting for none of them.  A lane that had emptied its queue stood still for as long.
    """

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Fetching(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, *_: Any) -> Any:
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(FETCH_SECONDS)
            return {}, set()
        return await super()._wait_next_records(FETCH_SECONDS)


@dataclass
class _Lane:
    """The queue of one lane and the task that empties it."""

    name: Hashable
    waiting: deque[tuple[TP, list[ConsumerRecord]]] = field(default_factory=deque)
    queued: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    tps: set[TP] = field(default_factory=set)
    leaders: dict[TP, int] = field(default_factory=dict)
    """Leading partitions that are not yet done, with the offset up to which they must be."""
    committed: Mapping[TP, int] = field(default_factory=dict)
    """Offsets at which the lane began."""
    ready: bool = False
    """Whether its state is built."""
    at_work_since: float | None = None
    paused: bool = False
    stopped: set[TP] = field(default_factory=set)
    """Partitions that are not fetched for now."""
    closing: bool = False
    astray: dict[TP, tuple[int, int]] = field(default_factory=dict)
    """Partitions of which the next fetch was not the next record: the offset that was due, and the one that came."""


class Worker:
    """Runs one role: joins its group, feeds its lanes, commits what is done."""

    def __init__(self, work: Work, options: Mapping[str, Any], watch: Watch, ends: Ends) -> None:
        """`options` are Faust settings that say where the broker is; `ends` reads offsets."""
        self.work = work
        self.watch = watch
        self.ends = ends
        self.declared: str | None = None
        """Why the worker waits, if it does: a declared wait is not a stall."""
        self._lanes: dict[Hashable, _Lane] = {}
        self._done: dict[TP, int] = {}
        self._committed: dict[TP, int] = {}
        self._seen: dict[TP, int] = {}
        self._sought: Counter[tuple[TP, int]] = Counter()
        self._first: dict[TP, int] = {}
        """Offset at which a partition was begun."""
        self._stamp: dict[TP, int] = {}
        """Timestamp of the last record done; before that, of the first that waits."""
        self._told: set[TP] = set()
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._sure_until = 0.0
        """Until when nobody else can have our partitions."""
        self.assigned = False
        self.instance: str | None = None
        """Name of the member, if it is to keep its place over restarts."""
        self.app = self._faust(options)

    def _faust(self, options: Mapping[str, Any]) -> Any:
        options = dict(options)
        if "consumer_group_instance_id" in options:
            # A static member that comes back gets its old assignment without a rebalance, even if it
            # subscribes to other topics now: a new connector would never be read. So other topics,
            # other member; the old one's partitions follow when its session ends.
            digest = hashlib.sha256(" ".join(sorted(self.work.topics)).encode()).hexdigest()[:8]
            self.instance = options["consumer_group_instance_id"] = f"{options['consumer_group_instance_id']}.{digest}"
        app = faust.App(
            self.work.group,
            TableManager=_NoTables,
            ConsumerScheduler=type("_HandOverToLanes", (_HandOver,), {"put": staticmethod(self._put)}),
            # Streams see nothing, so their silence means nothing.
            broker_commit_livelock_soft_timeout=1e9,
            stream_processing_timeout=1e9,
            stream_wait_empty=False,
            broker_session_timeout=SESSION_SECONDS,
            # It is with a heartbeat that a member learns that another came or left.
            broker_heartbeat_interval=0.2,
            broker_request_timeout=40,
            producer_request_timeout=60,
            consumer_auto_offset_reset="earliest",
            table_standby_replicas=1,
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            autodiscover=False,
            **options,
        )

        app.transport.Consumer = _Consumer

        async def subscribed(stream: Any) -> None:
            """Make Faust subscribe: it reads the topics of its agents."""
            async for _ in stream:
                raise RuntimeError("a record went past the lanes")

        app.agent(app.topic(*self.work.topics, acks=False), name=f"{self.work.group}.lanes")(subscribed)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        return app

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; raise what made it stop otherwise."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self.work.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        committer = asyncio.create_task(self._commit_for_ever())
        try:
            await self.app.start()
            while not self._stop.is_set() and self._failure is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.2)
                if self.app.crashed:
                    self._failure = self.app.crash_reason or RuntimeError("Faust stopped")
            if self._failure is None:
                await self._close(list(self._lanes.values()))
                await self._commit()
        finally:
            committer.cancel()
            for lane in self._lanes.values():
                if lane.task is not None:
                    lane.task.cancel()
            # Seen once in a shutdown after a crash: Faust did not come back. The process ends anyway.
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self.app.stop(), 5)
            await self.work.stop()
        if self._failure is not None:
            raise self._failure

    def health(self) -> tuple[bool, str]:
        """Tell whether every lane moves, or has said why not."""
        if self.declared is not None:
            return True, f"waiting: {self.declared}"
        now = time.monotonic()
        for lane in self._lanes.values():
            if lane.at_work_since is not None and now - lane.at_work_since > STALLED_SECONDS:
                return False, "stalled"
        return True, "working"

    def fail(self, error: BaseException) -> None:
        """Stop without a commit."""
        if self._failure is None:
            self._failure = error

    # -- assignment ---------------------------------------------------------------------------

    async def _assigned(self, _app: Any, assigned: Iterable[TP], **_: Any) -> None:
        tps = {TP(*tp) for tp in assigned if tp.topic in self.work.topics}
        by_lane: dict[Hashable, set[TP]] = {}
        for tp in tps:
            by_lane.setdefault(self.work.lane(tp), set()).add(tp)
        self._forget()
        self._sure_until = time.monotonic() + SURE_SECONDS
        for tp in sorted(self._told - tps):
            self.watch.released(tp)
        self._told &= tps
        self._lanes = {name: _Lane(name, tps=members) for name, members in by_lane.items()}
        # Asked once for all lanes, of which there may be hundreds.
        committed = asyncio.ensure_future(self.ends.committed(self.work.group, tps))
        ends = asyncio.ensure_future(self.ends.ends([tp for tp in tps if self.work.leading(tp)]))
        begun = asyncio.ensure_future(self._begin_again(self._lanes, tps, committed))
        for lane in self._lanes.values():
            lane.task = asyncio.create_task(self._run_lane(lane, committed, ends, begun))
        self.assigned = True

    async def _revoked(self, _app: Any, _revoked: Iterable[TP], **_: Any) -> None:
        # Faust's protocol is eager: everything is given back, and what stays ours is sought to its
        # committed offset. So every lane ends here, whatever was revoked.
        lanes, self._lanes = list(self._lanes.values()), {}
        await self._close(lanes)
        if self._failure is None:
            await self._commit()
        # What could not be committed is another's to do: the next generation must not commit it from here.
        self._forget()

    def _forget(self) -> None:
        for known in (self._done, self._committed, self._seen, self._sought, self._stamp, self._first):
            known.clear()

    async def _close(self, lanes: Sequence[_Lane]) -> None:
        """End lanes between two batches; a batch that takes too long is abandoned, uncommitted."""
        tasks = []
        for lane in lanes:
            lane.closing = True
            lane.waiting.clear()
            lane.arrived.set()
            if lane.task is not None:
                tasks.append(lane.task)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()

    # -- lanes --------------------------------------------------------------------------------

    def _put(self, tp: TP, records: list[ConsumerRecord]) -> None:
        tp = TP(*tp)
        lane = self._lanes.get(self.work.lane(tp))
        if lane is None or lane.closing or tp not in lane.tps:
            return
        seen = self._seen.get(tp)
        if seen is not None and records[0].offset <= seen:
            # A seek back to the committed offset: what still waits here must not come twice.
            records = [record for record in records if record.offset > seen]
            if not records:
                return
        if seen is not None and records[0].offset > seen + 1 and not self.work.compacted(tp):
            lane.astray[tp] = seen + 1, records[0].offset
            lane.arrived.set()
            return
        if tp not in self._first:
            self._first[tp], self._stamp[tp] = records[0].offset, records[0].timestamp
        self._seen[tp] = records[-1].offset
        self.watch.received(tp, records)
        lane.waiting.append((tp, records))
        lane.queued += len(records)
        lane.arrived.set()
        self._regulate(lane)

    async def _run_lane(
        self,
        lane: _Lane,
        committed: Awaitable[Mapping[TP, int]],
        ends: Awaitable[Mapping[TP, int]],
        begun: Awaitable[None],
    ) -> None:
        try:
            every, last = await committed, await ends
            await self._fold(lane, every, last)
            await begun
            # Faust resumes all partitions at the end of a rebalance.
            self._regulate(lane)
            while not lane.closing:
                await lane.arrived.wait()
                if lane.queued < SMALL and not lane.closing:
                    await asyncio.sleep(COMPANY_SECONDS)
                batch = self._take(lane)
                if not batch and not lane.astray:
                    lane.arrived.clear()
                    continue
                for tp, records in batch.items():
                    due = self._done.get(tp, lane.committed.get(tp, 0))
                    if records[0].offset > due and not self.work.compacted(tp):
                        lane.astray[tp] = due, records[0].offset
                    elif records[0].offset < due and (end := (await self.ends.ends([tp]))[tp]) < due:
                        raise CutOff(tp, due, end)
                for tp, (due, came) in list(lane.astray.items()):
                    if tp in batch and batch[tp][0].offset >= due:
                        del batch[tp]
                    await self._go_back(lane, tp, due, came)
                if not batch:
                    continue
                if not await self._carry_out(lane, batch):
                    return
                for tp, records in batch.items():
                    last = records[-1]
                    self._done[tp] = last.offset + 1
                    self._stamp[tp] = last.timestamp
                    if tp in lane.leaders and last.offset + 1 >= lane.leaders[tp]:
                        del lane.leaders[tp]
                        self._regulate(lane)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)

    async def _go_back(self, lane: _Lane, tp: TP, due: int, came: int) -> None:
        """Fetch again from an offset that was jumped over; raise `Gap` when its record is gone.

        Faust drops what it fetched during a rebalance and then seeks to what is committed, but aiokafka's
        `seek_to_committed` passes by a partition whose committed offset is 0.
        """
        self._sought[tp, due] += 1
        if (await self.ends.begins([tp]))[tp] > due or self._sought[tp, due] > MOST_SEEKS:
            # Better to stop before the commit than to jump over what nobody decided.
            raise Gap(tp, due, came)
        lane.waiting = deque(item for item in lane.waiting if item[0] != tp or item[1][0].offset < due)
        lane.queued = sum(len(records) for _, records in lane.waiting)
        self._seen[tp] = due - 1
        await self._seek({tp: due})
        del lane.astray[tp]

    async def _seek(self, offsets: dict[TP, int]) -> None:
        # `consumer.seek` would do it in this thread, under the hands of the one that fetches.
        await self.app.consumer.seek_wait(offsets)

    async def _carry_out(self, lane: _Lane, batch: Batch) -> bool:
        """Have a batch done, when the lane is ours and not held; tell whether it was, before the lane had to end."""
        while True:
            while self.work.held(lane.name) or not await self._ours(lane, min(batch)):
                if lane.closing:
                    return False
                await asyncio.sleep(HELD_SECONDS)
            lane.at_work_since = time.monotonic()
            try:
                await self.work.carry_out(lane.name, batch)
            except Held:
                # What was decided moved the lane's state along, and was not written.
                await self.work.fold(lane.name, {tp: records[0].offset for tp, records in batch.items()})
            else:
                return True
            finally:
                lane.at_work_since = None

    async def _ours(self, lane: _Lane, tp: TP) -> bool:
        """Tell whether the lane's partitions are still ours; ask the group if it has not said so lately."""
        if time.monotonic() < self._sure_until:
            return True
        async with self._commit_lock:
            # What is committed already says nothing new, and only an owner may say it.
            return await self._say({tp: self._done.get(tp, lane.committed.get(tp, 0))})

    async def _fold(self, lane: _Lane, every: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        lane.committed = committed = {tp: every[tp] for tp in lane.tps if tp in every}
        lane.leaders = {tp: ends[tp] for tp in lane.tps if tp in ends and ends[tp] > committed.get(tp, 0)}
        await self.work.fold(lane.name, committed)
        lane.ready = True
        for tp in lane.tps:
            self._tell(tp, committed.get(tp, 0))

    async def _begin_again(
        self, lanes: Mapping[Hashable, _Lane], tps: Iterable[TP], committed: Awaitable[Mapping[TP, int]]
    ) -> None:
        """Fetch from what is committed, where nothing came from there yet: once for all lanes of an assignment.

        Faust drops what arrives before it calls the group settled; without another record behind it, nobody
        would notice, see `_go_back`.  What arrives after that is not dropped, and comes twice at worst.
        """
        every = await committed
        while not self.app.consumer.flow_active and self._lanes is lanes:
            await asyncio.sleep(COMPANY_SECONDS)
        due = {tp: every.get(tp, 0) for tp in tps if tp not in self._seen}
        if due and self._lanes is lanes:
            await self._seek(due)

    def _take(self, lane: _Lane) -> dict[TP, list[ConsumerRecord]]:
        """Merge what waits, in order of arrival within each partition; leaders alone while they are behind."""
        batch: dict[TP, list[ConsumerRecord]] = {}
        kept: deque[tuple[TP, list[ConsumerRecord]]] = deque()
        taken = 0
        while lane.waiting and taken < LARGEST_BATCH:
            tp, records = lane.waiting.popleft()
            if lane.leaders and tp not in lane.leaders:
                kept.append((tp, records))
                continue
            room = LARGEST_BATCH - taken
            if len(records) > room:
                lane.waiting.appendleft((tp, records[room:]))
                records = records[:room]
            batch.setdefault(tp, []).extend(records)
            taken += len(records)
        kept.extend(lane.waiting)
        lane.waiting = kept
        lane.queued -= taken
        self._regulate(lane)
        return batch

    def _regulate(self, lane: _Lane) -> None:
        """Fetch only what the lane can take now: nothing past its bound, leaders alone while they are behind.

        Applied at every change, because Faust resumes all partitions by itself after a rebalance.
        """
        wanted = set(lane.leaders) or lane.tps
        queued = sum(len(records) for tp, records in lane.waiting if tp in wanted)
        if queued > (LANE_BOUND // 2 if lane.paused else LANE_BOUND):
            lane.paused, wanted = True, set()
        else:
            lane.paused = False
        # Each call looks at all partitions of the process, of which there may be hundreds.
        if stopped := lane.tps - wanted:
            self.app.consumer.pause_partitions(stopped)
        if resumed := lane.stopped - stopped:
            self.app.consumer.resume_partitions(resumed)
        lane.stopped = stopped

    # -- commit -------------------------------------------------------------------------------

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            try:
                await self._commit()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.fail(error)
                return

    async def _say(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, and tell whether the group took it from us; Faust itself leaves out what is not assigned."""
        asked = time.monotonic()
        if not offsets.keys() <= self.app.consumer.assignment():
            return False
        # Private, like what `_Consumer` stands in for; a test pins them against the installed Faust.
        if not await self.app.consumer._commit(offsets):
            return False
        self._sure_until = asked + SURE_SECONDS
        return True

    async def _commit(self) -> None:
        async with self._commit_lock:
            due = {tp: offset for tp, offset in self._done.items() if offset > self._committed.get(tp, -1)}
            if due and await self._say(due):
                self._committed.update(due)
            # One that is ready, of which nothing came, is told as well: it has an owner. And one of which nothing is
            # done yet waits, maybe for ever.
            ready = {tp: lane.committed.get(tp, 0) for lane in self._lanes.values() if lane.ready for tp in lane.tps}
            for tp, offset in (ready | self._first | self._done).items():
                self._tell(tp, offset)

    def _tell(self, tp: TP, offset: int) -> None:
        self._told.add(tp)
        highwater = self.app.consumer.highwater(tp) or offset
        lag = max(highwater - offset, 0)
        stamp = self._stamp.get(tp)
        seconds = max(time.time() - stamp / 1000, 0.0) if lag and stamp is not None else 0.0
        self.watch.committed(tp, offset, lag, seconds)


class Ends(Protocol):
    """Reads offsets outside the group's own consumer."""

    async def committed(self, group: str, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Return the committed offsets of a group; nothing for a partition without one."""
        ...

    async def ends(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Return the end offsets."""
        ...

    async def begins(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Return the offsets of the first records that are still there."""
        ...
