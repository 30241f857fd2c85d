"""From uses of a card to who was there, from an account's state to what became of it.

Memory of a child: `read_at`, and `seen`, the names of the uses of the last months that were told.
Memory of a family: `read_at`, `accounts` by id (value), `bills` by id (value, due, paid).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from connectors.sources.school_catering.horanet import model
from hub.model.connector import Context, Mapped
from hub.model.event import Fact
from hub.pipeline.diff import once
from schemas.models.school_catering import AccountBalanceChanged, Activity, BillIssued, BillPaid, MealEaten

State = Mapping[str, Any]
ACTIVITIES = {
    "Meal": Activity.LUNCH,
    "MorningNursery": Activity.MORNING_CARE,
    "EveningNursery": Activity.EVENING_CARE,
}
FORGET = timedelta(days=62)
"""Twice as long as a search goes back: what is older is not told again."""


def transactions(previous: State | None, answer: model.Transactions, context: Context) -> tuple[State, Mapped]:
    """Tell each use once; its number alone does not name it."""
    read_at = _ms(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    seen = set((previous or {}).get("seen", ()))
    oldest = (context.read_at - FORGET).astimezone(context.zone).date().isoformat()
    facts, named = [], set()
    for event in sorted(answer.events.event, key=lambda event: event.date):
        name = f"{event.date.isoformat()} {event.id} {event.kind}"
        if name not in seen and name not in named:
            facts.append(_there(event, name, context))
        named.add(name)
    return {"read_at": read_at, "seen": sorted(n for n in seen | named if n[:10] >= oldest)}, facts


def accounts(previous: State | None, answer: model.Accounts, context: Context) -> tuple[State, Mapped]:
    """Compare balances and bills with what is known; what is not listed any more is over, not undone."""
    read_at = _ms(context.read_at)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    known: State = {"accounts": {}, "bills": {}, **(previous or {})}
    listed, bills = answer.family.accounts.account, answer.family.bills.bill
    once([account.id for account in listed], "family.accounts.account.*.account-id")
    once([bill.id for bill in bills], "family.bills.bill.*.bill-id")
    facts = [_balance(account, context) for account in listed if known["accounts"].get(account.id) != account.value]
    for bill in bills:
        facts += _billed(bill, known["bills"].get(bill.id), context)
    following = {
        "read_at": read_at,
        "accounts": {**known["accounts"], **{account.id: account.value for account in listed}},
        "bills": {**known["bills"], **{bill.id: _kept(bill) for bill in bills}},
    }
    return following, facts


def _there(event: model.Event, name: str, context: Context) -> Fact:
    # The hour that autumn repeats cannot be told apart: it is taken as the first.
    moment = event.date.replace(tzinfo=context.zone)
    was_there = MealEaten(
        booking_id=f"{event.id}-{event.date:%Y%m%dT%H%M}-{event.kind}",
        meal_date=event.date.date(),
        activity=ACTIVITIES.get(event.kind, Activity.UNKNOWN),
        label=event.activity,
    )
    return Fact(was_there, context.key, min(moment, context.read_at), name, identity=(context.key, name))


def _balance(account: model.Account, context: Context) -> Fact:
    balance = AccountBalanceChanged(
        account_id=account.id, label=account.label, balance_cents=account.value, as_of=account.date
    )
    return Fact(balance, context.key, _at_most(account.date, context), account.id)


def _billed(bill: model.Bill, known: State | None, context: Context) -> Iterator[Fact]:
    """Say what must be said so that the last event of the bill is the vendor's last word."""
    now = _kept(bill)
    told: dict[str, Any] = {"bill_id": bill.id, "label": bill.label, "amount_cents": bill.value}
    open_again = known is not None and known["paid"] and not bill.paid
    moved = known is not None and any(known[part] != now[part] for part in ("value", "due"))
    if known is None or moved or open_again:
        # Only a bill that was not known before happened on its day; what changed in it changed now.
        moment = _at_most(bill.date, context) if known is None else context.read_at
        yield Fact(BillIssued(**told, issued_on=bill.date, due_on=bill.due), context.key, moment, bill.id)
    if bill.paid and (known is None or moved or not known["paid"]):
        # Never before the bill that was told just now.
        moment = context.read_at if moved else _at_most(bill.paid_on, context)
        yield Fact(BillPaid(**told, paid_on=bill.paid_on), context.key, moment, bill.id)


def _kept(bill: model.Bill) -> State:
    return {"value": bill.value, "due": bill.due.isoformat() if bill.due else None, "paid": bill.paid}


def _at_most(day: date | None, context: Context) -> datetime:
    """Take a day as its end, and nothing as later than it was read."""
    if day is None:
        return context.read_at
    return min(datetime.combine(day, time(23, 59, 59), context.zone), context.read_at)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
