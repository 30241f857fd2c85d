"""The law of release: a subject tells what it would have told if the bad record had been good, in the same order.

The world is a raw log, three other logs (events, quarantine, states) and a committed offset.  An owner takes a
batch, decides it, and writes what follows step by step.  It can be killed between any two writes; what it had not
yet written may still be written much later, by an owner that had only been stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples
from words import BAD, GOOD, KEYS, Plain, connector, record

from hub.model.command import Command, Kind
from hub.model.connector import Connector, OnReject
from hub.model.decision import Deliver, Quarantine, Skip
from hub.model.record import Origin, Record
from hub.pipeline.parking import Decided, How, Partition, State, decide, parks
from hub.pipeline.shelf import Began, Memory, Note, Original, Shelf

Write = tuple[str, Any]
"""One write: the log's name and what is appended."""
MANY = examples(300)
"""A step that is forgotten shows in one story of a hundred."""


def command(offset: int, kind: Kind, key: bytes, **more: Any) -> Command:
    """Lay a command down at an offset."""
    return Command(f"c{offset}", kind, key, "ops", "test", Origin("raw.test", 1, 0, offset), **more)


@dataclass
class World:
    """Logs, and whoever owns the partition."""

    made: Connector
    raw: list[Record | Command] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    """Subject and event id."""
    quarantine: list[Note] = field(default_factory=list)
    states: list[tuple[str, bytes | None, State | None]] = field(default_factory=list)
    committed: int = 0
    position: int = 0
    owner: str = ""
    owners: int = 0
    partition: Partition = field(default_factory=Partition)
    asleep: list[list[Write]] = field(default_factory=list)
    """What owners that were stopped will still write."""

    def write(self, wanted: Write) -> None:
        """Append to a log, as a broker does: from whoever may write."""
        where, what = wanted
        if where == "event":
            self.events.append(what)
        elif where == "quarantine":
            self.quarantine.append(what)
        elif where == "state":
            self.states.append(what)

    def assign(self) -> None:
        """Let a new owner begin."""
        self.owners += 1
        self.owner = f"o{self.owners}"
        self.compact()
        self.quarantine.append(Note(self.owner, 0, Began()))
        self.states.append((self.owner, None, None))
        shelf, memory = self.shelf(), Memory()
        for entry in self.states:
            memory.add(*entry)
        for key, state in memory.mended(1, self.committed).items():
            self.states.append((self.owner, key, state))
        self.partition = Partition(states=memory.states, parked=shelf.parked())
        self.partition.quarantined = {o for o in (*shelf.kept, *shelf.settled) if o >= self.committed}
        self.position = self.committed

    def shelf(self) -> Shelf:
        """Fold the quarantine."""
        shelf = Shelf(keeps=lambda _key: True)
        for note in self.quarantine:
            shelf.add(note)
        return shelf

    def compact(self) -> None:
        """Keep the last state of each key, of what was written before the last owner began."""
        begins = [n for n, (_, key, _s) in enumerate(self.states) if key is None]
        if begins:
            old, new = self.states[: begins[-1]], self.states[begins[-1] :]
            last = {key: n for n, (_, key, _s) in enumerate(old) if key is not None}
            self.states = [e for n, e in enumerate(old) if e[1] is None or last[e[1]] == n] + new

    def batch(self, size: int) -> list[Write]:
        """Decide the next items and return what must be written, in order; committing is the last."""
        items = self.raw[self.position : self.position + size]
        keys = {item.key for item in items if isinstance(item, Command)}
        if keys:
            self.partition.waiting = {key: {} for key in keys} | {
                key: held for key, held in self.shelf().waiting().items() if key in keys
            }
        decided = decide(items, self.partition, self.made, Plain())
        self.partition.waiting.clear()
        self.position += len(items)
        return [*self.writes(decided), ("commit", self.position)]

    def writes(self, decided: Decided) -> list[Write]:
        """List what a batch writes: outputs, states, settled."""
        outputs: list[Write] = []
        for decision in decided.decisions:
            if isinstance(decision, Deliver):
                outputs.append(("event", (decision.event.subject, decision.event.id)))
            elif isinstance(decision, Quarantine):
                original = Original(
                    decision.record, decision.code, parks(decision, self.made), decision.stage, decision.detail, ()
                )
                outputs.append(("quarantine", Note(self.owner, 0, original)))
        states: list[Write] = [("state", (self.owner, key, state)) for key, state in decided.states.items()]
        ends: list[Write] = [("quarantine", Note(self.owner, 0, what)) for what in (*decided.edits, *decided.settled)]
        return outputs + states + ends

    def run(self, data: st.DataObject) -> None:
        """Work to the end of the raw log, with kills and owners that wake up."""
        self.assign()
        while self.committed < len(self.raw):
            writes = self.batch(data.draw(st.integers(1, 6)))
            kill = data.draw(st.one_of(st.none(), st.none(), st.integers(0, len(writes) - 1)))
            if self.asleep and data.draw(st.booleans()):
                for wanted in self.asleep.pop():
                    self.write(wanted)
            for wanted in writes[:kill]:
                self.write(wanted)
                if wanted[0] == "commit":
                    self.committed = wanted[1]
            if kill is not None:
                if data.draw(st.booleans()):
                    self.asleep.append([w for w in writes[kill:] if w[0] != "commit"])
                self.assign()

    def drain(self) -> list[Write]:
        """Let a new owner decide all that is there; return what it writes, and commit."""
        self.assign()
        writes = self.batch(len(self.raw))
        self.committed = self.position
        return writes

    def settle(self, data: st.DataObject) -> None:
        """Release every key once more, and let everybody wake up."""
        for key in KEYS:
            self.raw.append(command(len(self.raw), Kind.RELEASE, key))
        self.run(data)
        while self.asleep:
            for wanted in self.asleep.pop():
                self.write(wanted)
        self.assign()


def of(subject: bytes, events: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """List a subject's events, the first time each was told."""
    return [event for event in dict.fromkeys(events) if event[0] == subject.decode()]


steps = st.one_of(
    st.tuples(st.just("good"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("bad"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("repeat"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("release"), st.sampled_from(KEYS), st.just(0)),
    st.tuples(st.just("edit"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("drop"), st.sampled_from(KEYS), st.just(0)),
)


def lay(log: list[tuple[str, bytes, int]]) -> tuple[list[Record | Command], dict[int, bytes], set[int]]:
    """Lay steps out as a raw log; say what each bad record should have been, and which ones are dropped.

    Commands are given as an operator gives them, about what stands before them.  A repeat is the same raw record
    once more: it has the same raw id, and an offset of its own.  Whatever is bad and not dropped is corrected at the
    end.
    """
    raw: list[Record | Command] = []
    bad: dict[int, bytes] = {}
    meant: dict[int, bytes] = {}
    dropped: set[int] = set()
    for what, key, word in log:
        offset = len(raw)
        open_ones = [n for n, of_key in bad.items() if of_key == key and n not in dropped and n not in meant]
        if what == "good":
            raw.append(record(offset, key, GOOD % word))
        elif what == "bad":
            raw.append(record(offset, key, BAD))
            bad[offset] = key
        elif what == "repeat" and (earlier := [n for n in raw if isinstance(n, Record) and n.key == key]):
            again = earlier[-1 - word % len(earlier)]
            raw.append(again._replace(origin=again.origin._replace(offset=offset)))
            if again.value == BAD:
                bad[offset] = key
        elif what == "release":
            raw.append(command(offset, Kind.RELEASE, key))
        elif what == "edit" and open_ones:
            raw.append(command(offset, Kind.EDIT, key, target=open_ones[0], value=GOOD % word))
            meant[open_ones[0]] = GOOD % word
        elif what == "drop" and open_ones:
            raw.append(command(offset, Kind.RELEASE, key, drop=(open_ones[0],)))
            dropped.add(open_ones[0])
    for offset, key in bad.items():
        if offset not in meant and offset not in dropped:
            raw.append(command(len(raw), Kind.EDIT, key, target=offset, value=GOOD % 9))
            meant[offset] = GOOD % 9
    return raw, meant, dropped


@settings(max_examples=MANY)
@given(st.lists(steps, max_size=25), st.booleans(), st.data())
def test_what_comes_out_is_what_would_have_come_out_if_it_had_been_good(
    log: list[tuple[str, bytes, int]], memory: bool, data: st.DataObject
) -> None:
    """Any interleaving of arrivals, releases, repeats, edits, drops, kills, zombies: the same, in the same order."""
    raw, meant, dropped = lay(log)
    made = connector(memory=memory)
    ideal = [
        item._replace(value=meant.get(item.origin.offset, item.value))
        for item in raw
        if isinstance(item, Record) and item.origin.offset not in dropped
    ]
    expected = [
        (d.event.subject, d.event.id)
        for d in decide(ideal, Partition(), made, Plain()).decisions
        if isinstance(d, Deliver)
    ]
    world = World(made, list(raw))
    world.run(data)
    world.settle(data)
    for key in KEYS:
        assert of(key, expected) == of(key, world.events)
    assert world.partition.parked == {}
    assert world.shelf().kept == {}
    settled = world.shelf().settled.values()
    assert {s.offset for s in settled if s.how is How.DROPPED} <= dropped


@settings(max_examples=MANY)
@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3)), min_size=3, max_size=20),
    st.booleans(),
    st.data(),
)
def test_an_owner_that_wakes_up_changes_nothing(
    log: list[tuple[bytes, int]], memory: bool, data: st.DataObject
) -> None:
    """A worker of an older version, stopped before it wrote what it had decided and woken at any time, is ignored."""
    whole = [record(offset, key, GOOD % word) for offset, (key, word) in enumerate(log)]
    made = connector(memory=memory)
    expected = [
        (d.event.subject, d.event.id)
        for d in decide(whole, Partition(), made, Plain()).decisions
        if isinstance(d, Deliver)
    ]
    world = World(made if memory else connector(old=True), [])
    world.assign()
    world.raw = list(whole[: data.draw(st.integers(1, len(whole)))])
    asleep = [wanted for wanted in world.batch(len(whole)) if wanted[0] != "commit"]
    world.made = made
    upto = data.draw(st.integers(len(world.raw), len(whole)))
    world.raw = list(whole[:upto])
    for wanted in world.drain():
        world.write(wanted)
    for wanted in asleep:
        world.write(wanted)
    # Compaction reaches what an owner wrote once the next one has begun.
    for _ in range(data.draw(st.integers(0, 2))):
        world.assign()
    world.raw = list(whole)
    for wanted in world.drain():
        world.write(wanted)
    world.assign()
    assert world.partition.parked == {}
    for key in KEYS:
        assert of(key, expected) == of(key, world.events)


@settings(max_examples=MANY)
@given(st.lists(steps, max_size=25), st.booleans(), st.data())
def test_every_record_is_told_or_kept(log: list[tuple[str, bytes, int]], memory: bool, data: st.DataObject) -> None:
    """At any time: what was decided came out, waits in quarantine, was dropped, or had nothing to tell."""
    raw, _, dropped = lay(log)
    world = World(connector(memory=memory), list(raw))
    world.run(data)
    shelf = world.shelf()
    aside = set(shelf.kept) | set(shelf.settled)
    bad = {item.origin.offset for item in raw if isinstance(item, Record) and item.value == BAD}
    assert bad <= aside
    for key, first in world.partition.parked.items():
        behind = {
            item.origin.offset
            for item in raw
            if isinstance(item, Record) and item.key == key and item.origin.offset >= first
        }
        assert behind <= aside
    assert all(shelf.settled[offset].how is How.DROPPED for offset in dropped & set(shelf.settled))
    assert world.partition.parked == shelf.parked(), "an owner knows what a new one would read"


@given(st.lists(steps, max_size=25), st.data())
def test_a_release_of_what_does_not_wait_changes_nothing(
    log: list[tuple[str, bytes, int]], data: st.DataObject
) -> None:
    """Releases of keys that nothing waits for, and of any key twice, add no event and settle nothing."""
    raw, _, _ = lay(log)
    world = World(connector(memory=False), list(raw))
    world.run(data)
    world.settle(data)
    events, settled = set(world.events), dict(world.shelf().settled)
    for key in (*KEYS, b"unknown"):
        world.raw.append(command(len(world.raw), Kind.RELEASE, key, drop=(0, 1, 2)))
        world.raw.append(command(len(world.raw), Kind.EDIT, key, target=1, value=GOOD % 5))
    world.run(data)
    assert events == set(world.events)
    assert settled == world.shelf().settled


def test_a_release_stops_at_the_first_that_is_rejected_again() -> None:
    """What is still bad goes on parking its key; what stood before it came out."""
    made = connector(memory=False)
    log = [record(0, b"a", BAD), record(1, b"a", GOOD % 1), record(2, b"a", BAD), record(3, b"a", GOOD % 2)]
    partition = Partition(waiting={b"a": {}})
    decided = decide(
        [
            *log,
            command(4, Kind.EDIT, b"a", target=0, value=GOOD % 7),
            command(5, Kind.RELEASE, b"a"),
            record(6, b"a", GOOD % 3),
        ],
        partition,
        made,
        Plain(),
    )
    assert [d.event.seq.offset for d in decided.decisions if isinstance(d, Deliver)] == [0, 1]
    report = decided.reports[-1]
    assert (report.released, dict(report.rejected), report.waiting) == (2, {2: "undecodable"}, 2)
    assert partition.parked == {b"a": 2}
    assert 6 in partition.quarantined


def test_what_is_released_notifies_nobody_unless_asked() -> None:
    """A released event is marked as told late; with `notify` it is not."""
    made = connector(memory=False)
    for notify in (False, True):
        decided = decide(
            [
                record(0, b"a", BAD),
                command(1, Kind.EDIT, b"a", target=0, value=GOOD % 7),
                command(2, Kind.RELEASE, b"a", notify=notify),
            ],
            Partition(waiting={b"a": {}}),
            made,
            Plain(),
        )
        (delivered,) = [d for d in decided.decisions if isinstance(d, Deliver)]
        assert delivered.again is not notify


def test_a_snapshot_that_was_overtaken_is_not_told_again() -> None:
    """A feed with memory that goes on instead of parking: the later answer has said everything."""
    made = connector(memory=True, on_reject=OnReject.SKIP)
    partition = Partition(waiting={b"a": {}})
    log: list[Record | Command] = [
        record(0, b"a", BAD),
        record(1, b"a", GOOD % 1),
        command(2, Kind.EDIT, b"a", target=0, value=GOOD % 7),
        command(3, Kind.RELEASE, b"a"),
    ]
    decided = decide(log, partition, made, Plain())
    assert [s.how for s in decided.settled] == [How.SUPERSEDED]
    assert [d.reason for d in decided.decisions if isinstance(d, Skip)] == ["superseded"]


def test_a_release_that_was_killed_before_it_was_written_down_says_nothing_new() -> None:
    """Its states are there, its ends are not: what waited must not be told as changes from what came behind it."""
    world = World(connector(memory=True))
    for wanted in (GOOD % 1, BAD, GOOD % 1, GOOD % 2):
        world.raw.append(record(len(world.raw), b"a", wanted))
    for wanted in world.drain():
        world.write(wanted)
    world.raw.append(command(4, Kind.EDIT, b"a", target=1, value=GOOD % 1))
    world.raw.append(command(5, Kind.RELEASE, b"a"))
    world.assign()
    for wanted in world.batch(2):
        if wanted[0] in ("event", "state"):
            world.write(wanted)
    told = list(world.events)
    assert len(told) == 2
    for wanted in world.drain():
        world.write(wanted)
    assert world.events == told
    assert world.shelf().waiting() == {}
