"""A quarantine partition, folded in the order of its log.

Whoever owns a raw partition writes its quarantine and its states, and begins by writing who it is.  What an
earlier owner writes after that (one that was stopped and woke up) is void: there is no other fence, since a
broker takes records from whoever may write to the topic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hub.model.errors import Code
from hub.model.record import Record
from hub.pipeline.parking import Edit, Held, Settled, State


class Began(NamedTuple):
    """An owner began."""


class Original(NamedTuple):
    """A record was set aside."""

    record: Record
    code: Code
    parks: bool
    stage: str
    detail: str
    fields: tuple[str, ...]


class Note(NamedTuple):
    """One record of a quarantine topic."""

    owner: str
    at: int
    """When it was written, UTC milliseconds."""
    what: Began | Original | Edit | Settled

    @property
    def life(self) -> int | None:
        """The raw topic's epoch; None: it concerns all."""
        match self.what:
            case Began():
                return None
            case Original(record=record):
                return record.origin.epoch
            case Edit(epoch=epoch) | Settled(epoch=epoch):
                return epoch


class Kept(NamedTuple):
    """A record on the shelf, without its bytes."""

    key: bytes
    epoch: int
    code: Code
    parks: bool
    at: int


@dataclass
class Shelf:
    """What waits in a quarantine partition, and what was settled."""

    keeps: Callable[[bytes], bool] = lambda _key: False
    """Of which raw keys the records' bytes are kept."""
    owner: str = ""
    kept: dict[int, Kept] = field(default_factory=dict)
    """Not settled, by origin offset."""
    originals: dict[int, Original] = field(default_factory=dict)
    edits: dict[int, bytes] = field(default_factory=dict)
    settled: dict[int, Settled] = field(default_factory=dict)
    void: int = 0
    """Notes of owners that were none any more."""

    def add(self, note: Note) -> None:
        """Take the next note of the log."""
        what = note.what
        if isinstance(what, Began):
            self.owner = note.owner
        elif note.owner != self.owner:
            self.void += 1
        elif isinstance(what, Original):
            origin = what.record.origin
            if origin.offset in self.settled or origin.offset in self.kept:
                return
            self.kept[origin.offset] = Kept(what.record.key, origin.epoch, what.code, what.parks, note.at)
            if self.keeps(what.record.key):
                self.originals[origin.offset] = what
        elif isinstance(what, Edit):
            if self.keeps(what.key):
                self.edits[what.offset] = what.value
        else:
            self.settled[what.offset] = what
            self.kept.pop(what.offset, None)

    def waiting(self) -> dict[bytes, dict[int, Held]]:
        """Return what is not settled of the keys whose bytes are kept, by key and origin offset."""
        found: dict[bytes, dict[int, Held]] = {}
        for offset in sorted(self.kept):
            original = self.originals.get(offset)
            if original is not None:
                held = Held(original.record, original.code, original.parks, self.edits.get(offset))
                found.setdefault(original.record.key, {})[offset] = held
        return found

    def parked(self) -> dict[bytes, int]:
        """Return the offset of the first record that parks each key."""
        found: dict[bytes, int] = {}
        for offset in sorted(self.kept):
            if self.kept[offset].parks:
                found.setdefault(self.kept[offset].key, offset)
        return found


@dataclass
class Memory:
    """A state partition, folded in the order of its log; None begins an owner."""

    owner: str = ""
    states: dict[bytes, State] = field(default_factory=dict)
    void: dict[bytes, State] = field(default_factory=dict)
    """What owners that were none any more wrote, and may have put in the place of what was true."""

    def add(self, owner: str, key: bytes | None, state: State | None) -> None:
        """Take the next record of the log; without a key it says who the owner is."""
        if key is None:
            self.owner = owner
        elif state is None:
            self.states.pop(key, None)
            self.void.pop(key, None)
        elif owner != self.owner:
            if key not in self.void or state[:2] > self.void[key][:2]:
                self.void[key] = state
        else:
            self.states[key] = state

    def mended(self, epoch: int, committed: int) -> dict[bytes, State]:
        """Return the states that must be written again: compaction would keep the void ones in their place.

        Where only a void one is left and it is about what was committed, it is nearer to the truth than nothing.
        One beyond that would pass for done what has still to be decided.
        """
        for key, state in self.void.items():
            if state[:2] < (epoch, committed):
                self.states.setdefault(key, state)
        return {key: self.states[key] for key in self.void if key in self.states}
