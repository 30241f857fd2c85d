"""What a patron has lent, against what the patron had."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.folio import model
from connectors.sources.library.folio.patron import begin, moment_of, whole
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.library import LoanOverdue, LoanRenewed, LoanReturned, LoanStarted

State = Mapping[str, Any]


def loans(previous: State | None, answer: model.Loans, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at, state = begin(previous, context)
    if read_at < state["loans_read"]:
        return state, "stale"
    whole(answer.total, [one.id for one in answer.loans], {one.user_id for one in answer.loans}, context)
    today = context.read_at.astimezone(context.zone).date()
    listed = {one.id: one for one in answer.loans if one.status.name == "Open"}
    had, has = state["loans"], {name: _loan(one, today, context) for name, one in listed.items()}
    change = diff(had, has)
    facts = [Fact(LoanReturned(**_item(had[name])), context.key, context.read_at, name) for name in change.removed]
    for name in (*change.added, *change.changed):
        one, loan, known = listed[name], has[name], had.get(name)
        due = _date(loan["due"])
        if known is None:
            started = LoanStarted(**_item(loan), due_date=due)
            facts.append(Fact(started, context.key, moment_of(one.loaned, context), name))
        elif due is not None and (former := _date(known["due"])) is not None and due > former:
            renewed = LoanRenewed(**_item(loan), due_date=due, previous_due_date=former)
            written = one.metadata.updated if one.metadata is not None and one.action.startswith("renewed") else None
            facts.append(Fact(renewed, context.key, moment_of(written, context), name))
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            facts.append(Fact(LoanOverdue(**_item(loan), due_date=due), context.key, midnight, name))
    return {**state, "loans_read": read_at, "loans": has}, facts


def _loan(one: model.Loan, today: date, context: Context) -> State:
    due = one.due.astimezone(context.zone).date() if one.due is not None else None
    return {
        "item": one.item_id,
        "record": one.item.instance_id if one.item is not None else "",
        "kind": one.item.material.name if one.item is not None and one.item.material is not None else "",
        "branch": one.desk.code if one.desk is not None else "",
        "due": due.isoformat() if due is not None else None,
        "overdue": due is not None and due < today,
    }


def _item(loan: State) -> dict[str, Any]:
    named = {"item_id": loan["item"], "record_id": loan["record"], "branch": loan["branch"]}
    return {**named, "document_kind": loan["kind"]}


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
