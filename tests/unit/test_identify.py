"""Links, folded: versions may be skipped, repeated or late, and what is announced always adds up."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from schemas.models.identity import Link, LinkSet, SubjectLinked, SubjectUnlinked
from streams.identify import concerned, relink

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
        known, changes = relink(known, told(version, members))
        for change in changes:
            if isinstance(change.payload, SubjectLinked):
                assert change.citizen not in following
                following.add(change.citizen)
            else:
                assert isinstance(change.payload, SubjectUnlinked)
                following.remove(change.citizen)
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
