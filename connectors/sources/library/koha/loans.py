"""What a patron has lent, against what the patron had."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.koha import model
from connectors.sources.library.koha.patron import begin, date_of, moment_of, whose
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import diff, once
from schemas.models.library import LoanOverdue, LoanRenewed, LoanReturned, LoanStarted

State = Mapping[str, Any]


def checkouts(previous: State | None, answer: model.Checkouts, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at, state = begin(previous, context)
    if read_at < state["loans_read"]:
        return state, "stale"
    whose({one.patron_id for one in answer.root}, context)
    once([one.checkout_id for one in answer.root], "checkout_id")
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
        due = date_of(loan["due"])
        if known is None:
            moment = moment_of(loan["issued"], context)
            facts.append(Fact(LoanStarted(**_item(loan), due_date=due), context.key, moment, name))
        elif due is not None and (former := date_of(known["due"])) is not None and due > former:
            moved = loan["renewed"] if loan["renewed"] != known["renewed"] else None
            renewed = LoanRenewed(**_item(loan), due_date=due, previous_due_date=former)
            facts.append(Fact(renewed, context.key, moment_of(moved, context), name))
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            facts.append(Fact(LoanOverdue(**_item(loan), due_date=due), context.key, midnight, name))
    return {**state, "loans_read": read_at, "loans": has}, facts


def _loan(one: model.Checkout, today: date) -> State:
    return {
        "item": one.item_id,
        "branch": one.library_id,
        "issued": one.checkout_date.isoformat() if one.checkout_date is not None else None,
        "due": one.due_date.isoformat() if one.due_date is not None else None,
        "renewed": one.last_renewed_date.isoformat() if one.last_renewed_date is not None else None,
        "overdue": one.due_date is not None and one.due_date < today,
    }


def _item(loan: State) -> dict[str, Any]:
    return {"item_id": loan["item"], "branch": loan["branch"]}
