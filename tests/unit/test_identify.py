"""Links, folded: versions may be skipped, repeated or late, and what is announced always adds up."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from hub import catalogue
from hub.kafka import wire
from hub.kafka.identify import Identify
from schemas.models.civil_registry import DeathPublished, RecordRequested
from schemas.models.identity import Link, LinkSet, SubjectLinked, SubjectUnlinked
from streams.identify import concerned, newer, relink

citizens = st.frozensets(st.sampled_from("abcd"))


def told(version: int, members: frozenset[str]) -> LinkSet:
    """Make a link set."""
    return LinkSet(subject="s", version=version, links=tuple(Link(citizen=c) for c in sorted(members)))


@given(st.lists(st.tuples(st.integers(1, 9), citizens), max_size=12))
def test_announcements_add_up_to_the_newest_set(history: list[tuple[int, frozenset[str]]]) -> None:
    """However versions arrive, linked minus unlinked is who the newest set names."""
    known: LinkSet | None = None
    following: set[str] = set()
    for version, members in history:
        said = told(version, members)
        changes = relink(known, said)
        known = said if newer(known, said) else known
        for change in changes:
            if isinstance(change.payload, SubjectLinked):
                assert change.citizen not in following
                following.add(change.citizen)
            else:
                assert isinstance(change.payload, SubjectUnlinked)
                following.remove(change.citizen)
        assert known is not None
        assert {link.citizen for link in known.links} == following
    if history:
        newest = max(version for version, _ in history)
        first = next(members for version, members in history if version == newest)
        assert first == following


@given(st.dates(), st.dates() | st.none())
def test_a_link_counts_until_its_last_day(day: date, until: date | None) -> None:
    """The last day is included."""
    links = LinkSet(subject="s", version=1, links=(Link(citizen="a", until=until),))
    assert (until is None or day <= until) == bool(list(concerned(links, day)))


def test_nobody_is_concerned_without_links() -> None:
    """An unknown subject is nobody's."""
    assert list(concerned(None, date(2026, 3, 10))) == []


def test_what_is_for_clerks_goes_to_no_citizen() -> None:
    """Not even to one who is linked to its subject; what is about a person does."""
    moment, codec, written = datetime(2026, 3, 10, tzinfo=UTC), catalogue.schemas(), []

    async def write(messages: Any) -> None:
        written.extend(messages)

    def event(payload: Any) -> Any:
        headers = wire.cloud_headers("e", payload.TYPE, "/x", "s", moment)
        return SimpleNamespace(key=b"s", value=codec.encode(payload), headers=headers, timestamp=0)

    watch: Any = SimpleNamespace(identified=lambda *_counts: None)
    producer: Any = SimpleNamespace(write=write)
    reader: Any = None
    identify = Identify(["civil_registry"], codec, reader, producer, watch, codec.names("clerk"))
    batch: Any = {
        TP(wire.IDENTITY_TOPIC, 0): [event(told(1, frozenset({"a" * 36})))],
        TP(wire.event_topic("civil_registry"), 0): [event(DeathPublished()), event(RecordRequested())],
    }

    async def work() -> None:
        await identify.fold(0, {})
        await identify.carry_out(0, batch)

    asyncio.run(work())
    types = [dict(message.headers)["ce_type"].decode().rpartition(".")[2] for message in written]
    assert types == ["SubjectLinked", "RecordRequested"]
