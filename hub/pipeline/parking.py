"""Parking: one bad record never stops its product, and its subject is never reordered.

Sans I/O.  `Partition` is what one worker knows of one raw partition, folded from the partition's
own quarantine and state topics at assignment; `decide` says what to do with a batch.  The shell
awaits every output, then the quarantine, then the states, and only then commits: a kill between any two of these
steps repeats work whose effects are known by their ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from hub.model.connector import Connector, OnReject
from hub.model.decision import Decision, Quarantine, Skip
from hub.model.errors import Code, Stage
from hub.model.record import Record
from hub.pipeline.process import Encoder, process


class State(NamedTuple):
    """What the last record of a key left behind."""

    epoch: int
    offset: int
    """Address of that record: it, and whatever is older, is settled."""
    value: bytes


@dataclass
class Partition:
    """One raw partition as its owner knows it."""

    states: dict[bytes, State] = field(default_factory=dict)
    parked: dict[bytes, int] = field(default_factory=dict)
    """Raw key to the offset of the first record that is in quarantine and not settled."""
    quarantined: dict[int, Code] = field(default_factory=dict)
    """Offsets of records in quarantine: a redelivery must not give them another code."""


class Decided(NamedTuple):
    """A batch, decided: what each record causes, and the states to write, last per key."""

    decisions: list[Decision]
    states: dict[bytes, State]


def decide(records: Iterable[Record], partition: Partition, connector: Connector, schemas: Encoder) -> Decided:
    """Decide a batch of one partition, in order; the partition's knowledge moves along."""
    decisions: list[Decision] = []
    states: dict[bytes, State] = {}
    for record in records:
        offset = record.origin.offset
        if offset in partition.quarantined:
            decisions.append(Skip(record, "quarantined_before"))
            continue
        known = partition.states.get(record.key)
        if known is not None and (record.origin.epoch, offset) <= known[:2]:
            # Its outputs were acknowledged before this state was written.
            decisions.append(Skip(record, "settled"))
            continue
        first = partition.parked.get(record.key) if partition.parked else None
        if first is not None and offset >= first:
            # A redelivery can bring records from before the first parked one: those still go out.
            decisions.append(Quarantine(record, Code.BEHIND, Stage.PARK, "waits for an earlier record"))
            partition.quarantined[offset] = Code.BEHIND
            continue
        outcome = process(record, connector, schemas, known.value if known is not None else None)
        for decision in outcome.decisions:
            if isinstance(decision, Quarantine):
                partition.quarantined[offset] = decision.code
                if parks(record, connector):
                    partition.parked.setdefault(record.key, offset)
        if outcome.state is not None:
            moved = State(record.origin.epoch, offset, outcome.state)
            partition.states[record.key] = states[record.key] = moved
        decisions.extend(outcome.decisions)
    return Decided(decisions, states)


def parks(record: Record, connector: Connector) -> bool:
    """Tell whether later records of the key wait behind this one once it is rejected."""
    feed = connector.feeds.get(record.feed)
    return feed is None or feed.manifest.on_reject is OnReject.PARK
