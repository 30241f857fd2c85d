"""From messages about an item to the loans of whoever has it.

Memory of an item:

    user      who borrowed it last, as a subject
    request   for which request
    lent      whether it is still there
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from connectors.sources.library.ncip import model
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from schemas.models.library import LoanReturned, LoanStarted

State = Mapping[str, Any]


def message(previous: State | None, said: model.Message, context: Context) -> tuple[State, Mapped]:
    """Tell a loan that began or ended; telling it again says nothing."""
    had: State = previous or {"user": "", "request": "", "lent": False}
    if (out := said.CheckOutItem) is not None:
        request = out.RequestId.RequestIdentifierValue
        if request == had["request"]:
            return had, "told before"
        user = f"ncip:{out.UserId.AgencyId}/{out.UserId.UserIdentifierValue}"
        item = out.ItemId.ItemIdentifierValue
        facts = [
            *_returned(had, item, context),  # that it came back was never said
            Fact(LoanStarted(item_id=item, due_date=_due(out, context)), user, context.read_at, item, (request,)),
        ]
        return {"user": user, "request": request, "lent": True}, facts
    if (back := said.CheckInItem) is not None:
        if not had["lent"]:
            return had, "not lent"
        return {**had, "lent": False}, _returned(had, back.ItemId.ItemIdentifierValue, context)
    return had, "nothing lent"


def _returned(had: State, item: str, context: Context) -> list[Fact]:
    if not had["lent"]:
        return []
    return [Fact(LoanReturned(item_id=item), had["user"], context.read_at, item, (had["request"],))]


def _due(out: model.CheckOut, context: Context) -> date | None:
    """Return the city's day of the moment; one without a zone is local."""
    due = out.DesiredDateDue
    if due is None or not 1900 <= due.year <= 2199:
        return None
    return due.date() if due.tzinfo is None else due.astimezone(context.zone).date()
