"""Read topics whole, for the ledger: every raw record, what was set aside, every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hub.kafka import wire
from hub.kafka.reading import reader, whole
from hub.model.command import Command
from hub.model.record import Header, Origin, Record
from hub.pipeline.shelf import Original, Shelf
from schemas.models.operations import Replayed


class EventSeen(NamedTuple):
    """What the ledger needs of an event."""

    id: str
    type: str
    subject: str
    product: str
    seq: str


@dataclass
class Topics:
    """Everything that stands in the topics of the path."""

    raw: dict[str, list[Record | Command]] = field(default_factory=dict)
    """Raw records and commands by product; each partition's in order."""
    quarantined: dict[Origin, str] = field(default_factory=dict)
    """Code by origin."""
    settled: dict[Origin, str] = field(default_factory=dict)
    """How quarantined records were settled, by origin."""
    events: dict[str, EventSeen] = field(default_factory=dict)
    """Events by id."""
    repeated: int = 0
    """How often an event id stood in its topic again: redeliveries, harmless by their id."""


def read(options: Mapping[str, Any], epochs: Mapping[str, int], domains: Iterable[str]) -> Topics:
    """Read raw, quarantine and event topics.

    `epochs` gives each product's raw epoch, `options` are kafka-python's connection settings.
    """
    found = Topics()
    with reader(options) as consumer:
        for product, epoch in epochs.items():
            found.raw[product] = [
                item
                for record in whole(consumer, wire.raw_topic(product))
                if (item := wire.raw_item(record, product, epoch)) is not None
            ]
            shelves: dict[int, Shelf] = defaultdict(Shelf)
            for record in whole(consumer, wire.quarantine_topic(product)):
                note = wire.note(record, product)
                if note is not None:
                    shelf = shelves[record.partition]
                    before = shelf.void
                    shelf.add(note)
                    if isinstance(note.what, Original) and shelf.void == before:
                        found.quarantined[note.what.record.origin] = note.what.code
            for number, shelf in shelves.items():
                for offset, settled in shelf.settled.items():
                    found.settled[Origin(wire.raw_topic(product), settled.epoch, number, offset)] = settled.how
        for domain in domains:
            for record in whole(consumer, wire.event_topic(domain)):
                if wire.header(record, "ce_type") == Replayed.TYPE:
                    continue
                name = wire.header(record, "ce_id")
                if name in found.events:
                    found.repeated += 1
                    continue
                found.events[name] = EventSeen(
                    id=name,
                    type=wire.header(record, "ce_type"),
                    subject=wire.header(record, "ce_subject"),
                    product=wire.header(record, Header.PRODUCT),
                    seq=wire.header(record, Header.SEQ),
                )
    return found
