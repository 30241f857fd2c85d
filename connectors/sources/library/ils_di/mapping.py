"""From what a patron has to what the patron did.

Memory of a patron:

    read_at   when the last answer that was believed was asked for, ms
    loans     by item: record, branch, kind, issued, due, renewed, overdue (it was told)
    holds     by number: record, branch, priority, ready (it was told)

Law: what started less what was returned is what the patron has, whatever answers came or failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from connectors.sources.library.ils_di import model
from connectors.sources.library.ils_di.entries import by_number, order
from connectors.sources.library.ils_di.holds import hold_of, reservation, waiting_holds
from connectors.sources.library.ils_di.loans import begun_of, lent_loans, loan_of, returned_loans
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from hub.pipeline.diff import diff
from schemas.models.library import HoldCancelled

State = Mapping[str, Any]


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
    loans = by_number("loans.loan.*.itemnumber", ((loan.itemnumber, loan_of(loan, today)) for loan in told.loans.loan))
    holds = by_number("holds.hold.*.reservenumber", ((hold.reservenumber, hold_of(hold)) for hold in told.holds.hold))
    facts = [*returned_loans(had["loans"], loans, context), *lent_loans(had["loans"], loans, context)]
    facts += waiting_holds(had["holds"], holds, told.holds.hold, context)
    begun = begun_of(had["loans"], loans)
    fulfilled = Counter(record for name in begun if (record := loans[name]["record"]))
    for name in sorted(diff(had["holds"], holds).removed, key=order):
        hold = had["holds"][name]
        if fulfilled[hold["record"]]:
            fulfilled[hold["record"]] -= 1
        elif hold["record"] or name not in begun:  # A dialect that names no work reserves the item.
            facts.append(Fact(HoldCancelled(**reservation(name, hold)), context.key, context.read_at, name))
    return {"read_at": read_at, "loans": loans, "holds": holds}, facts
