"""Commands that change links of several subjects at once, and the way back from any command.

A link is never changed in place: one that changes ends, by the command that changes it, and another begins.
So every command can be undone by what bears its name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from hub.model.event import StoredEvent
from hub.store import tables as t

RECENT = 50
"""Commands of a citizen that are shown."""
CHANGES = ("LinkRequested", "UnlinkRequested", "MoveRequested", "UndoRequested")
"""Commands that change links."""


class Command(NamedTuple):
    """A command that changed a citizen's links."""

    id: str
    kind: str
    about: str
    """The subject, the other account of a move, or the command that was undone."""
    at: int
    clerk: str
    """Who gave it at a desk; empty: the citizen."""


def subjects_of(connection: Connection, item: StoredEvent) -> set[str]:
    """Return the subjects whose links a command is about to change."""
    payload: Any = item.payload
    c = t.links.c
    match item.type.rpartition(".")[2]:
        case "MoveRequested":
            return {link["subject"] for link in _open_of(connection, payload)}
        case "UndoRequested":
            named = or_(c.opened_by == payload.command, c.closed_by == payload.command)
            return set(connection.execute(select(c.subject).where(named)).scalars())
        case _:
            return {getattr(payload, "subject", "")} - {""}


def move(connection: Connection, item: StoredEvent, moment: int) -> set[str]:
    """Give links of one account to another; return the subjects that this changed."""
    payload: Any = item.payload
    moved = _open_of(connection, payload)
    for link in moved:
        _close(connection, link["id"], item.id, moment)
        if not _linked(connection, link["subject"], payload.to):
            _open(connection, {**link, "citizen": payload.to, "since": moment}, item.id)
    return {link["subject"] for link in moved}


def undo(connection: Connection, item: StoredEvent, moment: int) -> set[str]:
    """End what a command opened and open again what it ended; return the subjects that this changed."""
    payload: Any = item.payload
    c = t.links.c
    opened = connection.execute(select(t.links).where(c.opened_by == payload.command, c.closed_at.is_(None))).mappings()
    changed: set[str] = set()
    for link in list(opened):
        _close(connection, link["id"], item.id, moment)
        changed.add(link["subject"])
    ended = connection.execute(select(t.links).where(c.closed_by == payload.command).order_by(c.id)).mappings()
    for link in list(ended):
        # Linked again since: that is newer than what is undone.
        if not _linked(connection, link["subject"], link["citizen"]):
            _open(connection, link, item.id)
            changed.add(link["subject"])
    return changed


def history(connection: Connection, citizen: str) -> list[Command]:
    """Return the commands that changed a citizen's links, the newest first."""
    c, links = t.commands.c, t.links.c
    names = connection.execute(select(links.opened_by, links.closed_by).where(links.citizen == citizen))
    bearing = {name for row in names for name in row if name}
    told = [f"hub.citizen_portal.{kind}" for kind in CHANGES]
    rows = connection.execute(
        select(c.event_id, c.type, c.about, c.recorded_at, c.clerk)
        .where(c.event_id.in_(sorted(bearing)), c.type.in_(told))
        .order_by(c.recorded_at.desc(), c.event_id)
        .limit(RECENT)
    )
    return [Command(name, kind.rpartition(".")[2], about, at, clerk) for name, kind, about, at, clerk in rows]


def _open_of(connection: Connection, payload: Any) -> list[RowMapping]:
    c = t.links.c
    mine = select(t.links).where(c.citizen == payload.citizen, c.closed_at.is_(None))
    if payload.subjects:
        mine = mine.where(c.subject.in_(payload.subjects))
    return list(connection.execute(mine.order_by(c.subject)).mappings())


def _linked(connection: Connection, subject: str, citizen: str) -> bool:
    c = t.links.c
    found = select(c.id).where(c.subject == subject, c.citizen == citizen, c.closed_at.is_(None))
    return connection.execute(found).first() is not None


def _close(connection: Connection, link: int, command: str, moment: int) -> None:
    connection.execute(update(t.links).where(t.links.c.id == link).values(closed_at=moment, closed_by=command))


def _open(connection: Connection, link: Any, command: str) -> None:
    kept = {name: link[name] for name in ("subject", "citizen", "role", "scope", "since", "until")}
    connection.execute(insert(t.links).values(**kept, opened_by=command))
