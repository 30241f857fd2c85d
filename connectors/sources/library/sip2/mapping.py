"""From what a patron has to what the patron did.

Memory of a patron:

    read_at   when the last record that was believed was asked for, ms
    loans     by item: whether it was told that it is overdue
    ready     items that can be fetched

Law: what started less what was returned is what the patron has, whatever answers came or failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

from connectors.sources.library.sip2 import model
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.library import HoldCancelled, HoldReady, LoanOverdue, LoanReturned, LoanStarted

State = Mapping[str, Any]

_NUMBER = re.compile(r"[0-9A-Za-z._-]{5,64}")
DIGITS = 4
"""Fewest digits of a number: what has fewer, or a space, may be a title."""


def patron(previous: State | None, answers: model.Answers, context: Context) -> tuple[State, Mapped]:
    """Compare what the patron has with what the patron had."""
    read_at = int(context.read_at.astimezone(UTC).timestamp() * 1000)
    if previous is not None and read_at < previous["read_at"]:
        return previous, "stale"
    if f"sip2:{answers.AA}" != context.key:
        raise Unmappable("the answer is about somebody else", fields=("AA",))
    had: State = previous or {"loans": {}, "ready": []}
    overdue = set(_numbers("AT", answers.AT))
    loans = {item: item in overdue for item in sorted(overdue.union(_numbers("AU", answers.AU)))}
    ready = sorted(_numbers("AS", answers.AS))
    facts = [*_lending(had["loans"], loans, context), *_fetching(had["ready"], ready, loans, context)]
    return {"read_at": read_at, "loans": loans, "ready": ready}, facts


def _lending(had: Mapping[str, bool], loans: Mapping[str, bool], context: Context) -> Iterator[Fact]:
    for item in sorted(had.keys() - loans.keys()):
        yield Fact(LoanReturned(item_id=item), context.key, context.read_at, item)
    for item, overdue in loans.items():
        if item not in had:
            yield Fact(LoanStarted(item_id=item), context.key, context.read_at, item)
        if overdue and not had.get(item, False):
            yield Fact(LoanOverdue(item_id=item), context.key, context.read_at, item)


def _fetching(had: Iterable[str], ready: Iterable[str], loans: Mapping[str, bool], context: Context) -> Iterator[Fact]:
    # What was fetched is lent now.
    for item in sorted(set(had).difference(ready, loans)):
        yield Fact(HoldCancelled(hold_id=item), context.key, context.read_at, item)
    for item in sorted(set(ready).difference(had)):
        yield Fact(HoldReady(hold_id=item), context.key, context.read_at, item)


def _numbers(code: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in entries:
        if not _NUMBER.fullmatch(entry) or sum(letter.isdigit() for letter in entry) < DIGITS:
            raise Unmappable("no number of an item, a title perhaps: let the server list bar codes", fields=(code,))
        yield entry
