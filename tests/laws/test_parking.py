"""Laws of parking: order per subject, one decision or more per record, and nothing doubled by a redelivery."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples
from words import BAD, GOOD, Plain, Word, connector, record

from hub.model.connector import Connector, Context, Feed, OnReject
from hub.model.decision import Decision, Deliver, Quarantine, Skip
from hub.model.errors import Code
from hub.model.event import Fact
from hub.model.record import Record
from hub.pipeline.parking import Partition, decide

bodies = st.one_of(st.integers(0, 3).map(lambda number: GOOD % number), st.just(BAD))
logs = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), bodies), max_size=30)


def records(log: list[tuple[bytes, bytes]]) -> list[Record]:
    """Lay a log out as raw records."""
    return [record(offset, key, value) for offset, (key, value) in enumerate(log)]


def events(decisions: Iterable[Decision]) -> list[tuple[str, str]]:
    """List subject and id of what is delivered."""
    return [(d.event.subject, d.event.id) for d in decisions if isinstance(d, Deliver)]


@given(logs)
def test_later_records_of_a_subject_wait_behind_a_rejected_one(log: list[tuple[bytes, bytes]]) -> None:
    """Nothing of a subject is delivered after its first bad record, and nothing of the others waits."""
    decided = decide(records(log), Partition(), connector(memory=False), Plain())
    first_bad: dict[bytes, int] = {}
    for offset, (key, body) in enumerate(log):
        if body == BAD:
            first_bad.setdefault(key, offset)
    delivered = {d.event.seq.offset for d in decided.decisions if isinstance(d, Deliver)}
    expected = {n for n, (key, _) in enumerate(log) if n < first_bad.get(key, len(log))}
    assert expected == delivered
    behind = {d.record.origin.offset for d in decided.decisions if isinstance(d, Quarantine) and d.code is Code.BEHIND}
    assert {n for n, (key, _) in enumerate(log) if n > first_bad.get(key, len(log))} == behind


@given(logs, st.booleans())
def test_every_record_is_decided_exactly_once(log: list[tuple[bytes, bytes]], memory: bool) -> None:
    """Received = delivered + quarantined + skipped."""
    decided = decide(records(log), Partition(), connector(memory=memory), Plain())
    seen = [d.event.seq.offset if isinstance(d, Deliver) else d.record.origin.offset for d in decided.decisions]
    assert list(range(len(log))) == seen


@settings(max_examples=examples(300))
@given(logs, st.booleans(), st.data())
def test_a_crash_after_any_step_changes_no_fact(
    log: list[tuple[bytes, bytes]], memory: bool, data: st.DataObject
) -> None:
    """Whatever was written before a kill, the repeated batch delivers the same facts, in the same order per subject."""
    made = connector(memory=memory)
    whole = events(decide(records(log), Partition(), made, Plain()).decisions)
    written: list[tuple[str, str]] = []
    states: dict[bytes, Any] = {}
    quarantine: dict[int, Quarantine] = {}
    committed = 0
    while committed < len(log):
        partition = Partition(states=dict(states))
        for offset, held in quarantine.items():
            partition.quarantined.add(offset)
            first = partition.parked.get(held.record.key, offset)
            partition.parked[held.record.key] = min(first, offset)
        size = data.draw(st.integers(1, len(log)))
        batch = records(log)[committed : committed + size]
        decided = decide(batch, partition, made, Plain())
        # The one that ends first: what is drawn when nothing is chosen must not be a kill for ever.
        step = data.draw(st.sampled_from(["commit", "commit", "commit", "outputs", "states"]))
        written += events(decided.decisions)
        for decision in decided.decisions:
            if isinstance(decision, Quarantine):
                quarantine[decision.record.origin.offset] = decision
        if step != "outputs":
            states.update(decided.states)
        if step == "commit":
            committed += len(batch)
    unique = list(dict.fromkeys(written))
    for subject in ("a", "b", "c"):
        assert [e for e in whole if e[0] == subject] == [e for e in unique if e[0] == subject]
    assert len(quarantine) == sum(
        isinstance(d, Quarantine) for d in decide(records(log), Partition(), made, Plain()).decisions
    )


@given(logs)
def test_skipping_feeds_go_on(log: list[tuple[bytes, bytes]]) -> None:
    """A feed whose next record supersedes is never stopped by a bad one."""
    decided = decide(records(log), Partition(), connector(memory=False, on_reject=OnReject.SKIP), Plain())
    delivered = sum(isinstance(d, Deliver) for d in decided.decisions)
    assert sum(body != BAD for _, body in log) == delivered


def test_an_own_failure_of_a_connector_is_a_named_quarantine() -> None:
    """A mapping that raises quarantines the record as a bug, and tells no value."""
    made = connector(memory=False)

    def broken(_doc: Word, _at: Context) -> Iterable[Fact]:
        raise RuntimeError("Jean Dupont")

    feed = Feed("words", made.feeds["words"].manifest, Word, broken)
    decided = decide(
        records([(b"a", GOOD % 1)]), Partition(), Connector("test", "test", made.manifest, {"words": feed}), Plain()
    )
    (found,) = decided.decisions
    assert isinstance(found, Quarantine)
    assert (found.code, found.detail) == (Code.BUG, "RuntimeError")


def test_a_settled_record_is_not_decided_again() -> None:
    """A redelivery of what a state has already settled is skipped by its address."""
    made = connector(memory=True)
    partition = Partition()
    log = records([(b"a", GOOD % 1), (b"a", GOOD % 2)])
    decide(log, partition, made, Plain())
    again = decide(log, partition, made, Plain())
    assert [d.reason for d in again.decisions if isinstance(d, Skip)] == ["settled", "settled"]
