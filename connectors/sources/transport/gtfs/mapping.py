"""From the tables of a publication to what is otherwise than in the one before.

Memory of a table: `rows`, by id: a digest of what was said of it, and its name; and `read_at`, ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from hashlib import sha256
from typing import Any

from connectors.sources.transport.gtfs import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from schemas.models.transport import TimetableChange, TimetableChanged, TimetablePart

State = Mapping[str, Any]


def lines(previous: State | None, table: model.Lines, context: Context) -> tuple[State, Mapped]:
    """Compare the lines."""
    said = {
        row.route_id: (row.route_short_name or row.route_long_name, row.model_dump_json(exclude={"agency_id"}))
        for row in table.rows
    }
    return _compare(previous, said, TimetablePart.LINE, context)


def stops(previous: State | None, table: model.Stops, context: Context) -> tuple[State, Mapped]:
    """Compare the stops; a metre is no move."""
    said = {
        row.stop_id: (row.stop_name, f"{row.stop_name}\x1f{_rounded(row.stop_lat)}\x1f{_rounded(row.stop_lon)}")
        for row in table.rows
    }
    return _compare(previous, said, TimetablePart.STOP, context)


def services(previous: State | None, table: model.Services, context: Context) -> tuple[State, Mapped]:
    """Compare the days of each service, in whatever order they are written."""
    days: dict[str, set[str]] = {}
    for row in table.rows:
        days.setdefault(row.service_id, set()).add(row.days)
    said = {name: (name, " ".join(sorted(mine))) for name, mine in days.items()}
    return _compare(previous, said, TimetablePart.SERVICE, context)


def _compare(
    previous: State | None, said: Mapping[str, tuple[str, str]], part: TimetablePart, context: Context
) -> tuple[State, Mapped]:
    read_at = int(context.read_at.astimezone(UTC).timestamp() * 1000)
    current = {name: [_digest(text), label[:80]] for name, (label, text) in said.items()}
    state = {"read_at": read_at, "rows": current}
    if previous is None:
        return state, "first_publication"
    if read_at < previous["read_at"]:
        return previous, "stale"
    known = previous["rows"]
    change = diff({name: row[0] for name, row in known.items()}, {name: row[0] for name, row in current.items()})
    if shrunk(len(known), len(change.removed), context.max_shrink):
        raise Held("too many rows are missing")
    facts = [
        *_facts(change.added, TimetableChange.ADDED, current, part, context),
        *_facts(change.changed, TimetableChange.CHANGED, current, part, context),
        *_facts(change.removed, TimetableChange.REMOVED, known, part, context),
    ]
    return state, facts


def _facts(
    names: Iterable[str], change: TimetableChange, rows: Mapping[str, Any], part: TimetablePart, context: Context
) -> Iterable[Fact]:
    for name in names:
        payload = TimetableChanged(part=part, change=change, id=name, name=rows[name][1])
        yield Fact(payload, f"gtfs:{str(part).lower()}:{name}", context.read_at, name)


def _rounded(degrees: float | None) -> str:
    return "" if degrees is None else f"{degrees:.5f}"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
