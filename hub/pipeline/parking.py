"""Parking and release: one bad record never stops its product, and its subject is never reordered.

Sans I/O.  `Partition` is what one worker knows of one raw partition, folded from the partition's
own quarantine and state topics at assignment; `decide` says what to do with a batch of records and
commands.  The shell awaits every output, then the states, then the quarantine, and only then commits: a kill
between any two of these steps repeats work whose effects are known by their ids.

A release is a command in the raw partition itself.  It processes what waits for its key, in origin order,
each record in its old place of the promised order, and stops at the first that is rejected again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from hub.model.command import Command, Kind
from hub.model.connector import Connector, OnReject
from hub.model.decision import Decision, Deliver, Quarantine, Skip
from hub.model.errors import Code, Stage
from hub.model.record import Record
from hub.pipeline.process import Encoder, process


class State(NamedTuple):
    """What the last record of a key left behind."""

    epoch: int
    offset: int
    """Address of that record: it, and whatever is older, is settled."""
    value: bytes


class Held(NamedTuple):
    """A record in quarantine that is not settled."""

    record: Record
    code: Code
    """Why it was set aside at first."""
    parks: bool
    """Whether later records of its key wait behind it."""
    edit: bytes | None = None
    """Corrected bytes; the record's own stay as they are."""

    @property
    def now(self) -> Record:
        """The record as it would be processed today."""
        return self.record if self.edit is None else self.record._replace(value=self.edit)


class How(StrEnum):
    """How a quarantined record was settled."""

    RELEASED = "released"
    DROPPED = "dropped"
    SUPERSEDED = "superseded"
    """A later record of the key, which said everything again, was processed before it was released."""


class Settled(NamedTuple):
    """The end of a quarantined record's wait."""

    key: bytes
    epoch: int
    offset: int
    how: How
    command: str
    """Id of the command that settled it."""


class Edit(NamedTuple):
    """A corrected copy to be kept beside the original."""

    key: bytes
    epoch: int
    offset: int
    value: bytes
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a command."""

    command: Command
    released: int = 0
    dropped: int = 0
    superseded: int = 0
    events: int = 0
    edited: int = 0
    rejected: Mapping[int, Code] = field(default_factory=dict)
    """Origin offset and code of what is still rejected."""
    waiting: int = 0
    """Records of the key that still wait."""


@dataclass
class Partition:
    """One raw partition as its owner knows it."""

    states: dict[bytes, State] = field(default_factory=dict)
    parked: dict[bytes, int] = field(default_factory=dict)
    """Raw key to the offset of the first record that parks it and is not settled."""
    quarantined: set[int] = field(default_factory=set)
    """Offsets of records that are or were in quarantine: a redelivery must not be decided anew."""
    waiting: dict[bytes, dict[int, Held]] = field(default_factory=dict)
    """What is in quarantine and not settled, by origin offset, for the keys that a command of the batch names."""
    remembers_all: bool = False
    """Whether `waiting` is kept for every key: for a reader of the whole log."""


@dataclass
class Decided:
    """A batch, decided: what each record causes, and what is to be written down, in this order."""

    decisions: list[Decision] = field(default_factory=list)
    states: dict[bytes, State] = field(default_factory=dict)
    """Last per key."""
    settled: list[Settled] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)


def decide(
    records: Iterable[Record | Command], partition: Partition, connector: Connector, schemas: Encoder
) -> Decided:
    """Decide a batch of one partition, in order; the partition's knowledge moves along."""
    decided = Decided()
    for record in records:
        if isinstance(record, Command):
            _obey(record, partition, connector, schemas, decided)
            continue
        offset = record.origin.offset
        if offset in partition.quarantined:
            decided.decisions.append(Skip(record, "quarantined_before"))
            continue
        known = partition.states.get(record.key)
        if known is not None and (record.origin.epoch, offset) <= known[:2]:
            # Its outputs were acknowledged before this state was written.
            decided.decisions.append(Skip(record, "settled"))
            continue
        first = partition.parked.get(record.key) if partition.parked else None
        if first is not None and offset >= first:
            # A redelivery can bring records from before the first parked one: those still go out.
            behind = Quarantine(record, Code.BEHIND, Stage.PARK, "waits for an earlier record")
            _set_aside(behind, partition, connector)
            decided.decisions.append(behind)
            continue
        outcome = process(record, connector, schemas, known.value if known is not None else None)
        for decision in outcome.decisions:
            if isinstance(decision, Quarantine):
                _set_aside(decision, partition, connector)
        _remember(record, outcome.state, partition, decided)
        decided.decisions.extend(outcome.decisions)
    return decided


def parks(decision: Quarantine, connector: Connector) -> bool:
    """Tell whether later records of the key wait behind this one."""
    feed = connector.feeds.get(decision.record.feed)
    return decision.code is Code.BEHIND or feed is None or feed.manifest.on_reject is OnReject.PARK


def _set_aside(decision: Quarantine, partition: Partition, connector: Connector) -> None:
    record, offset = decision.record, decision.record.origin.offset
    partition.quarantined.add(offset)
    parking = parks(decision, connector)
    if parking:
        partition.parked.setdefault(record.key, offset)
    if partition.remembers_all or record.key in partition.waiting:
        partition.waiting.setdefault(record.key, {})[offset] = Held(record, decision.code, parking)


def _remember(record: Record, state: bytes | None, partition: Partition, decided: Decided) -> None:
    if state is not None:
        moved = State(record.origin.epoch, record.origin.offset, state)
        partition.states[record.key] = decided.states[record.key] = moved


def _obey(command: Command, partition: Partition, connector: Connector, schemas: Encoder, decided: Decided) -> None:
    if command.kind is Kind.EDIT:
        decided.reports.append(_edit(command, partition, decided))
    elif command.kind is Kind.RELEASE:
        decided.reports.append(_release(command, partition, connector, schemas, decided))


def _waiting(command: Command, partition: Partition) -> dict[int, Held]:
    if partition.remembers_all:
        return partition.waiting.setdefault(command.key, {})
    # A key that nobody looked up must not pass for one that nothing waits for.
    return partition.waiting[command.key]


def _edit(command: Command, partition: Partition, decided: Decided) -> Report:
    waiting = _waiting(command, partition)
    held = waiting.get(command.target)
    if held is None:
        return Report(command, waiting=len(waiting))
    waiting[command.target] = held._replace(edit=command.value)
    epoch = held.record.origin.epoch
    decided.edits.append(Edit(command.key, epoch, command.target, command.value, command.id))
    return Report(command, edited=1, waiting=len(waiting))


def _release(
    command: Command, partition: Partition, connector: Connector, schemas: Encoder, decided: Decided
) -> Report:
    key = command.key
    waiting = _waiting(command, partition)
    ended: dict[How, int] = dict.fromkeys(How, 0)
    rejected: dict[int, Code] = {}
    events = 0

    def settle(offset: int, how: How) -> None:
        ended[how] += 1
        epoch = waiting.pop(offset).record.origin.epoch
        decided.settled.append(Settled(key, epoch, offset, how, command.id))

    for offset in sorted(waiting):
        if offset >= command.origin.offset:
            break
        held = waiting[offset]
        if offset in command.drop:
            settle(offset, How.DROPPED)
            decided.decisions.append(Skip(held.record, "dropped"))
            continue
        known = partition.states.get(key)
        done = known is not None and (held.record.origin.epoch, offset) <= known[:2]
        if done and not held.parks:
            settle(offset, How.SUPERSEDED)
            decided.decisions.append(Skip(held.record, "superseded"))
            continue
        record = held.now
        outcome = process(record, connector, schemas, known.value if known is not None else None)
        again = next((decision for decision in outcome.decisions if isinstance(decision, Quarantine)), None)
        if again is not None:
            rejected[offset] = again.code
            decided.decisions.append(Skip(held.record, "rejected_again"))
            if held.parks:
                break
            continue
        if done:
            # Released before, by a worker that was killed before it wrote that down.
            settle(offset, How.RELEASED)
            decided.decisions.append(Skip(held.record, "settled"))
            continue
        for decision in outcome.decisions:
            if isinstance(decision, Deliver):
                events += 1
                decision = decision._replace(again=not command.notify)
            decided.decisions.append(decision)
        _remember(record, outcome.state, partition, decided)
        settle(offset, How.RELEASED)
    still = [offset for offset, held in waiting.items() if held.parks]
    if still:
        partition.parked[key] = min(still)
    else:
        partition.parked.pop(key, None)
    return Report(
        command,
        released=ended[How.RELEASED],
        dropped=ended[How.DROPPED],
        superseded=ended[How.SUPERSEDED],
        events=events,
        rejected=rejected,
        waiting=len(waiting),
    )
