"""Replay: a range of a raw partition, told again by today's mapping.

Sans I/O.  The baseline of what has memory is folded from the records before the range, never from today's state.
What waits in quarantine goes on waiting; what was corrected is told as corrected; what was dropped stays dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hub.model.connector import Connector
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Code
from hub.model.event import Event
from hub.model.record import Record
from hub.pipeline.parking import How, State
from hub.pipeline.process import Encoder, process
from hub.pipeline.shelf import Shelf


@dataclass
class Again:
    """A replay on its way."""

    connector: Connector
    schemas: Encoder
    first: int
    """First offset of the range."""
    waiting: frozenset[int]
    """Origin offsets of what is in quarantine."""
    given_up: frozenset[int]
    """Origin offsets of what was settled without being told."""
    edits: Mapping[int, bytes]
    states: dict[bytes, State] = field(default_factory=dict)
    touched: set[bytes] = field(default_factory=set)
    """Keys whose memory the range has moved."""
    records: int = 0
    rejected: dict[int, Code] = field(default_factory=dict)
    """What came out before and is rejected by today's mapping."""

    @classmethod
    def of(cls, shelf: Shelf, connector: Connector, schemas: Encoder, first: int) -> Again:
        """Begin; the shelf must keep the bytes of all keys' edits."""
        given_up = frozenset(offset for offset, settled in shelf.settled.items() if settled.how is not How.RELEASED)
        return cls(connector, schemas, first, frozenset(shelf.kept), given_up, shelf.edits)

    @property
    def begins(self) -> int:
        """The offset from which records are needed: a memory needs all that came before."""
        return 0 if any(feed.manifest.memory for feed in self.connector.feeds.values()) else self.first

    def tell(self, records: Iterable[Record]) -> Iterator[Event]:
        """Yield the events of the next records of the partition, in order; those before the range give none."""
        for record in records:
            offset = record.origin.offset
            if offset in self.waiting or offset in self.given_up:
                continue
            if offset in self.edits:
                record = record._replace(value=self.edits[offset])
            known = self.states.get(record.key)
            outcome = process(record, self.connector, self.schemas, known.value if known is not None else None)
            if outcome.state is not None:
                self.states[record.key] = State(record.origin.epoch, offset, outcome.state)
                if offset >= self.first:
                    self.touched.add(record.key)
            if offset < self.first:
                continue
            self.records += 1
            for decision in outcome.decisions:
                if isinstance(decision, Quarantine):
                    self.rejected[offset] = decision.code
                elif isinstance(decision, Deliver):
                    yield decision.event
