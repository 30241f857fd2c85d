"""What a patron has reserved, against what was known; lists and notices tell of the same holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from connectors.sources.library.koha import model
from connectors.sources.library.koha.patron import begin, date_of, moment_of, whose
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import once
from schemas.models.library import HoldCancelled, HoldPlaced, HoldReady

State = Mapping[str, Any]

READY = ("HOLD", "HOLDDGST", "HOLD_REMINDER")
"""Kinds of notices that say that a hold is ready."""


def holds(previous: State | None, answer: model.Holds, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron reserved with what was known; a hold that became a loan is not cancelled."""
    read_at, state = begin(previous, context)
    if read_at < state["holds_read"]:
        return state, "stale"
    whose({one.patron_id for one in answer.root}, context)
    once([one.hold_id for one in answer.root], "hold_id")
    had = state["holds"]
    has = {one.hold_id: _hold(one, had.get(one.hold_id)) for one in answer.root if one.cancellation_date is None}
    facts: list[Fact] = []
    for one in answer.root:
        name, known = one.hold_id, had.get(one.hold_id)
        if name not in has:
            continue
        if known is None:
            placed = HoldPlaced(**_reserved(name, has[name]), priority=has[name]["priority"])
            facts.append(Fact(placed, context.key, _end_of(one.hold_date, context), name))
        if has[name]["ready"] and not (known is not None and known["ready"]):
            ready = HoldReady(**_reserved(name, has[name]), until=one.expiration_date)
            waiting = one.waiting_date.isoformat() if one.waiting_date is not None else None
            facts.append(Fact(ready, context.key, moment_of(waiting, context), name))
    # Koha drops a hold when its item is lent: one that was ready was fetched, the others were given up.
    given_up = [name for name in sorted(had.keys() - has.keys(), key=int) if not had[name]["ready"]]
    facts += [
        Fact(HoldCancelled(**_reserved(name, had[name])), context.key, context.read_at, name) for name in given_up
    ]
    return {**state, "holds_read": read_at, "holds": has}, facts


def notice(previous: State | None, told: model.Notice, context: Context) -> tuple[State, Mapped]:
    """Tell of holds that are ready what the next poll would tell."""
    read_at, state = begin(previous, context)
    whose({told.patron_id}, context)
    if told.notice_type not in READY or read_at < state["holds_read"]:
        return state, "told_by_polls"
    known = dict(state["holds"])
    facts = []
    for name in told.holds:
        if name in known and not known[name]["ready"]:
            known[name] = {**known[name], "ready": True}
            ready = HoldReady(**_reserved(name, known[name]), until=date_of(known[name]["until"]))
            facts.append(Fact(ready, context.key, context.read_at, name))
    return {**state, "holds": known}, facts or "told_by_polls"


def _hold(one: model.Hold, known: State | None) -> State:
    # Ready is told once: a list that was written before the notice must not take that back.
    return {
        "record": one.biblio_id or "",
        "branch": one.pickup_library_id,
        "priority": one.priority or 0,
        "until": one.expiration_date.isoformat() if one.expiration_date is not None else None,
        "ready": one.status == "W" or (known is not None and known["ready"]),
    }


def _reserved(name: str, hold: State) -> dict[str, Any]:
    return {"hold_id": name, "record_id": hold["record"], "branch": hold["branch"]}


def _end_of(day: date | None, context: Context) -> datetime:
    return moment_of(f"{day.isoformat()}T23:59:59" if day is not None else None, context)
