"""From what a patron has to what the patron did.

Memory of a patron:

    loans_read, requests_read  when the last list of each that was believed was asked for, ms
    loans     by id: item, branch, record, kind, due (a day), overdue (it was told)
    requests  by id: record, branch, ready (it was told); open ones only
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.folio import model
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


def loans(previous: State | None, answer: model.Loans, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at, state = _begin(previous, context)
    if read_at < state["loans_read"]:
        return state, "stale"
    _whole(answer.total, [one.id for one in answer.loans], {one.user_id for one in answer.loans}, context)
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
            facts.append(Fact(started, context.key, _moment(one.loaned, context), name))
        elif due is not None and (former := _date(known["due"])) is not None and due > former:
            renewed = LoanRenewed(**_item(loan), due_date=due, previous_due_date=former)
            written = one.metadata.updated if one.metadata is not None and one.action.startswith("renewed") else None
            facts.append(Fact(renewed, context.key, _moment(written, context), name))
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            facts.append(Fact(LoanOverdue(**_item(loan), due_date=due), context.key, midnight, name))
    return {**state, "loans_read": read_at, "loans": has}, facts


def requests(previous: State | None, answer: model.Requests, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron reserved with what was known; a request that was filled is not cancelled."""
    read_at, state = _begin(previous, context)
    if read_at < state["requests_read"]:
        return state, "stale"
    whose = {one.requester_id for one in answer.requests}
    _whole(answer.total, [one.id for one in answer.requests], whose, context)
    had, has = state["requests"], {}
    facts: list[Fact] = []
    for one in sorted(answer.requests, key=lambda one: one.id):
        if one.status.startswith("Closed"):
            continue
        known = had.get(one.id)
        has[one.id] = request = {
            "record": one.instance_id,
            "branch": one.point.code if one.point is not None else "",
            "ready": one.status == "Open - Awaiting pickup",
        }
        if known is None:
            placed = HoldPlaced(**_reserved(one.id, request), priority=one.position or 0)
            facts.append(Fact(placed, context.key, _moment(one.requested, context), one.id))
        if request["ready"] and not (known is not None and known["ready"]):
            until = one.until.astimezone(context.zone).date() if one.until is not None else None
            written = one.metadata.updated if one.metadata is not None else None
            ready = HoldReady(**_reserved(one.id, request), until=until)
            facts.append(Fact(ready, context.key, _moment(written, context), one.id))
    filled = {one.id for one in answer.requests if one.status == "Closed - Filled"}
    closed = {one.id for one in answer.requests if one.status.startswith("Closed")}
    # One that was ready and is not listed any more was fetched, most likely.
    given_up = [
        name for name in diff(had, has).removed if name not in filled and (name in closed or not had[name]["ready"])
    ]
    facts += [
        Fact(HoldCancelled(**_reserved(name, had[name])), context.key, context.read_at, name) for name in given_up
    ]
    return {**state, "requests_read": read_at, "requests": has}, facts


def _begin(previous: State | None, context: Context) -> tuple[int, State]:
    state = {"loans_read": 0, "requests_read": 0, "loans": {}, "requests": {}, **(previous or {})}
    return int(context.read_at.astimezone(UTC).timestamp() * 1000), state


def _whole(total: int, names: Sequence[str], patrons: set[str], context: Context) -> None:
    if any(f"folio:{patron}" != context.key for patron in patrons):
        raise Unmappable("the answer is about somebody else", fields=("userId",))
    if len(set(names)) < len(names):
        raise Unmappable("listed twice", fields=("id",))
    if total > len(names):
        raise Unmappable("a page of a longer list", fields=("totalRecords",))


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


def _reserved(name: str, request: State) -> dict[str, Any]:
    return {"hold_id": name, "record_id": request["record"], "branch": request["branch"]}


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _moment(moment: datetime | None, context: Context) -> datetime:
    """Return a moment; nothing is later than its reading."""
    return context.read_at if moment is None else min(moment.astimezone(UTC), context.read_at)
