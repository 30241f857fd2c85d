"""Give each event of a linked subject to the citizens it concerns.

The value is never opened: what goes out is what came in, under another key.  The state of a subject
is its last `LinkSet`, compared by version, because a compacted topic may skip some.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from schemas.models.identity import Link, LinkSet, SubjectLinked, SubjectUnlinked


class Change(NamedTuple):
    """A citizen whose link to a subject came or went."""

    citizen: str
    role: str
    payload: SubjectLinked | SubjectUnlinked


def newer(known: LinkSet | None, told: LinkSet) -> bool:
    """Tell whether a link set takes the place of the one that is known."""
    return known is None or told.version > known.version


def relink(known: LinkSet | None, told: LinkSet) -> tuple[Change, ...]:
    """Tell who comes and goes with a link set; an old version changes nothing."""
    if not newer(known, told):
        return ()
    before = {link.citizen: link for link in (known.links if known is not None else ())}
    after = {link.citizen: link for link in told.links}
    gone = (
        Change(citizen, str(before[citizen].role), SubjectUnlinked(subject=told.subject, citizen=citizen))
        for citizen in sorted(before.keys() - after.keys())
    )
    come = (
        Change(
            citizen,
            str(after[citizen].role),
            SubjectLinked(subject=told.subject, citizen=citizen, role=after[citizen].role, since=after[citizen].since),
        )
        for citizen in sorted(after.keys() - before.keys())
    )
    return *gone, *come


def concerned(links: LinkSet | None, day: date) -> Iterable[Link]:
    """Return the links that were open on the business day of an event."""
    if links is None:
        return ()
    return [link for link in links.links if link.until is None or day <= link.until]
