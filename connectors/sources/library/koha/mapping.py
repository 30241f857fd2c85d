"""From what a patron has to what the patron did.

Memory of a patron:

    loans_read, holds_read  when the last list of each that was believed was asked for, ms
    loans   by checkout: item, branch, due, renewed, issued, overdue (it was told)
    holds   by number: record, branch, priority, until, ready (it was told)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.koha import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.library import (
    HoldCancelled,
    HoldPlaced,
    HoldReady,
    LoanOverdue,
    LoanRenewed,
    LoanReturned,
    LoanStarted,
)

State = Mapping[str, Any]
READY = ("HOLD", "HOLDDGST", "HOLD_REMINDER")
"""Kinds of notices that say that a hold is ready."""


def checkouts(previous: State | None, answer: model.Checkouts, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at, state = _begin(previous, context)
    if read_at < state["loans_read"]:
        return state, "stale"
    _whose({one.patron_id for one in answer.root}, context)
    _once([one.checkout_id for one in answer.root], "checkout_id")
    today = context.read_at.astimezone(context.zone).date()
    has = {one.checkout_id: _loan(one, today) for one in answer.root if one.checkin_date is None}
    had = state["loans"]
    change = diff(had, has)
    facts = []
    for name in change.removed:
        started = date.fromisoformat(had[name]["issued"][:10]) if had[name]["issued"] else None
        facts.append(Fact(LoanReturned(**_item(had[name]), started_on=started), context.key, context.read_at, name))
    for name in (*change.added, *change.changed):
        loan, known = has[name], had.get(name)
        due = _date(loan["due"])
        if known is None:
            moment = _moment(loan["issued"], context)
            facts.append(Fact(LoanStarted(**_item(loan), due_date=due), context.key, moment, name))
        elif due is not None and (former := _date(known["due"])) is not None and due > former:
            moved = loan["renewed"] if loan["renewed"] != known["renewed"] else None
            renewed = LoanRenewed(**_item(loan), due_date=due, previous_due_date=former)
            facts.append(Fact(renewed, context.key, _moment(moved, context), name))
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            facts.append(Fact(LoanOverdue(**_item(loan), due_date=due), context.key, midnight, name))
    return {**state, "loans_read": read_at, "loans": has}, facts


def holds(previous: State | None, answer: model.Holds, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron reserved with what was known; a hold that became a loan is not cancelled."""
    read_at, state = _begin(previous, context)
    if read_at < state["holds_read"]:
        return state, "stale"
    _whose({one.patron_id for one in answer.root}, context)
    _once([one.hold_id for one in answer.root], "hold_id")
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
            facts.append(Fact(ready, context.key, _moment(waiting, context), name))
    # Koha drops a hold when its item is lent: one that was ready was fetched, the others were given up.
    given_up = [name for name in sorted(had.keys() - has.keys(), key=int) if not had[name]["ready"]]
    facts += [
        Fact(HoldCancelled(**_reserved(name, had[name])), context.key, context.read_at, name) for name in given_up
    ]
    return {**state, "holds_read": read_at, "holds": has}, facts


def notice(previous: State | None, told: model.Notice, context: Context) -> tuple[State, Mapped]:
    """Tell of holds that are ready what the next poll would tell."""
    read_at, state = _begin(previous, context)
    _whose({told.patron_id}, context)
    if told.notice_type not in READY or read_at < state["holds_read"]:
        return state, "told_by_polls"
    known = dict(state["holds"])
    facts = []
    for name in told.holds:
        if name in known and not known[name]["ready"]:
            known[name] = {**known[name], "ready": True}
            ready = HoldReady(**_reserved(name, known[name]), until=_date(known[name]["until"]))
            facts.append(Fact(ready, context.key, context.read_at, name))
    return {**state, "holds": known}, facts or "told_by_polls"


def _begin(previous: State | None, context: Context) -> tuple[int, State]:
    state = {"loans_read": 0, "holds_read": 0, "loans": {}, "holds": {}, **(previous or {})}
    return int(context.read_at.astimezone(UTC).timestamp() * 1000), state


def _whose(patrons: set[str], context: Context) -> None:
    if any(f"koha:{patron}" != context.key for patron in patrons):
        raise Unmappable("the answer is about somebody else", fields=("patron_id",))


def _once(names: Sequence[str], field: str) -> None:
    if len(set(names)) < len(names):
        raise Unmappable("listed twice", fields=(field,))


def _loan(one: model.Checkout, today: date) -> State:
    return {
        "item": one.item_id,
        "branch": one.library_id,
        "issued": one.checkout_date.isoformat() if one.checkout_date is not None else None,
        "due": one.due_date.isoformat() if one.due_date is not None else None,
        "renewed": one.last_renewed_date.isoformat() if one.last_renewed_date is not None else None,
        "overdue": one.due_date is not None and one.due_date < today,
    }


def _hold(one: model.Hold, known: State | None) -> State:
    # Ready is told once: a list that was written before the notice must not take that back.
    return {
        "record": one.biblio_id or "",
        "branch": one.pickup_library_id,
        "priority": one.priority or 0,
        "until": one.expiration_date.isoformat() if one.expiration_date is not None else None,
        "ready": one.status == "W" or (known is not None and known["ready"]),
    }


def _item(loan: State) -> dict[str, Any]:
    return {"item_id": loan["item"], "branch": loan["branch"]}


def _reserved(name: str, hold: State) -> dict[str, Any]:
    return {"hold_id": name, "record_id": hold["record"], "branch": hold["branch"]}


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _end_of(day: date | None, context: Context) -> datetime:
    return _moment(f"{day.isoformat()}T23:59:59" if day is not None else None, context)


def _moment(text: str | None, context: Context) -> datetime:
    """Read a moment, local where it has no offset; nothing is later than its reading."""
    if text is None:
        return context.read_at
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=context.zone)
    return min(aware.astimezone(UTC), context.read_at)
