"""Entries of a citizen by pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import or_, select, tuple_

from hub.store import tables as t
from hub.store.store import Shown, Store


class LostPlace(Exception):
    """The entry behind which the page was to begin is not among the citizen's, or not any more."""


def entries_after(
    store: Store, shown: Mapping[str, Sequence[str]], after: str | None, limit: int
) -> tuple[list[Shown], bool]:
    """Return so many entries behind the one named, by subject and in their order, and whether more follow.

    `shown` tells, by subject, how the types begin that may be seen.  Raise `LostPlace` if `after` is no entry of these.
    """
    e = t.entries.c
    place = tuple_(e.seq_epoch, e.seq_offset, e.seq_index)
    found: list[Shown] = []
    with store.transaction(write=False) as connection:
        subjects = sorted(name for name, types in shown.items() if types)
        behind = None
        if after is not None:
            at = connection.execute(
                select(e.subject, e.seq_epoch, e.seq_offset, e.seq_index).where(e.event_id == after)
            ).first()
            if at is None or at.subject not in subjects:
                raise LostPlace
            subjects = subjects[subjects.index(at.subject) :]
            behind = tuple(at[1:])
        # One subject at a time: each is a walk along its index, and stops with the page.
        for subject in subjects:
            seen = or_(*(e.type.startswith(prefix, autoescape=True) for prefix in shown[subject]))
            condition = (e.subject == subject) & (e.audience == "person") & seen
            if behind is not None:
                condition &= place > behind
                behind = None
            found.extend(store.shown(connection, condition, limit + 1 - len(found)))
            if len(found) > limit:
                return found[:limit], True
    return found, False
