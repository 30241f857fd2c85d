"""The role *normalise*: raw records to canonical events, quarantine and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, cast
from uuid import uuid4

from aiokafka import ConsumerRecord
from faust.types import TP

from hub.kafka import switches, wire
from hub.kafka.fold import Reader
from hub.kafka.produce import BatchProducer, Message, Written
from hub.kafka.switches import GRACE_SECONDS, Switch, Switches
from hub.kafka.worker import Batch, Held
from hub.model.command import Command, Kind
from hub.model.connector import Connector
from hub.model.decision import Decision, Deliver, Quarantine
from hub.model.errors import Code
from hub.model.record import Record
from hub.pipeline.breaker import Breaker
from hub.pipeline.parking import Decided, Partition, Report, decide
from hub.pipeline.process import Encoder
from hub.pipeline.replay import Again
from hub.pipeline.shelf import Memory, Shelf
from schemas.models.operations import Replayed

BREAKER = "breaker"
"""Who paused a product, when nobody did."""


class Decisions(Protocol):
    """What normalise tells about itself."""

    def decided(self, product: str, decisions: Sequence[Decision]) -> None:
        """Count and log what was decided, once it has been carried out."""
        ...

    def carried_out(self, connector: Connector, items: Sequence[Record | Command]) -> None:
        """Take a look at what was decided about, now and then: a vendor may have changed its format."""
        ...

    def obeyed(self, product: str, reports: Sequence[Report]) -> None:
        """Tell what became of operators' commands: who gave them, why, and with what effect."""
        ...

    def parked(self, product: str, partition: int, subjects: int, oldest: float) -> None:
        """Tell how many subjects of a partition wait, and since when (UTC seconds, 0 for none)."""
        ...

    def switched(self, product: str, switch: Switch) -> None:
        """Tell that a product was paused, or goes on: who said so, why and when."""
        ...

    def void(self, topic: str, partition: int, records: int) -> None:
        """Tell that an owner wrote after the next one had begun, and that it changed nothing."""
        ...


class Normalise:
    """Decides records by `decide`, writes what follows, in the order that loses nothing."""

    group = "hub.normalise"

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        schemas: Encoder,
        epochs: Mapping[str, int],
        reader: Reader,
        producer: BatchProducer,
        options: Mapping[str, Any],
        partitions: int,
        watch: Decisions,
    ) -> None:
        """`epochs` gives the epoch of each product's raw topic, `options` are aiokafka's connection settings."""
        self.topics = [wire.raw_topic(product) for product in connectors]
        self._connectors = {wire.raw_topic(product): connector for product, connector in connectors.items()}
        self._schemas = schemas
        self._epochs = epochs
        self._reader = reader
        self._producer = producer
        self._partitions = partitions
        self._watch = watch
        self._owned: dict[Hashable, _Owned] = {}
        self._breakers = {connector.product: Breaker() for connector in connectors.values()}
        self._switches = Switches(options, partitions, self._switched)

    def lane(self, tp: TP) -> Hashable:
        """Give each raw partition a lane: products do not wait for one another."""
        return tp

    def leading(self, tp: TP) -> bool:
        """Nothing leads: a partition needs only its own past."""
        return False

    def compacted(self, tp: TP) -> bool:
        """Nothing is: each record is a fact of its own."""
        return False

    async def start(self) -> None:
        """Connect, and learn what is paused."""
        await self._producer.start()
        await self._switches.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._switches.stop()
        await self._producer.stop()

    def held(self, lane: Hashable) -> bool:
        """Hold the lanes of a product that is paused."""
        return self._switches.paused(self._connectors[cast(TP, lane).topic].product) is not None

    def _switched(self, product: str, switch: Switch) -> None:
        if product not in self._breakers:
            return
        if not switch.paused:
            passed = time.time() - switch.at / 1000
            self._breakers[product].reset(time.monotonic() + GRACE_SECONDS - passed)
        self._watch.switched(product, switch)

    async def _pause(self, product: str, why: str) -> None:
        switch = Switch(True, BREAKER, why, int(time.time() * 1000))
        await self._producer.write([switches.message(product, switch)])
        self._switches.set(product, switch)

    async def fold(self, lane: Hashable, committed: Mapping[TP, int]) -> None:
        """Say that the partition has another owner; then learn what is parked and what each key's last record left.

        Whoever gets back what it had, and nobody has had meanwhile, knows it.
        """
        topic, number = tp = cast(TP, lane)
        product = self._connectors[topic].product
        before = self._owned.pop(lane, None)
        if before is not None and await self._is_as_left(number, before):
            self._owned[lane] = before
            self._tell_parked(tp, before)
            return
        owner = uuid4().hex[:12]
        quarantine, states = wire.quarantine_topic(product), wire.state_topic(product)
        began = await self._producer.write(wire.began_message(name, number, owner) for name in (quarantine, states))
        shelf, memory = await asyncio.gather(self._shelf(product, number, set()), self._memory((states, number)))
        first = committed.get(tp, 0)
        mended = memory.mended(self._epochs[product], first)
        owned = _Owned(owner, Partition(states=memory.states, parked=shelf.parked()), began)
        await self._log(
            owned, (wire.state_message(product, number, key, state, owner) for key, state in mended.items())
        )
        owned.partition.quarantined = {offset for offset in (*shelf.kept, *shelf.settled) if offset >= first}
        for kept in shelf.kept.values():
            owned.since.setdefault(kept.key, kept.at / 1000)
        self._owned[lane] = owned
        if shelf.void or mended:
            self._watch.void(topic, number, shelf.void + len(mended))
        self._tell_parked(tp, owned)

    async def carry_out(self, lane: Hashable, batch: Batch) -> None:
        """Decide a batch of one partition; outputs, then states, then what was settled, each acknowledged."""
        for tp, records in batch.items():
            owned = self._owned[tp]
            owned.at_work = True
            await self._one(tp, records)
            owned.at_work = False

    async def _one(self, tp: TP, records: Sequence[ConsumerRecord]) -> None:
        connector = self._connectors[tp.topic]
        product = connector.product
        epoch = self._epochs[product]
        items: list[Record | Command] = []
        for record in records:
            item = wire.raw_item(record, product, epoch)
            if isinstance(item, Command) and item.kind is Kind.REPLAY:
                await self._some(tp, connector, items)
                await self._replay(tp, connector, item)
                items = []
            elif item is not None:
                items.append(item)
        await self._some(tp, connector, items)

    async def _some(self, tp: TP, connector: Connector, items: Sequence[Record | Command]) -> None:
        if not items:
            return
        product = connector.product
        owned = self._owned[tp]
        keys = {item.key for item in items if isinstance(item, Command)}
        if keys:
            shelf = await self._shelf(product, tp.partition, keys)
            owned.partition.waiting = {key: {} for key in keys} | shelf.waiting()
        parked = set(owned.partition.parked)
        decided = decide(items, owned.partition, connector, self._schemas)
        owned.partition.waiting.clear()
        why = self._breakers[product].opens(time.monotonic(), len(items), decided.decisions, connector)
        if why is not None:
            await self._pause(product, why)
            raise Held
        await self._write(tp, connector, decided, owned)
        owned.forget()
        self._watch.decided(product, decided.decisions)
        self._watch.carried_out(connector, items)
        if decided.reports:
            self._watch.obeyed(product, decided.reports)
        if owned.partition.parked.keys() != parked:
            for key in owned.partition.parked.keys() - owned.since.keys():
                owned.since[key] = time.time()
            self._tell_parked(tp, owned)

    async def _replay(self, tp: TP, connector: Connector, command: Command) -> None:
        """Tell a range again up to the command itself, mark its end on every event partition, and say what was done."""
        product, owned, end = connector.product, self._owned[tp], command.origin.offset
        if command.rev != connector.manifest.revision:
            # The operator looked at another mapping than the one that runs here.
            report = Report(command, rejected={command.target: Code.UNSUPPORTED})
            await self._log(owned, [wire.report_message(product, report, owned.name)])
            self._watch.obeyed(product, [report])
            return
        shelf = await self._shelf(product, tp.partition, None)
        again = Again.of(shelf, connector, self._schemas, command.target)
        events = 0
        async for chunk in self._reader.whole(tp, since=again.begins, until=end):
            found = (wire.raw_item(record, product, self._epochs[product]) for record in chunk)
            told = list(again.tell(item for item in found if isinstance(item, Record)))
            await self._producer.write(wire.event_message(event, again=True) for event in told)
            events += len(told)
        # What comes next is compared with what the corrected mapping remembers.
        states = {key: again.states[key] for key in again.touched}
        await self._log(
            owned, (wire.state_message(product, tp.partition, key, state, owned.name) for key, state in states.items())
        )
        owned.partition.states.update(states)
        await self._producer.write(self._marks(tp, connector, command))
        report = Report(command, released=again.records, events=events, rejected=again.rejected)
        await self._log(owned, [wire.report_message(product, report, owned.name)])
        self._watch.obeyed(product, [report])

    def _marks(self, tp: TP, connector: Connector, command: Command) -> Iterator[Message]:
        domain = connector.domain
        for number in range(self._partitions):
            mark = Replayed(
                product=connector.product,
                epoch=command.origin.epoch,
                raw_partition=tp.partition,
                first=command.target,
                end=command.origin.offset,
                rev=command.rev,
                domain=domain,
                event_partition=number,
                event_partitions=self._partitions,
                command=command.id,
            )
            yield wire.mark_message(mark, self._schemas.encode(mark), datetime.now(UTC))

    async def _write(self, tp: TP, connector: Connector, decided: Decided, owned: _Owned) -> None:
        product, number, owner = connector.product, tp.partition, owned.name
        outputs: list[Message] = []
        for decision in decided.decisions:
            if isinstance(decision, Deliver):
                outputs.append(wire.event_message(decision.event, again=decision.again))
            elif isinstance(decision, Quarantine):
                outputs.append(wire.quarantine_message(decision, connector, owner))
        await self._log(owned, outputs)
        await self._log(
            owned, (wire.state_message(product, number, key, state, owner) for key, state in decided.states.items())
        )
        await self._log(
            owned,
            [
                *(wire.edit_message(product, number, edit, owner) for edit in decided.edits),
                *(wire.settled_message(product, number, settled, owner) for settled in decided.settled),
                *(wire.report_message(product, report, owner) for report in decided.reports),
            ],
        )

    async def _log(self, owned: _Owned, messages: Iterable[Message]) -> None:
        """Write, and remember how far the two logs of a partition are ours."""
        owned.wrote(await self._producer.write(messages))

    async def _is_as_left(self, number: int, owned: _Owned) -> bool:
        """Tell whether a partition's two logs end where its owner left them, with all that it did in them."""
        if owned.at_work or len(owned.ends) < 2:
            return False
        left = await asyncio.gather(*(self._ends_at(topic, number, end) for topic, end in owned.ends.items()))
        return all(left)

    async def _ends_at(self, topic: str, number: int, end: int) -> bool:
        async for _ in self._reader.whole((topic, number), since=end):
            return False
        return True

    async def _memory(self, tp: tuple[str, int]) -> Memory:
        memory = Memory()
        async for records in self._reader.whole(tp):
            for record in records:
                wire.remember(record, memory)
        return memory

    async def _shelf(self, product: str, number: int, keys: set[bytes] | None) -> Shelf:
        """Fold a quarantine partition, with the bytes of some keys or of all."""
        shelf = Shelf(keeps=keys.__contains__ if keys is not None else lambda _key: True)
        epoch = self._epochs[product]
        async for records in self._reader.whole((wire.quarantine_topic(product), number)):
            for record in records:
                note = wire.note(record, product)
                if note is not None and note.life in (None, epoch):
                    shelf.add(note)
        return shelf

    def _tell_parked(self, tp: TP, owned: _Owned) -> None:
        parked = owned.partition.parked
        owned.since = {key: since for key, since in owned.since.items() if key in parked}
        product = self._connectors[tp.topic].product
        self._watch.parked(product, tp.partition, len(parked), min(owned.since.values(), default=0.0))


class _Owned:
    """A raw partition, for as long as it is ours."""

    def __init__(self, name: str, partition: Partition, began: Iterable[Written]) -> None:
        self.name = name
        self.partition = partition
        self.since: dict[bytes, float] = {}
        """When each parked key began to wait, UTC seconds."""
        self.ends = {log.topic: log.first + log.records for log in began if log.first >= 0}
        """Where its logs end if nobody else wrote to them since it began."""
        self.at_work = False
        """Whether something was begun of which not all may be in the logs."""

    def wrote(self, written: Iterable[Written]) -> None:
        """Take note of what was written."""
        for log in written:
            if log.topic in self.ends:
                self.ends[log.topic] += log.records

    def forget(self) -> None:
        """Drop old codes: a redelivery starts at the committed offset, and so much is never uncommitted."""
        known = self.partition.quarantined
        if len(known) > 50_000:
            for offset in sorted(known)[:25_000]:
                known.discard(offset)
