"""From what a patron has to what the patron did.

Memory of a patron:

    read_at   when the last answer that was believed was asked for, ms
    loans     by item: record, branch, kind, issued, due, renewed, overdue (it was told)
    holds     by number: record, branch, priority, ready (it was told)

Law: what started less what was returned is what the patron has, whatever answers came or failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.ils_di import model
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
Entries = Mapping[str, State]


def patron(previous: State | None, answer: model.Answer, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at = int(context.read_at.astimezone(UTC).timestamp() * 1000)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    told = answer.GetPatronInfo
    if f"ils_di:{told.borrowernumber}" != context.key:
        raise Unmappable("the answer is about somebody else", fields=("GetPatronInfo.borrowernumber",))
    had: State = previous or {"loans": {}, "holds": {}}
    today = context.read_at.astimezone(context.zone).date()
    loans = _by_number("loans.loan.*.itemnumber", ((loan.itemnumber, _loan(loan, today)) for loan in told.loans.loan))
    holds = _by_number("holds.hold.*.reservenumber", ((hold.reservenumber, _hold(hold)) for hold in told.holds.hold))
    facts = [*_returned(had["loans"], loans, context), *_lent(had["loans"], loans, context)]
    facts += _waiting(had["holds"], holds, told.holds.hold, context)
    begun = _begun(had["loans"], loans)
    fulfilled = Counter(record for name in begun if (record := loans[name]["record"]))
    for name in sorted(diff(had["holds"], holds).removed, key=_order):
        hold = had["holds"][name]
        if fulfilled[hold["record"]]:
            fulfilled[hold["record"]] -= 1
        elif hold["record"] or name not in begun:  # A dialect that names no work reserves the item.
            facts.append(Fact(HoldCancelled(**_reserved(name, hold)), context.key, context.read_at, name))
    return {"read_at": read_at, "loans": loans, "holds": holds}, facts


def _begun(had: Entries, loans: Entries) -> set[str]:
    """Find new loans; an item that was lent again between two answers tells so by its issue date."""
    change = diff(had, loans)
    again = {name for name in change.changed if not _same(had[name]["issued"], loans[name]["issued"])}
    return again.union(change.added)


def _returned(had: Entries, loans: Entries, context: Context) -> Iterator[Fact]:
    for name in sorted(had.keys() - (loans.keys() - _begun(had, loans)), key=_order):
        issued = had[name]["issued"]
        started = date.fromisoformat(issued[:10]) if issued else None
        returned = LoanReturned(**_item(name, had[name]), started_on=started)
        yield Fact(returned, context.key, context.read_at, name)


def _lent(had: Entries, loans: Entries, context: Context) -> Iterator[Fact]:
    begun = _begun(had, loans)
    for name in sorted(begun.union(diff(had, loans).changed), key=_order):
        loan, known = loans[name], None if name in begun else had[name]
        due = _date(loan["due"])
        if known is None:
            started = LoanStarted(**_item(name, loan), due_date=due)
            yield Fact(started, context.key, _moment(loan["issued"], context), name)
        elif due is not None and (former := _date(known["due"])) is not None and due > former:
            renewed = LoanRenewed(**_item(name, loan), due_date=due, previous_due_date=former)
            # A due date may move without a renewal: then the last renewal is not what moved it.
            moved = loan["renewed"] if loan["renewed"] != known["renewed"] else None
            yield Fact(renewed, context.key, _moment(moved, context), name)
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            yield Fact(LoanOverdue(**_item(name, loan), due_date=due), context.key, midnight, name)


def _waiting(had: Entries, holds: Entries, listed: Iterable[model.Hold], context: Context) -> Iterator[Fact]:
    for item in sorted(listed, key=lambda item: _order(item.reservenumber)):
        name = item.reservenumber
        hold, known = holds[name], had.get(name)
        if known is None:
            placed = HoldPlaced(**_reserved(name, hold), priority=hold["priority"])
            yield Fact(placed, context.key, _moment(item.reservedate, context), name)
        if hold["ready"] and not (known is not None and known["ready"]):
            ready = HoldReady(**_reserved(name, hold), until=item.expirationdate)
            yield Fact(ready, context.key, _moment(item.waitingdate, context), name)


def _loan(loan: model.Loan, today: date) -> State:
    return {
        "record": loan.biblionumber,
        "branch": loan.branchcode,
        "kind": loan.itype or loan.itemtype,
        "issued": loan.issuedate,
        "due": loan.date_due.isoformat() if loan.date_due else None,
        "renewed": loan.lastreneweddate,
        "overdue": loan.date_due is not None and loan.date_due < today,
    }


def _hold(hold: model.Hold) -> State:
    # An item in transit has priority 0 too, and waits for nobody yet.
    ready = hold.found == "W" if hold.found else hold.waitingdate is not None or hold.priority == 0
    return {
        "record": hold.biblionumber,
        "branch": hold.branchcode,
        "priority": hold.priority or 0,
        "ready": ready,
    }


def _item(name: str, loan: State) -> dict[str, Any]:
    return {
        "item_id": name,
        "record_id": loan["record"],
        "branch": loan["branch"],
        "document_kind": loan["kind"],
    }


def _reserved(name: str, hold: State) -> dict[str, Any]:
    return {"hold_id": name, "record_id": hold["record"], "branch": hold["branch"]}


def _by_number(field: str, entries: Iterable[tuple[str, State]]) -> dict[str, State]:
    found: dict[str, State] = {}
    for name, entry in entries:
        if name in found:
            raise Unmappable("listed twice", fields=(f"GetPatronInfo.{field}",))
        found[name] = entry
    return found


def _order(name: str) -> tuple[int, str]:
    """Order numbers as numbers, and whatever else a library calls a number after them."""
    return len(name), name


def _same(one: str | None, other: str | None) -> bool:
    """Tell whether two issue dates may be the same moment: a version may say the day, the next the time too."""
    if one is None or other is None:
        return True
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _moment(text: str | None, context: Context) -> datetime:
    """Read a local day as its end, so that nothing seems to happen before it did; nothing is later than its reading."""
    if text is None:
        return context.read_at
    local = datetime.combine(date.fromisoformat(text[:10]), time(23, 59, 59))
    if len(text) > 10:
        local = datetime.fromisoformat(text)
    return min(local.replace(tzinfo=context.zone).astimezone(UTC), context.read_at)
