"""The law of replay: a range told again is what the mapping would have told in the first place."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from test_release import MANY, World, lay, steps
from words import Plain, connector

from hub.model.decision import Deliver
from hub.model.record import Record
from hub.pipeline.parking import Partition, decide
from hub.pipeline.replay import Again


@settings(max_examples=MANY)
@given(st.lists(steps, max_size=25), st.booleans(), st.integers(0, 25), st.data())
def test_a_range_told_again_gives_the_events_that_it_gave(
    log: list[tuple[str, bytes, int]], memory: bool, first: int, data: st.DataObject
) -> None:
    """Whatever was set aside, corrected, dropped and released: the same ids, nothing more, nothing less."""
    raw, _, _ = lay(log)
    world = World(connector(memory=memory), list(raw))
    world.run(data)
    world.settle(data)
    records = [item for item in world.raw if isinstance(item, Record)]
    every = list(Again.of(world.shelf(), world.made, Plain(), 0).tell(records))
    assert {event.id for event in every} == {event_id for _, event_id in world.events}
    again = Again.of(world.shelf(), world.made, Plain(), first)
    told = [event.id for event in again.tell(item for item in records if item.origin.offset >= again.begins)]
    assert told == [event.id for event in every if event.seq.offset >= first]
    assert again.rejected == {}
    now = {key: world.partition.states[key].value for key in again.touched}
    assert {key: again.states[key].value for key in again.touched} == now


def test_what_waits_goes_on_waiting() -> None:
    """A replay does not release: what is parked, and what waits behind it, gives nothing."""
    raw, _, _ = lay([("good", b"a", 1), ("bad", b"a", 0), ("good", b"a", 2), ("good", b"b", 3)])
    world = World(connector(), raw[:4])
    world.assign()
    for wanted in world.batch(4):
        world.write(wanted)
    again = Again.of(world.shelf(), world.made, Plain(), 0)
    assert [event.seq.offset for event in again.tell(i for i in world.raw if isinstance(i, Record))] == [0, 3]


def test_what_today_s_mapping_rejects_is_told_of() -> None:
    """What came out before and would not now is named, with its code."""
    raw, _, _ = lay([("good", b"a", 3), ("good", b"a", 1)])
    records = [item for item in raw if isinstance(item, Record)]
    out = decide(records, Partition(), connector(), Plain())
    assert sum(isinstance(d, Deliver) for d in out.decisions) == 2
    world = World(connector(), raw)
    again = Again.of(world.shelf(), connector(old=True), Plain(), 0)
    assert [event.seq.offset for event in again.tell(records)] == [1]
    assert dict(again.rejected) == {0: "unmappable"}
