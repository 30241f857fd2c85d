"""What a patron has lent, against what the patron had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from connectors.sources.library.ils_di import model
from connectors.sources.library.ils_di.entries import Entries, date_of, moment_of, order
from hub.model.connector import Context
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.library import LoanOverdue, LoanRenewed, LoanReturned, LoanStarted

State = Mapping[str, Any]


def begun_of(had: Entries, loans: Entries) -> set[str]:
    """Find new loans; an item that was lent again between two answers tells so by its issue date."""
    change = diff(had, loans)
    again = {name for name in change.changed if not _same(had[name]["issued"], loans[name]["issued"])}
    return again.union(change.added)


def returned_loans(had: Entries, loans: Entries, context: Context) -> Iterator[Fact]:
    """Yield what is not lent any more."""
    for name in sorted(had.keys() - (loans.keys() - begun_of(had, loans)), key=order):
        issued = had[name]["issued"]
        started = date.fromisoformat(issued[:10]) if issued else None
        returned = LoanReturned(**_item(name, had[name]), started_on=started)
        yield Fact(returned, context.key, context.read_at, name)


def lent_loans(had: Entries, loans: Entries, context: Context) -> Iterator[Fact]:
    """Yield what was lent, renewed, and should be back."""
    begun = begun_of(had, loans)
    for name in sorted(begun.union(diff(had, loans).changed), key=order):
        loan, known = loans[name], None if name in begun else had[name]
        due = date_of(loan["due"])
        if known is None:
            started = LoanStarted(**_item(name, loan), due_date=due)
            yield Fact(started, context.key, moment_of(loan["issued"], context), name)
        elif due is not None and (former := date_of(known["due"])) is not None and due > former:
            renewed = LoanRenewed(**_item(name, loan), due_date=due, previous_due_date=former)
            # A due date may move without a renewal: then the last renewal is not what moved it.
            moved = loan["renewed"] if loan["renewed"] != known["renewed"] else None
            yield Fact(renewed, context.key, moment_of(moved, context), name)
        if due is not None and loan["overdue"] and not (known is not None and known["overdue"]):
            midnight = datetime.combine(due + timedelta(days=1), time(), context.zone)
            yield Fact(LoanOverdue(**_item(name, loan), due_date=due), context.key, midnight, name)


def loan_of(loan: model.Loan, today: date) -> State:
    """Return a loan as it is remembered."""
    return {
        "record": loan.biblionumber,
        "branch": loan.branchcode,
        "kind": loan.itype or loan.itemtype,
        "issued": loan.issuedate,
        "due": loan.date_due.isoformat() if loan.date_due else None,
        "renewed": loan.lastreneweddate,
        "overdue": loan.date_due is not None and loan.date_due < today,
    }


def _item(name: str, loan: State) -> dict[str, Any]:
    return {
        "item_id": name,
        "record_id": loan["record"],
        "branch": loan["branch"],
        "document_kind": loan["kind"],
    }


def _same(one: str | None, other: str | None) -> bool:
    """Tell whether two issue dates may be the same moment: a version may say the day, the next the time too."""
    if one is None or other is None:
        return True
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
