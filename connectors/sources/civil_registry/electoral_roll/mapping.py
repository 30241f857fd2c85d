"""From a share of a roll to who came, moved and went.

Memory of a share: `written`, the day of the roll, and `electors`, by list and elector: the polling station as told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.civil_registry.electoral_roll import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Held
from hub.model.event import Fact
from hub.pipeline.diff import diff, shrunk
from schemas.models.civil_registry import ElectorRegistered, ElectorRemoved

State = Mapping[str, Any]


def roll(previous: State | None, share: model.Roll, context: Context) -> tuple[State, Mapped]:
    """Compare a share with what it was in the roll before."""
    written = max((row.written for row in share.rows), default="")
    if previous is not None and written and written < previous["written"]:
        return previous, "stale"
    known: Mapping[str, Any] = previous["electors"] if previous is not None else {}
    current = {f"{row.TypeListe}\x1f{row.id}": [row.NoBureauDeVote, row.NomBureauDeVote] for row in share.rows}
    change = diff(known, current)
    if shrunk(len(known), len(change.removed), context.max_shrink):
        raise Held("too many electors are missing")
    facts = []
    for code in (*change.added, *change.changed):
        kind, _, elector = code.partition("\x1f")
        number, name = current[code]
        payload = ElectorRegistered(elector=elector, roll=kind, station=number, station_name=name)
        facts.append(Fact(payload, f"electoral_roll:{elector}", context.read_at, code))
    for code in change.removed:
        kind, _, elector = code.partition("\x1f")
        facts.append(
            Fact(ElectorRemoved(elector=elector, roll=kind), f"electoral_roll:{elector}", context.read_at, code)
        )
    day = written or (previous["written"] if previous is not None else "")
    return {"written": day, "electors": current}, facts
